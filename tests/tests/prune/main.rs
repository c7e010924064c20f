//! `prune` on the real binary, against buckets that answer correctly and buckets that do not.

mod directories;
mod entries;
mod proof;

use std::fs;

use anyhow::Result;
use e2e::media::{Media, files, write};
use e2e::medialift::{self, Ran};
use serde_json::json;

const FILES: &[(&str, &str)] = &[
    ("accounts/avatars/1/original/a.png", "avatar"),
    ("cache/accounts/avatars/1/original/b.png", "cached avatar"),
    ("media_attachments/files/1/original/c d é.jpg", "attachment"),
    ("media_attachments/files/1/original/empty", ""),
    ("media_attachments/files/1/small/c.jpg", "thumbnail"),
];

/// Uploaded and cut over.
fn aside() -> Result<Media> {
    let media = Media::with(FILES)?;
    media.upload()?;
    media.switch()?;
    media.run("cutover", &[])?.expect(0);
    Ok(media)
}

#[test]
fn what_is_proven_is_deleted_and_the_disk_is_freed() -> Result<()> {
    let media = aside()?;
    write(&media.live().join("new.png"), "written by Mastodon")?;
    let ran = media.run("prune", &["--dry-run"])?.expect(0);
    assert!(
        ran.stdout.contains("5 files (38 bytes) would be deleted"),
        "{}",
        ran.stdout
    );
    assert_eq!(files(&media.kept())?.len(), 5);
    media.origin.reset_requests()?;
    let ran = media.run("prune", &[])?.expect(0);
    insta::assert_snapshot!("prune", without_freed(&media.shown(&ran)));
    assert_eq!(
        media.origin.requests()?.of("GetObject"),
        5,
        "one read a file"
    );
    assert_eq!(
        fs::read_dir(media.kept())?.count(),
        0,
        "no empty directories"
    );
    assert_eq!(files(&media.live())?.len(), 1);
    let ran = media.run("prune", &["--json"])?.expect(0).json()?;
    assert_eq!(ran["deleted"], 0);
    let ran = media.run("rollback", &[])?.expect(1);
    assert!(ran.stderr.contains("--after-prune"), "{}", ran.stderr);
    Ok(())
}

/// Bytes freed are those of the filesystem's blocks, which differ between machines.
fn without_freed(text: &str) -> String {
    text.lines()
        .map(|line| match line.split_once(" in `") {
            Some((start, rest)) if start.starts_with("freed ") => format!("freed N in `{rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect()
}

#[test]
fn a_key_that_is_revoked_half_way_stops_it() -> Result<()> {
    let media = aside()?;
    media
        .origin
        .set_faults(&json!({ "kind": "revoked", "key_prefix": "media_attachments/" }))?;
    let ran = media.run("prune", &["--concurrency", "1"])?.expect(1);
    assert!(ran.stderr.contains("\nhint: "), "{}", ran.stderr);
    assert_eq!(files(&media.kept())?.len(), 3);
    Ok(())
}

/// Runs `prune --delete-from` without a configuration file.
fn only_dir(media: &Media, directory: &str, arguments: &[&str]) -> Result<Ran> {
    let mut command = media.command(&["prune", "--delete-from", directory])?;
    medialift::run(command.args(arguments))
}

#[test]
fn a_second_run_at_once_is_refused() -> Result<()> {
    let media = aside()?;
    media
        .origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 3_000 }))?;
    media.origin.reset_requests()?;
    let mut first = media
        .command(&["prune", "public/system"])?
        .stdout(std::process::Stdio::null())
        .spawn()?;
    media.wait_for_requests(1)?;
    let ran = only_dir(&media, "public/system_", &[])?.expect(1);
    assert!(
        ran.stderr.contains("another medialift process"),
        "{}",
        ran.stderr
    );
    assert_eq!(first.wait()?.code(), Some(0));
    Ok(())
}

#[test]
fn what_deleted_nothing_leaves_the_way_back_whole() -> Result<()> {
    let media = aside()?;
    let mut command = media.command(&["prune", "public/system"])?;
    command.env("B2_APPLICATION_KEY_ID", "00161f959a5f87b0000000009");
    medialift::run(&mut command)?.expect(1);
    media.run("rollback", &[])?.expect(0);
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}

#[test]
fn a_dry_run_lists_what_it_would_do_with_each_file() -> Result<()> {
    let media = aside()?;
    let ran = media.run("prune", &["--dry-run", "--verbose"])?.expect(0);
    let count = |verb: &str| ran.stderr.lines().filter(|l| l.starts_with(verb)).count();
    assert_eq!((count("would delete "), count("deleted ")), (5, 0));
    Ok(())
}

#[test]
fn a_cap_that_is_exceeded_ends_it_at_once() -> Result<()> {
    let media = aside()?;
    media.origin.set_faults(&json!({
        "kind": "cap_exceeded", "method": "GET", "key_prefix": "media_attachments/",
    }))?;
    media.origin.reset_requests()?;
    let ran = media.run("prune", &["--concurrency", "1"])?.expect(1);
    assert!(ran.stderr.contains("cap"), "{}", ran.stderr);
    assert_eq!(files(&media.kept())?.len(), 3);
    assert_eq!(
        media.origin.requests()?.of("GetObject"),
        3,
        "no other is asked for"
    );
    Ok(())
}

#[test]
fn sigterm_ends_it_and_the_next_run_goes_on() -> Result<()> {
    let media = aside()?;
    media
        .origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 400, "operation": "GetObject" }))?;
    media.origin.reset_requests()?;
    let mut child = media
        .command(&["prune", "public/system", "--concurrency", "1"])?
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()?;
    media.wait_for_operation("GetObject")?;
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
    assert_eq!(child.wait()?.code(), Some(130));
    assert!(!files(&media.kept())?.is_empty());
    media.origin.clear_faults()?;
    media.run("prune", &[])?.expect(0);
    assert!(files(&media.kept())?.is_empty());
    Ok(())
}
