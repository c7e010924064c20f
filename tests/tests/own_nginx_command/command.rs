//! Which settings the command takes and refuses, and where it writes.

use std::fs;

use anyhow::Result;
use e2e::medialift;

const BUCKET: [&str; 4] = [
    "--bucket",
    "example-social-media",
    "--endpoint",
    "s3.us-west-004.backblazeb2.com",
];
const FILES: [&str; 2] = ["--files-url", "https://files.example.com"];

#[test]
fn a_private_bucket_is_refused_with_what_to_do() -> Result<()> {
    let directory = tempfile::tempdir()?;
    fs::write(
        directory.path().join("medialift.toml"),
        "visibility = \"private\"\n",
    )?;
    let mut command = medialift::command(directory.path())?;
    command.arg("nginx").args(FILES).args(BUCKET);
    let ran = medialift::run(&mut command)?.expect(2);
    assert_eq!(ran.stdout, "");
    for part in ["cannot sign", "make the bucket public", "the worker"] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    // The redirect of old addresses requests nothing of it.
    let ran = medialift::run(command.arg("--old-addresses"))?.expect(0);
    assert!(ran.stdout.contains("return 302 https://files.example.com/"));
    Ok(())
}

#[test]
fn every_fault_of_the_settings_is_named_at_once() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut command = medialift::command(directory.path())?;
    command.args(["nginx", "--files-url", "http://files.example.com"]);
    command.args(["--cache-size", "many", "--fresh-seconds", "0"]);
    let ran = medialift::run(&mut command)?.expect(2);
    for part in [
        "http://files.example.com",
        "no bucket is named",
        "no endpoint is named",
        "`many` is not a cache size",
        "`--fresh-seconds` is 0",
    ] {
        assert!(ran.stderr.contains(part), "{}", ran.stderr);
    }
    Ok(())
}

#[test]
fn a_file_that_is_there_stays_as_it_is() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("files.conf");
    let write = || -> Result<medialift::Ran> {
        let mut command = medialift::command(directory.path())?;
        command.arg("nginx").args(FILES).args(BUCKET);
        command.args(["--output", "files.conf"]);
        medialift::run(&mut command)
    };
    assert_eq!(write()?.expect(0).stdout, "wrote `files.conf`\n");
    let text = fs::read_to_string(&path)?;
    assert!(text.contains("server_name files.example.com;"), "{text}");
    fs::write(&path, "mine")?;
    let ran = write()?.expect(1);
    assert!(ran.stderr.contains("it exists"), "{}", ran.stderr);
    assert_eq!(fs::read_to_string(&path)?, "mine");
    Ok(())
}

#[test]
fn the_settings_file_has_a_table_of_its_own_and_flags_outrank_it() -> Result<()> {
    let directory = tempfile::tempdir()?;
    fs::write(
        directory.path().join("medialift.toml"),
        "bucket = \"media\"\nendpoint = \"s3.us-west-004.backblazeb2.com\"\n\
         files_url = \"https://files.example.com\"\nvisibility = \"public\"\n\
         [nginx]\ncache_dir = \"/srv/cache\"\ncache_size = \"20g\"\nfresh_seconds = 60\ndeny_prefixes = \"none\"\n",
    )?;
    let mut command = medialift::command(directory.path())?;
    command.args(["nginx", "--cache-size", "30g"]);
    let ran = medialift::run(&mut command)?.expect(0);
    assert_eq!(ran.stderr, "");
    for part in [
        "proxy_cache_path /srv/cache ",
        "max_size=30g",
        "proxy_cache_valid 200 60s;",
    ] {
        assert!(ran.stdout.contains(part), "{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("backups/"), "{}", ran.stdout);
    Ok(())
}
