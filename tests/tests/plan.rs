//! `plan` on the real binary: needs no bucket, reads no file.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;

use anyhow::Result;
use e2e::media::write;
use e2e::medialift;

fn tree() -> Result<tempfile::TempDir> {
    let dir = tempfile::tempdir()?;
    let root = dir.path().join("system");
    for (path, size) in [
        ("accounts/avatars/1/original/a.png", 1_500),
        ("accounts/headers/1/original/b.png", 250_000),
        ("cache/accounts/avatars/2/original/c.png", 12_345),
        ("cache/media_attachments/files/1/original/d.jpg", 2_000_000),
        ("media_attachments/files/1/original/e.mp4", 150 << 20),
        ("backups/dumps/1/original/archive.zip", 10),
        ("robots.txt", 0),
    ] {
        write(&root.join(path), "")?;
        fs::File::options()
            .write(true)
            .open(root.join(path))?
            .set_len(size)?;
    }
    Ok(dir)
}

#[test]
fn it_reports_amounts_cost_and_time() -> Result<()> {
    let dir = tree()?;
    let mut command = medialift::command(dir.path())?;
    let ran = medialift::run(command.args(["plan", "system", "--upload-mbit", "40"]))?.expect(0);
    insta::assert_snapshot!("plan", ran.stdout);
    assert_eq!(ran.stderr, "");
    let mut command = medialift::command(dir.path())?;
    let json = medialift::run(command.args(["plan", "system", "--json"]))?
        .expect(0)
        .json()?;
    assert_eq!(json["total"]["files"], 7);
    assert_eq!(
        json["total"]["bytes"],
        1_500 + 250_000 + 12_345 + 2_000_000 + (150 << 20) + 10
    );
    assert_eq!(json["kinds"]["cache/accounts"]["bytes"], 12_345);
    assert_eq!(json["larger_than_100_mib"], 1);
    assert_eq!(json["archives"]["files"], 1);
    Ok(())
}

#[test]
fn what_the_bucket_would_refuse_is_named() -> Result<()> {
    let dir = tree()?;
    let root = dir.path().join("system");
    std::os::unix::fs::symlink("robots.txt", root.join("link"))?;
    let _socket = UnixListener::bind(root.join("socket"))?;
    fs::write(root.join("new\nline"), "")?;
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"not-\xff-utf8")), "")?;
    let mut deep = root.clone();
    for _ in 0..5 {
        deep = deep.join("d".repeat(240));
    }
    // The path is longer than one call may have, so it is made step by step.
    fs::create_dir_all(&deep)?;
    fs::write(deep.join("file"), "")?;
    let mut command = medialift::command(dir.path())?;
    let ran = medialift::run(command.args(["plan", "system"]))?.expect(3);
    for reason in [
        "link: a symbolic link",
        "socket: a socket",
        "control character",
        "not UTF-8",
        "longer than 1,024 bytes",
    ] {
        assert!(ran.stdout.contains(reason), "{reason} in {}", ran.stdout);
    }
    assert!(
        !ran.stdout.contains("new\nline"),
        "a name cannot forge a line"
    );
    Ok(())
}

#[test]
fn the_prefix_counts_towards_the_length_of_keys() -> Result<()> {
    let dir = tempfile::tempdir()?;
    write(&dir.path().join("system/a"), "")?;
    let prefix = "p/".repeat(511);
    let mut command = medialift::command(dir.path())?;
    medialift::run(command.args(["plan", "system", "--key-prefix", &prefix]))?.expect(0);
    let mut command = medialift::command(dir.path())?;
    let longer = format!("{prefix}pp");
    medialift::run(command.args(["plan", "system", "--key-prefix", &longer]))?.expect(3);
    Ok(())
}

#[test]
fn a_directory_that_is_not_there_is_explained() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut command = medialift::command(dir.path())?;
    let ran = medialift::run(command.args(["plan", "nowhere"]))?.expect(2);
    insta::assert_snapshot!("plan_nowhere", ran.stderr);
    let mut command = medialift::command(dir.path())?;
    let ran = medialift::run(command.args(["plan"]))?.expect(2);
    insta::assert_snapshot!("plan_unnamed", ran.stderr);
    Ok(())
}

#[test]
fn what_is_behind_a_link_is_counted_and_a_remedy_named() -> Result<()> {
    let dir = tree()?;
    let root = dir.path().join("system");
    fs::rename(root.join("cache"), dir.path().join("disk2"))?;
    std::os::unix::fs::symlink("../disk2", root.join("cache"))?;
    std::os::unix::fs::symlink("nowhere", root.join("imports"))?;
    let mut command = medialift::command(dir.path())?;
    let ran = medialift::run(command.args(["plan", "system"]))?.expect(3);
    for part in [
        "disk2`: 2 files, 2.0 MB",
        "imports to a target that does not exist",
        "mount --bind",
        "--follow-links",
    ] {
        assert!(ran.stdout.contains(part), "{part} in {}", ran.stdout);
    }
    let mut command = medialift::command(dir.path())?;
    let json = medialift::run(command.args(["plan", "system", "--json"]))?
        .expect(3)
        .json()?;
    assert_eq!(json["total"]["files"], 5);
    assert_eq!(json["linked_directories"][0]["amount"]["bytes"], 2_012_345);
    fs::remove_file(root.join("imports"))?;
    let mut command = medialift::command(dir.path())?;
    let arguments = ["plan", "system", "--follow-links", "--json"];
    let json = medialift::run(command.args(arguments))?.expect(0).json()?;
    assert_eq!(json["total"]["files"], 7);
    assert_eq!(json["linked_directories"], serde_json::json!([]));
    Ok(())
}

#[test]
fn what_mastodon_has_hidden_would_not_move() -> Result<()> {
    let dir = tree()?;
    let hidden = dir.path().join("system/accounts/headers/1/original/b.png");
    fs::set_permissions(&hidden, fs::Permissions::from_mode(0o600))?;
    let mut command = medialift::command(dir.path())?;
    let json = medialift::run(command.args(["plan", "system", "--json"]))?
        .expect(0)
        .json()?;
    assert_eq!(json["hidden"]["files"], 1);
    assert_eq!(json["hidden"]["bytes"], 250_000);
    assert_eq!(json["total"]["files"], 6);
    assert_eq!(json["kinds"]["accounts"]["bytes"], 1_500);
    Ok(())
}

#[test]
fn prices_are_dated_and_can_be_changed() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("system/a.mp4");
    write(&file, "")?;
    fs::File::options()
        .write(true)
        .open(&file)?
        .set_len(110_000_000_000)?;
    let plan = |flags: &[&str]| -> Result<serde_json::Value> {
        let mut command = medialift::command(dir.path())?;
        command.args(["plan", "system", "--json"]).args(flags);
        medialift::run(&mut command)?.expect(0).json()
    };
    let report = plan(&[])?;
    // The first 10 GB are free.
    let usd = |report: &serde_json::Value, name: &str| {
        report[name].as_f64().map(|usd| (usd * 1e6).round())
    };
    assert_eq!(usd(&report, "storage_usd_per_month"), Some(695_000.0));
    assert!(
        report["prices_from"]
            .as_str()
            .is_some_and(|from| from.starts_with("https://"))
    );
    assert!(report["prices_of"].is_string());
    let flags = [
        "--price-storage",
        "10",
        "--price-free-storage",
        "0",
        "--price-download",
        "0.02",
    ];
    let report = plan(&flags)?;
    assert_eq!(usd(&report, "storage_usd_per_month"), Some(1_100_000.0));
    assert_eq!(usd(&report, "prune_proof_usd_at_most"), Some(2_200_000.0));
    let mut command = medialift::command(dir.path())?;
    medialift::run(command.args(["plan", "system", "--price-storage", "-1"]))?.expect(2);
    Ok(())
}
