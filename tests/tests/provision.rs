//! `provision` against Backblaze's own model of the native API, and what the real `b2` command then
//! sees.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::b2sim::{ACCOUNT_ID, B2Sim, B2SimOptions, MASTER_KEY};
use e2e::media::files;
use e2e::medialift::{self, Ran};
use serde_json::{Value, json};

const BUCKET: &str = "example-social-media";

/// In `directory`, which is also the home and has the state directory in it.
fn provision(sim: &B2Sim, directory: &Path, arguments: &[&str]) -> Result<Ran> {
    let mut command = medialift::command(directory)?;
    sim.as_master(&mut command)
        .arg("provision")
        .args(["--bucket", BUCKET])
        .args(arguments);
    let ran = medialift::run(&mut command)?;
    // The master key is never shown and never stored.
    assert!(!ran.stdout.contains(MASTER_KEY) && !ran.stderr.contains(MASTER_KEY));
    let header = STANDARD.encode(format!("{ACCOUNT_ID}:{MASTER_KEY}"));
    for (path, content) in files(directory)? {
        for secret in [MASTER_KEY, header.as_str()] {
            let found = content
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "the master key is in `{path}`");
        }
    }
    Ok(ran)
}

fn start() -> Result<(B2Sim, tempfile::TempDir)> {
    Ok((
        B2Sim::start(&B2SimOptions::default())?,
        tempfile::tempdir()?,
    ))
}

/// The one bucket and the one key that `b2` lists.
fn listed(sim: &B2Sim) -> Result<(Value, String)> {
    let buckets = sim.b2_json(&["bucket", "list", "--json"])?;
    let buckets = buckets.as_array().expect("a list of buckets");
    assert_eq!(buckets.len(), 1, "{buckets:?}");
    let keys = sim.b2(&["key", "list", "--long"])?;
    assert_eq!(keys.trim().lines().count(), 1, "{keys}");
    Ok((buckets[0].clone(), keys))
}

#[test]
fn what_it_makes_the_b2_command_shows() -> Result<()> {
    let (sim, directory) = start()?;
    let ran = provision(
        &sim,
        directory.path(),
        &["--private", "--key-file", "media.key", "--json"],
    )?
    .expect(0);
    let report = ran.json()?;
    assert_eq!(report["bucket"]["change"], "created");
    assert_eq!(report["key"]["change"], "created");
    assert_eq!(report["endpoint"], "s3.us-west-004.backblazeb2.com");
    assert!(
        report["key"]["key"].is_null(),
        "the key is in its file only"
    );

    let (bucket, key) = listed(&sim)?;
    assert_eq!(bucket["bucketName"], BUCKET);
    assert_eq!(bucket["bucketType"], "allPrivate");
    assert_eq!(bucket["lifecycleRules"][0]["daysFromHidingToDeleting"], 30);
    assert_eq!(bucket["lifecycleRules"][0]["fileNamePrefix"], "");
    assert_eq!(bucket["corsRules"], json!([]));
    let fields: Vec<&str> = key.split_whitespace().collect();
    let id = report["key"]["id"].as_str().expect("an id");
    assert_eq!(fields[0], id);
    assert_eq!(fields[1], format!("{BUCKET}-mastodon"));
    assert_eq!(fields[2], BUCKET, "restricted to the bucket: {key}");
    let mut capabilities: Vec<&str> = fields.last().expect("capabilities").split(',').collect();
    capabilities.sort_unstable();
    assert_eq!(
        capabilities,
        [
            "deleteFiles",
            "listAllBucketNames",
            "listBuckets",
            "listFiles",
            "readBuckets",
            "readFiles",
            "writeFiles"
        ]
    );

    let file = directory.path().join("media.key");
    let text = std::fs::read_to_string(&file)?;
    assert!(text.starts_with(&format!(
        "B2_APPLICATION_KEY_ID={id}\nB2_APPLICATION_KEY=K001"
    )));
    assert_eq!(
        std::fs::metadata(&file)?.permissions().mode() & 0o777,
        0o600
    );
    Ok(())
}

#[test]
fn the_key_it_makes_is_good_for_its_bucket_and_nothing_else() -> Result<()> {
    let (sim, directory) = start()?;
    let report = provision(&sim, directory.path(), &["--private", "--json"])?
        .expect(0)
        .json()?;
    let mut command = medialift::command(directory.path())?;
    command
        .args(["provision", "--bucket", "another-bucket", "--private"])
        .env("B2_ENVIRONMENT", &sim.url)
        .env(
            "B2_APPLICATION_KEY_ID",
            report["key"]["id"].as_str().expect("an id"),
        )
        .env(
            "B2_APPLICATION_KEY",
            report["key"]["key"].as_str().expect("the key"),
        );
    let ran = medialift::run(&mut command)?.expect(1);
    assert!(
        ran.stderr
            .contains("lacks writeBuckets, listKeys, writeKeys"),
        "{}",
        ran.stderr
    );
    assert!(
        ran.stderr.contains("hint: put the account's master key"),
        "{}",
        ran.stderr
    );
    listed(&sim)?;
    Ok(())
}

#[test]
fn running_it_twice_changes_nothing() -> Result<()> {
    let (sim, directory) = start()?;
    let arguments = ["--public", "--key-file", "media.key", "--json"];
    provision(&sim, directory.path(), &arguments)?.expect(0);
    let before = (
        listed(&sim)?,
        std::fs::read(directory.path().join("media.key"))?,
    );
    let again = provision(&sim, directory.path(), &arguments)?
        .expect(0)
        .json()?;
    assert_eq!(again["bucket"]["change"], "unchanged");
    assert_eq!(again["key"]["change"], "unchanged");
    assert_eq!(again["warnings"], json!([]));
    let after = (
        listed(&sim)?,
        std::fs::read(directory.path().join("media.key"))?,
    );
    assert_eq!(before, after);
    let calls = sim.calls()?.calls;
    assert_eq!((calls["b2_create_bucket"], calls["b2_create_key"]), (1, 1));
    assert!(!calls.contains_key("b2_update_bucket"));
    Ok(())
}

#[test]
fn a_key_without_its_file_is_reported_as_lost_and_another_can_be_made() -> Result<()> {
    let (sim, directory) = start()?;
    provision(&sim, directory.path(), &["--private"])?.expect(0);
    let again = provision(&sim, directory.path(), &["--private"])?.expect(0);
    assert!(
        again.stderr.contains("was shown only when it was created"),
        "{}",
        again.stderr
    );
    assert!(
        !again.stdout.contains("B2_APPLICATION_KEY="),
        "{}",
        again.stdout
    );
    let another = provision(&sim, directory.path(), &["--private", "--another-key"])?.expect(0);
    assert!(
        another.stdout.contains("B2_APPLICATION_KEY=K001"),
        "{}",
        another.stdout
    );
    assert_eq!(sim.b2(&["key", "list"])?.trim().lines().count(), 2);
    Ok(())
}

#[test]
fn a_dry_run_makes_nothing() -> Result<()> {
    let (sim, directory) = start()?;
    let ran = provision(
        &sim,
        directory.path(),
        &["--private", "--dry-run", "--key-file", "k"],
    )?
    .expect(0);
    assert!(ran.stdout.contains("would be created"), "{}", ran.stdout);
    let calls = sim.calls()?.calls;
    assert!(!calls.contains_key("b2_create_bucket") && !calls.contains_key("b2_create_key"));
    assert!(!directory.path().join("k").exists());
    Ok(())
}

#[test]
fn a_public_bucket_is_made_only_with_its_flag() -> Result<()> {
    let (sim, directory) = start()?;
    let ran = provision(&sim, directory.path(), &[])?.expect(2);
    assert!(
        ran.stderr
            .contains("neither `--private` nor `--public` is given"),
        "{}",
        ran.stderr
    );
    provision(&sim, directory.path(), &["--public"])?.expect(0);
    let (bucket, _) = listed(&sim)?;
    assert_eq!(bucket["bucketType"], "allPublic");
    assert_eq!(bucket["corsRules"][0]["allowedOrigins"], json!(["*"]));
    let ran = provision(&sim, directory.path(), &["--private"])?.expect(3);
    assert!(
        ran.stderr.contains("it is public, and should be private"),
        "{}",
        ran.stderr
    );
    let (bucket, _) = listed(&sim)?;
    assert_eq!(bucket["bucketType"], "allPublic");
    Ok(())
}

#[test]
fn a_bucket_made_elsewhere_gets_its_rules_only_when_asked() -> Result<()> {
    let (sim, directory) = start()?;
    sim.b2(&["bucket", "create", BUCKET, "allPublic"])?;
    let ran = provision(&sim, directory.path(), &["--key-file", "k"])?.expect(0);
    assert!(
        ran.stderr.contains("`--update` adds the CORS rule"),
        "{}",
        ran.stderr
    );
    assert_eq!(listed(&sim)?.0["lifecycleRules"], json!([]));
    provision(&sim, directory.path(), &["--key-file", "k", "--update"])?.expect(0);
    let (bucket, _) = listed(&sim)?;
    assert_eq!(bucket["lifecycleRules"][0]["daysFromHidingToDeleting"], 30);
    let revision = bucket["revision"].clone();
    provision(&sim, directory.path(), &["--key-file", "k", "--update"])?.expect(0);
    assert_eq!(listed(&sim)?.0["revision"], revision);
    Ok(())
}

#[test]
fn a_bucket_name_of_another_account_is_reported() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let sim = B2Sim::start(&B2SimOptions {
        taken: vec![BUCKET.to_owned()],
        ..B2SimOptions::default()
    })?;
    let ran = provision(&sim, directory.path(), &["--private"])?.expect(1);
    assert!(
        ran.stderr.contains("the name belongs to another account"),
        "{}",
        ran.stderr
    );
    Ok(())
}

#[test]
fn a_key_file_is_never_written_over() -> Result<()> {
    let (sim, directory) = start()?;
    let file = directory.path().join("media.key");
    std::fs::write(&file, "something of mine\n")?;
    let ran = provision(
        &sim,
        directory.path(),
        &["--private", "--key-file", "media.key"],
    )?
    .expect(2);
    assert!(ran.stderr.contains("no key was created"), "{}", ran.stderr);
    assert_eq!(std::fs::read_to_string(&file)?, "something of mine\n");
    assert!(!sim.calls()?.calls.contains_key("b2_create_key"));
    Ok(())
}

#[test]
fn a_wrong_master_key_is_refused_without_a_retry() -> Result<()> {
    let (sim, directory) = start()?;
    let mut command = medialift::command(directory.path())?;
    command
        .args(["provision", "--bucket", BUCKET, "--private"])
        .env("B2_ENVIRONMENT", &sim.url)
        .env("B2_APPLICATION_KEY_ID", ACCOUNT_ID)
        .env("B2_APPLICATION_KEY", "mistyped");
    let ran = medialift::run(&mut command)?.expect(1);
    assert!(
        ran.stderr.contains("hint: copy the key and its id again"),
        "{}",
        ran.stderr
    );
    assert!(!ran.stderr.contains("mistyped"));
    assert_eq!(sim.calls()?.calls["b2_authorize_account"], 1);
    Ok(())
}

#[test]
fn a_busy_service_is_asked_again_on_a_new_connection_and_makes_one_key() -> Result<()> {
    let (sim, directory) = start()?;
    for call in ["b2_authorize_account", "b2_create_bucket", "b2_create_key"] {
        sim.fail(2, Some(call), 503, Some(0))?;
    }
    provision(&sim, directory.path(), &["--private"])?.expect(0);
    let calls = sim.calls()?;
    assert_eq!(calls.calls["b2_authorize_account"], 3);
    assert_eq!(calls.calls["b2_create_key"], 3);
    let made: u64 = calls.calls.values().sum();
    assert_eq!(calls.connections, made, "each on a connection of its own");
    listed(&sim)?;
    Ok(())
}

#[test]
fn a_key_that_may_have_been_made_is_not_made_again() -> Result<()> {
    let (sim, directory) = start()?;
    sim.fail(1, Some("b2_create_key"), 500, None)?;
    let ran = provision(&sim, directory.path(), &["--private", "--key-file", "k"])?.expect(1);
    assert!(
        ran.stderr.contains("run the same command again"),
        "{}",
        ran.stderr
    );
    assert_eq!(sim.calls()?.calls["b2_create_key"], 1);
    assert!(
        !directory.path().join("k").exists(),
        "no empty key file is left"
    );
    provision(&sim, directory.path(), &["--private", "--key-file", "k"])?.expect(0);
    Ok(())
}

#[test]
fn its_output_is_the_snapshot() -> Result<()> {
    let (sim, directory) = start()?;
    let mut printed = String::new();
    for arguments in [
        &["--private", "--dry-run"][..],
        &["--private", "--key-file", "medialift.key"],
        &["--private"],
        &["--public"],
    ] {
        let ran = provision(&sim, directory.path(), arguments)?;
        printed.push_str(&format!(
            "$ medialift provision --bucket {BUCKET} {}\n{}{}\n",
            arguments.join(" "),
            ran.stdout,
            ran.stderr
        ));
    }
    insta::assert_snapshot!(printed);
    Ok(())
}
