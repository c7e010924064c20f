//! The directory that is pruned: in use, moved aside, another, or under another name.

use std::fs;
use std::path::Path;

use anyhow::Result;
use e2e::media::{Media, files, write};
use e2e::medialift::{self, Ran};
use e2e::mounts::in_own_mounts;

use super::{FILES, aside, only_dir};

#[test]
fn the_directory_in_use_is_pruned_only_on_request() -> Result<()> {
    let media = Media::with(FILES)?;
    media.upload()?;
    media.switch()?;
    let ran = media.run("prune", &[])?.expect(2);
    assert!(ran.stderr.contains("no complete cutover"), "{}", ran.stderr);
    let ran = media
        .run("prune", &["--delete-from", "public/system"])?
        .expect(2);
    assert!(
        ran.stderr.contains("Mastodon uses this directory"),
        "{}",
        ran.stderr
    );
    media.run("prune", &["--delete-from", "public"])?.expect(2);
    assert_eq!(files(&media.live())?.len(), 5);
    media.run("prune", &["--live"])?.expect(0);
    assert!(files(&media.live())?.is_empty());
    Ok(())
}

#[test]
fn the_directory_in_use_is_known_without_being_named() -> Result<()> {
    let media = Media::with(FILES)?;
    media.upload()?;
    media.switch()?;
    for directory in ["public/system", "public/system/cache", "public", "."] {
        let ran = only_dir(&media, directory, &["--key-prefix", "cache"])?.expect(2);
        assert!(
            ran.stderr.contains("Mastodon uses this directory"),
            "{directory}: {}",
            ran.stderr
        );
    }
    assert_eq!(files(&media.live())?.len(), 5);
    only_dir(&media, "public/system", &["--live"])?.expect(0);
    assert!(files(&media.live())?.is_empty());
    Ok(())
}

#[test]
fn what_is_deleted_from_the_media_is_marked_however_they_are_named() -> Result<()> {
    let media = aside()?;
    // A part of the media would have other keys.
    only_dir(&media, "public/system_/cache", &["--key-prefix", "cache"])?.expect(2);
    assert_eq!(files(&media.kept())?.len(), 5);
    only_dir(&media, "public/system_", &[])?.expect(0);
    assert!(files(&media.kept())?.is_empty());
    let ran = media.run("rollback", &[])?.expect(1);
    assert!(ran.stderr.contains("--after-prune"), "{}", ran.stderr);
    Ok(())
}

#[test]
fn pruning_another_directory_leaves_the_way_back_whole() -> Result<()> {
    let media = aside()?;
    write(
        &media.path().join("copy/accounts/avatars/1/original/a.png"),
        "avatar",
    )?;
    media.run("prune", &["--delete-from", "copy"])?.expect(2);
    media
        .run("prune", &["--delete-from", "copy", "--not-mastodon"])?
        .expect(0);
    assert!(files(&media.path().join("copy"))?.is_empty());
    media.run("rollback", &[])?.expect(0);
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}

/// `prune --delete-from old`, where `directory` is mounted at `old`.
fn prune_mounted(media: &Media, directory: &Path) -> Result<Ran> {
    let old = media.path().join("old");
    fs::create_dir_all(&old)?;
    let plain = media.command(&["prune", "--delete-from", "old"])?;
    let mut command = in_own_mounts("mount --bind \"$0\" \"$1\" && shift && exec \"$@\"")?;
    command
        .args([directory, &old])
        .arg(plain.get_program())
        .args(plain.get_args())
        .current_dir(media.path())
        .env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    medialift::run(&mut command)
}

/// Another name of the same directories, without a link.
#[test]
fn a_mount_of_the_media_is_what_is_mounted() -> Result<()> {
    let media = aside()?;
    let lock = fs::File::open(media.path().join("public"))?;
    lock.lock()?;
    let ran = prune_mounted(&media, &media.kept())?.expect(1);
    assert!(
        ran.stderr.contains("another medialift process"),
        "{}",
        ran.stderr
    );
    drop(lock);
    write(&media.live().join("new.png"), "written by Mastodon")?;
    let ran = prune_mounted(&media, &media.live())?.expect(2);
    assert!(ran.stderr.contains("uses this directory"), "{}", ran.stderr);
    prune_mounted(&media, &media.kept())?.expect(0);
    assert!(files(&media.kept())?.is_empty());
    let ran = media.run("rollback", &[])?.expect(1);
    assert!(ran.stderr.contains("--after-prune"), "{}", ran.stderr);
    Ok(())
}
