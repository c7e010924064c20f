//! What stops it before anything is written, and that no secret shows then.

use std::fs;

use anyhow::Result;
use e2e::medialift;

use super::world::{BEFORE, KEY, KEY_ID, World};

/// With the wrong one every upload is refused, so it is never guessed.
#[test]
fn who_may_read_the_bucket_must_be_said() -> Result<()> {
    let world = World::new(BEFORE)?;
    fs::remove_file(world.dir.path().join("medialift.toml"))?;
    let ran = world.env(&[])?.expect(2);
    assert!(
        ran.stderr.contains("public or private") && ran.stderr.contains("\nhint: "),
        "{}",
        ran.stderr
    );
    assert_eq!(world.text()?, BEFORE);
    world.env(&["--visibility", "private"])?.expect(0);
    assert!(world.text()?.contains("S3_PERMISSION=private"));
    let ran = world.env(&["--lint"])?.expect(0);
    assert!(
        ran.stdout.contains("not checked: whether `S3_PERMISSION`"),
        "{}",
        ran.stdout
    );
    let report = world.env(&["--lint", "--json"])?.expect(0).json()?;
    assert_eq!(report["unchecked"], serde_json::json!(["permission"]));
    let report = world
        .env(&["--lint", "--visibility", "public", "--json"])?
        .expect(3)
        .json()?;
    assert_eq!(report["unchecked"], serde_json::json!([]));
    Ok(())
}

#[test]
fn a_master_key_is_refused_before_anything_is_written() -> Result<()> {
    let world = World::new(BEFORE)?;
    let mut command = medialift::command(world.dir.path())?;
    command
        .args(["env", "--files-url", "https://files.example.com"])
        .args(["--bucket", "my-instance-media"])
        .args(["--endpoint", "s3.us-west-004.backblazeb2.com"])
        .env("B2_APPLICATION_KEY_ID", "161f959a5f87")
        .env("B2_APPLICATION_KEY", KEY);
    let ran = medialift::run(&mut command)?.expect(2);
    assert!(ran.stderr.contains("master key"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
    assert_eq!(world.text()?, BEFORE);
    Ok(())
}

#[test]
fn an_open_quote_before_the_settings_stops_it() -> Result<()> {
    let before = "DB_PASS='oops\n";
    let world = World::new(before)?;
    let mut command = medialift::command(world.dir.path())?;
    command
        .args(["env", "--visibility", "private"])
        .args(["--files-url", "https://files.example.com"])
        .args(["--bucket", "my-instance-media"])
        .args(["--endpoint", "s3.us-west-004.backblazeb2.com"])
        .env("B2_APPLICATION_KEY_ID", KEY_ID)
        .env("B2_APPLICATION_KEY", KEY)
        .env("PURGE_SECRET", " #");
    medialift::run(&mut command)?.expect(1);
    assert_eq!(world.text()?, before);
    Ok(())
}

#[test]
fn a_broken_line_stops_it_and_is_named() -> Result<()> {
    for (before, line) in [
        ("S3_ENABLED=false\nS3_BUCKET=old\nS3_BUCKET\n", 3),
        (
            "S3_ENABLED=true AWS_SECRET_ACCESS_KEY=K001abc CACHE_BUSTER_SECRET=p@ss\n",
            1,
        ),
        ("A=b\nexport SOMETHING=\n", 2),
        ("A=b\nSMTP_SERVER\n", 2),
        ("A=b\nDB_HOST='a' DB_PORT='5432'\n", 2),
    ] {
        let world = World::new(before)?;
        let ran = world.env(&["--visibility", "private"])?.expect(3);
        let place = format!(".env.production:{line}: error: ");
        assert!(ran.stdout.contains(&place), "{}", ran.stdout);
        assert!(ran.stdout.contains("was not changed"), "{}", ran.stdout);
        assert_eq!(world.text()?, before);
        assert!(world.backups()?.is_empty());
        let ran = world.env(&["--lint", "--visibility", "private"])?.expect(3);
        assert!(ran.stdout.contains(&place), "{}", ran.stdout);
    }
    Ok(())
}

#[test]
fn a_file_that_outranks_it_is_named() -> Result<()> {
    for name in [".env.production.local", ".env.local"] {
        let world = World::new("LOCAL_DOMAIN=example.com\n")?;
        world.env(&[])?.expect(0);
        fs::write(world.dir.path().join(name), "S3_ENABLED=false\n")?;
        let ran = world.env(&["--lint", "--visibility", "public"])?.expect(3);
        assert!(ran.stdout.contains(name), "{}", ran.stdout);
        let before = world.text()?;
        let ran = world.env(&["--visibility", "private"])?.expect(3);
        assert!(ran.stdout.contains("outranks"), "{}", ran.stdout);
        assert_eq!(world.text()?, before);
    }
    Ok(())
}

#[test]
fn no_secret_shows_however_the_file_is_broken() -> Result<()> {
    let secret = "p@ss-0123456789abcdef";
    for before in [
        format!("S3_ENABLED=true AWS_SECRET_ACCESS_KEY={KEY} CACHE_BUSTER_SECRET={secret}\n"),
        format!("S3_BUCKET=$(echo {secret})\nS3_REGION='{secret}\nS3_BUCKET={KEY}'\n"),
        format!("{KEY}\nexport {KEY}\nS3_ENDPOINT=https://user:{secret}@host/\n"),
        format!("AWS_SECRET_ACCESS_KEY=\"{KEY}\nS3_BUCKET=${KEY}\n"),
    ] {
        for arguments in [
            &["--lint"][..],
            &["--lint", "--json"],
            &["--dry-run"],
            &["--dry-run", "--json"],
            &["--announce", "--dry-run"],
        ] {
            // `env` fails where a secret shows.
            World::new(&before)?.env(arguments)?;
        }
    }
    Ok(())
}
