//! The guards of `sync --delete` against deleting objects whose files only seem to be gone.

use std::fs;
use std::process::Stdio;

use anyhow::Result;
use e2e::media::{Media, files, write};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

/// Settings of a Mastodon that keeps its media in the directory.
const OWNED_BY_DISK: &str = "S3_ENABLED=false\n";

/// A bucket with 40 objects whose files are on the disk, and `gone` whose files are not.
fn with_gone(gone: usize) -> Result<Media> {
    let media = Media::with(&[])?;
    for number in 0..40 {
        write(&media.live().join(format!("{number}.png")), "kept")?;
    }
    for number in 0..gone {
        write(&media.live().join(format!("gone/{number:02}.png")), "gone")?;
    }
    write(&media.path().join(".env.production"), OWNED_BY_DISK)?;
    media.run("sync", &[])?.expect(0);
    if gone > 0 {
        fs::remove_dir_all(media.live().join("gone"))?;
    }
    media.origin.reset_requests()?;
    Ok(media)
}

fn deletions(media: &Media) -> Result<u64> {
    Ok(media.origin.requests()?.of("DeleteObject"))
}

#[test]
fn once_the_media_are_moved_aside_nothing_is_taken_for_gone() -> Result<()> {
    let media = with_gone(1)?;
    let env = media.path().join(".env.production");
    let settings = format!(
        "S3_ENABLED=true\nS3_BUCKET=media\nS3_REGION=us-west-004\nS3_ENDPOINT={}\n",
        media.origin.s3_url
    );
    write(&env, &settings)?;
    media.run("cutover", &[])?.expect(0);
    // Also where the settings say that the directory is in use again.
    write(&env, OWNED_BY_DISK)?;
    write(&media.live().join("new.png"), "written by Mastodon")?;
    for directory in ["public/system", "public/system_"] {
        let mut command = media.command(&["sync", directory, "--delete", "--max-delete", "99"])?;
        let ran = e2e::medialift::run(&mut command)?.expect(2);
        assert!(
            ran.stderr.contains("moved aside") && ran.stderr.contains("\nhint: "),
            "{}",
            ran.stderr
        );
    }
    assert_eq!(media.origin.requests()?.of("PutObject"), 0);
    assert_eq!(deletions(&media)?, 0);
    media.run("rollback", &["--leave-in-bucket"])?.expect(0);
    media.run("sync", &["--delete"])?.expect(0);
    assert_eq!(deletions(&media)?, 1);
    Ok(())
}

#[test]
fn once_mastodon_writes_to_the_bucket_nothing_is_taken_for_gone() -> Result<()> {
    let media = with_gone(1)?;
    let env = media.path().join(".env.production");
    write(&env, "S3_ENABLED=true\nS3_BUCKET=media\n")?;
    let ran = media.run("sync", &["--delete"])?.expect(2);
    assert!(
        ran.stderr.contains("Mastodon writes to this bucket"),
        "{}",
        ran.stderr
    );
    for other in [
        "S3_ENABLED=false\nS3_BUCKET=media\n",
        "S3_ENABLED=true\nS3_BUCKET=other\n",
    ] {
        write(&env, other)?;
        media.run("sync", &["--delete", "--dry-run"])?.expect(0);
    }
    Ok(())
}

#[test]
fn more_than_a_tenth_is_deleted_only_where_the_number_is_given() -> Result<()> {
    let media = with_gone(5)?;
    let ran = media.run("sync", &["--delete"])?.expect(1);
    assert!(
        ran.stderr
            .contains("more than a tenth of the 45 objects in the bucket"),
        "{}",
        ran.stderr
    );
    assert_eq!(deletions(&media)?, 0);
    media
        .run("sync", &["--delete", "--max-delete", "5"])?
        .expect(0);
    assert_eq!(deletions(&media)?, 5);
    Ok(())
}

#[test]
fn an_interruption_ends_the_deleting() -> Result<()> {
    let media = with_gone(40)?;
    media
        .origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 1_000, "method": "DELETE" }))?;
    let child = media
        .command(&[
            "sync",
            "public/system",
            "--json",
            "--delete",
            "--max-delete",
            "40",
        ])?
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()?;
    // One page is listed before anything is deleted.
    media.wait_for_requests(2)?;
    kill_process(Pid::from_child(&child), Signal::INT)?;
    let output = child.wait_with_output()?;
    assert_eq!(output.status.code(), Some(130));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    assert_eq!(report["interrupted"], true);
    let deleted = deletions(&media)?;
    assert_eq!(report["deleted"], deleted);
    assert!((1..40).contains(&deleted), "{deleted}");
    Ok(())
}

/// The directory has been listed when the first request is sent, and no file of it is read.
#[test]
fn a_directory_that_was_replaced_meanwhile_ends_the_run() -> Result<()> {
    let media = with_gone(1)?;
    media
        .origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 2_000 }))?;
    let child = media
        .command(&["sync", "public/system", "--delete", "--size-only"])?
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    media.wait_for_requests(1)?;
    // As when a disk is unmounted: the same path is another directory.
    let aside = media.path().join("aside");
    fs::rename(media.live(), &aside)?;
    for (path, content) in files(&aside)? {
        write(&media.live().join(path), std::str::from_utf8(&content)?)?;
    }
    let output = child.wait_with_output()?;
    let printed = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("is no longer the directory"), "{printed}");
    assert_eq!(deletions(&media)?, 0);
    Ok(())
}

#[test]
fn nothing_is_deleted_while_a_directory_is_skipped_for_its_name() -> Result<()> {
    for name in ["gone\u{7}".to_owned(), "gone".repeat(63)] {
        let media = with_gone(1)?;
        write(&media.live().join(&name).join("00.png"), "new")?;
        let ran = media.run("sync", &["--delete"])?.expect(1);
        assert!(
            ran.stderr.contains("could not be listed") && ran.stderr.contains("rename"),
            "{}",
            ran.stderr
        );
        assert_eq!(deletions(&media)?, 0);
        fs::remove_dir_all(media.live().join(&name))?;
        media.run("sync", &["--delete"])?.expect(0);
        assert_eq!(deletions(&media)?, 1);
    }
    Ok(())
}

#[test]
fn a_switch_to_the_bucket_in_the_middle_of_a_run_is_not_missed() -> Result<()> {
    let media = with_gone(1)?;
    media
        .origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 2_000 }))?;
    let child = media
        .command(&["sync", "public/system", "--delete", "--size-only"])?
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    media.wait_for_requests(1)?;
    let settings = "S3_ENABLED=true\nS3_BUCKET=media\n";
    write(&media.path().join(".env.production"), settings)?;
    let output = child.wait_with_output()?;
    let printed = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(
        printed.contains("Mastodon writes to this bucket"),
        "{printed}"
    );
    assert_eq!(deletions(&media)?, 0);
    Ok(())
}

/// After a rollback the disk is authoritative, and what Mastodon uploaded meanwhile has no file.
#[test]
fn what_mastodon_uploaded_while_it_used_the_bucket_is_left() -> Result<()> {
    let media = with_gone(2)?;
    media.switch()?;
    media.put("a/new.png", b"uploaded by Mastodon")?;
    media.put("gone/00.png", b"fetched again by Mastodon")?;
    media.run("sync", &[])?.expect(0);
    media.switch_back()?;
    let delete = ["--delete", "--max-delete", "9"];
    for others in [&[][..], &[], &["--state-dir", "other"]] {
        let ran = media.run("sync", &[&delete, others].concat())?.expect(0);
        for key in ["a/new.png", "gone/00.png"] {
            let is_left = ran.stderr.contains(&format!("left: `{key}`"));
            assert!(is_left, "{}", ran.stderr);
        }
        assert_eq!(deletions(&media)?, 1, "only the one that had a file");
    }
    let left = media.client().list(e2e::media::BUCKET)?;
    assert!(left.contains_key("a/new.png") && left.contains_key("gone/00.png"));
    assert!(!left.contains_key("gone/01.png"));
    Ok(())
}

/// Many deletions take time, in which Mastodon may be switched to the bucket.
#[test]
fn a_switch_to_the_bucket_while_objects_are_deleted_ends_it() -> Result<()> {
    let media = with_gone(250)?;
    media
        .origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 10, "method": "DELETE" }))?;
    let child = media
        .command(&["sync", "public/system", "--delete", "--max-delete", "250"])?
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    media.wait_for_operation("DeleteObject")?;
    media.switch()?;
    let output = child.wait_with_output()?;
    let printed = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(
        printed.contains("Mastodon writes to this bucket"),
        "{printed}"
    );
    assert_eq!(deletions(&media)?, 100);
    Ok(())
}

/// What `prune` has deleted is in the bucket only.
#[test]
fn after_a_prune_nothing_is_taken_for_gone() -> Result<()> {
    let media = with_gone(0)?;
    media.switch()?;
    media.run("cutover", &[])?.expect(0);
    media.run("prune", &[])?.expect(0);
    media
        .run("rollback", &["--after-prune", "--leave-in-bucket"])?
        .expect(0);
    media.switch_back()?;
    write(&media.live().join("new.png"), "written by Mastodon")?;
    let ran = media
        .run("sync", &["--delete", "--max-delete", "99"])?
        .expect(2);
    assert!(
        ran.stderr.contains("`medialift prune` has deleted"),
        "{}",
        ran.stderr
    );
    assert_eq!(deletions(&media)?, 0);
    media.run("sync", &[])?.expect(0);
    Ok(())
}
