//! What becomes of the two directories: what is moved, what comes back, and that nothing is lost between.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use anyhow::Result;
use e2e::media::{files, write};
use serde_json::json;

use super::{FILES, uploaded};

#[test]
fn there_and_back_nothing_is_lost() -> Result<()> {
    let media = uploaded()?;
    fs::set_permissions(media.live(), fs::Permissions::from_mode(0o2755))?;
    let before = files(&media.live())?;
    let ran = media.run("cutover", &[])?.expect(0);
    insta::assert_snapshot!("cutover", media.shown(&ran));
    assert_eq!(files(&media.kept())?, before);
    assert!(files(&media.live())?.is_empty());
    let (live, kept) = (fs::metadata(media.live())?, fs::metadata(media.kept())?);
    assert_eq!(live.mode(), kept.mode());
    assert_eq!((live.uid(), live.gid()), (kept.uid(), kept.gid()));

    let again = media.run("cutover", &[])?.expect(0);
    assert!(
        again.stdout.contains("is complete already"),
        "{}",
        again.stdout
    );

    write(&media.live().join("accounts/new.png"), "new")?;
    let ran = media.run("rollback", &[])?.expect(0);
    insta::assert_snapshot!("rollback", media.shown(&ran));
    let mut expected = before;
    expected.insert("accounts/new.png".to_owned(), b"new".to_vec());
    assert_eq!(files(&media.live())?, expected);
    assert!(!media.kept().exists());
    assert_eq!(fs::read_dir(media.path().join("public"))?.count(), 1);
    media.run("rollback", &[])?.expect(1);
    Ok(())
}

#[test]
fn a_dry_run_moves_nothing() -> Result<()> {
    let media = uploaded()?;
    let ran = media.run("cutover", &["--dry-run"])?.expect(0);
    assert!(ran.stdout.contains("would become"), "{}", ran.stdout);
    assert_eq!(fs::read_dir(media.path().join("public"))?.count(), 1);
    media.run("cutover", &[])?.expect(0);
    media.run("rollback", &["--dry-run"])?.expect(0);
    assert!(media.kept().exists());
    Ok(())
}

#[test]
fn a_system_directory_of_another_program_is_not_touched() -> Result<()> {
    let media = uploaded()?;
    write(&media.kept().join("theirs"), "x")?;
    let ran = media.run("cutover", &[])?.expect(1);
    assert!(
        ran.stderr
            .contains("exists, and was not created by a cutover"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("\nhint: "));
    assert_eq!(files(&media.live())?.len(), FILES.len());
    assert_eq!(files(&media.kept())?.len(), 1);
    Ok(())
}

#[test]
fn a_second_run_at_once_is_refused() -> Result<()> {
    let media = uploaded()?;
    media
        .origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 3_000 }))?;
    media.origin.reset_requests()?;
    let mut first = media
        .command(&["cutover", "public/system"])?
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()?;
    media.wait_for_requests(1)?;
    let second = media.run("rollback", &[])?.expect(1);
    assert!(
        second
            .stderr
            .contains("another medialift process is using it"),
        "{}",
        second.stderr
    );
    assert_eq!(first.wait()?.code(), Some(0));
    media.run("rollback", &[])?.expect(0);
    Ok(())
}

#[test]
fn files_in_conflict_on_the_way_back_are_both_kept() -> Result<()> {
    let media = uploaded()?;
    media.run("cutover", &[])?.expect(0);
    let path = "accounts/avatars/000/000/001/original/a.png";
    write(&media.live().join(path), "newer")?;
    write(
        &media.live().join("media_attachments/files/1/small/c.jpg"),
        "thumbnail",
    )?;
    let ran = media.run("rollback", &["--json"])?.expect(4).json()?;
    assert_eq!(ran["merged"]["conflicts"], json!([path]));
    assert_eq!(ran["merged"]["same"], 1);
    let conflicts = std::path::PathBuf::from(ran["conflicts_dir"].as_str().expect("a path"));
    assert_eq!(fs::read_to_string(conflicts.join(path))?, "newer");
    assert_eq!(fs::read_to_string(media.live().join(path))?, "avatar");
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}

/// As on a server with the media on a separate disk.
#[test]
fn a_link_to_another_disk_works_all_the_way() -> Result<()> {
    let media = uploaded()?;
    let disk = media.path().join("disk");
    fs::rename(media.live(), &disk)?;
    std::os::unix::fs::symlink(&disk, media.live())?;
    media.run("cutover", &[])?.expect(0);
    assert!(fs::symlink_metadata(media.kept())?.is_symlink());
    assert!(fs::symlink_metadata(media.live())?.is_dir());
    media.run("rollback", &[])?.expect(0);
    assert!(fs::symlink_metadata(media.live())?.is_symlink());
    media.run("cutover", &[])?.expect(0);
    media.run("prune", &[])?.expect(0);
    assert!(files(&disk)?.is_empty());
    Ok(())
}

/// Mastodon's `.gitignore` names `public/system` and no other name.
#[test]
fn git_clean_leaves_what_a_cutover_put_aside() -> Result<()> {
    let media = uploaded()?;
    let git = |arguments: &[&str]| -> Result<String> {
        let ran = std::process::Command::new("git")
            .args(arguments)
            .current_dir(media.path())
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .output()?;
        anyhow::ensure!(ran.status.success(), "{ran:?}");
        Ok(String::from_utf8(ran.stdout)?)
    };
    git(&["init", "--quiet"])?;
    write(
        &media.path().join(".gitignore"),
        "/public/system\n.env.production\n",
    )?;
    media.run("cutover", &[])?.expect(0);
    git(&["clean", "-fd"])?;
    assert_eq!(files(&media.kept())?.len(), FILES.len());
    media.run("rollback", &[])?.expect(0);
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}
