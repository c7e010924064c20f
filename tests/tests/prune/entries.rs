//! Links, hard links and many files.

use std::fs;

use anyhow::Result;
use e2e::media::{Media, files, write};
use e2e::medialift;
use serde_json::json;

use super::aside;

#[test]
fn links_are_neither_followed_nor_deleted() -> Result<()> {
    let media = aside()?;
    write(
        &media
            .path()
            .join("outside/accounts/avatars/1/original/a.png"),
        "avatar",
    )?;
    fs::remove_dir_all(media.kept().join("accounts"))?;
    std::os::unix::fs::symlink(
        media.path().join("outside/accounts"),
        media.kept().join("accounts"),
    )?;
    let ran = media.run("prune", &[])?.expect(4);
    assert!(
        ran.stdout.contains("accounts/: a symbolic link"),
        "{}",
        ran.stdout
    );
    assert_eq!(files(&media.path().join("outside"))?.len(), 1);
    assert!(fs::symlink_metadata(media.kept().join("accounts"))?.is_symlink());
    Ok(())
}

/// 256 files at a time, each with its directory and its connection, under a limit of 128.
#[test]
fn many_files_at_a_time_do_not_run_out_of_descriptors() -> Result<()> {
    let media = Media::with(&[])?;
    for number in 0..300 {
        write(&media.live().join(format!("{number}/a.png")), "a")?;
    }
    media.upload()?;
    media.switch()?;
    media.run("cutover", &[])?.expect(0);
    media
        .origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 300 }))?;
    let prune = media.command(&["prune", "public/system", "--concurrency", "256"])?;
    let mut limited = medialift::after("ulimit -Sn 128", &prune);
    medialift::run(&mut limited)?.expect(0);
    assert!(files(&media.kept())?.is_empty());
    Ok(())
}

/// Deleting one name of a file changes the others' metadata; all are deleted in one run.
#[test]
fn hard_links_are_pruned_in_one_run() -> Result<()> {
    for proof in ["read", "head"] {
        let media = Media::with(&[("a/0.png", "the same picture")])?;
        for number in 1..20 {
            let name = media.live().join(format!("a/{number}.png"));
            fs::hard_link(media.live().join("a/0.png"), name)?;
        }
        media.upload()?;
        media.switch()?;
        media.run("cutover", &[])?.expect(0);
        let ran = media
            .run("prune", &["--prove", proof, "--json"])?
            .expect(0)
            .json()?;
        assert_eq!(ran["deleted"], 20);
        assert!(files(&media.kept())?.is_empty());
    }
    Ok(())
}
