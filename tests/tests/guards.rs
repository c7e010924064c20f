//! The owner of the media, found from an installation on disk: the commands that could lose something are
//! refused where Mastodon writes to the bucket, or where the owner is not known.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::Result;
use e2e::media::{Media, write};
use e2e::medialift::Ran;

/// A bucket that has the one local file, and another whose file is gone.
fn with_one_gone() -> Result<Media> {
    let media = Media::with(&[("a/1.png", "one"), ("a/2.png", "two")])?;
    media.switch_back()?;
    media.run("sync", &[])?.expect(0);
    fs::remove_file(media.live().join("a/2.png"))?;
    Ok(media)
}

fn sync_delete(media: &Media, directory: &Path) -> Result<Ran> {
    let directory = directory.to_str().expect("a path in UTF-8");
    let arguments = ["sync", directory, "--delete", "--max-delete", "9"];
    e2e::medialift::run(&mut media.command(&arguments)?)
}

/// `sync --delete` on this directory is refused with this cause, and deletes nothing.
#[track_caller]
fn refused(media: &Media, directory: &Path, cause: &str) -> Result<()> {
    let ran = sync_delete(media, directory)?.expect(2);
    assert!(ran.stderr.contains(cause), "{cause}: {}", ran.stderr);
    assert!(ran.stderr.contains("\nhint: "), "{}", ran.stderr);
    assert_eq!(media.origin.requests()?.of("DeleteObject"), 0, "{cause}");
    Ok(())
}

#[test]
fn nothing_is_deleted_however_mastodon_is_set_to_write_to_the_bucket() -> Result<()> {
    let media = with_one_gone()?;
    let writes = "Mastodon writes to this bucket";
    for env in [
        "S3_ENABLED=true\nS3_BUCKET=media\n",
        "S3_ENABLED=true\nNAME=media\nS3_BUCKET=${NAME}\n",
        "S3_ENABLED=true\nS3_BUCKET=media # the bucket\n",
        "export S3_ENABLED='true'\nS3_BUCKET=\"media\"\n",
        "S3_ENABLED: true\nS3_BUCKET=Media\n",
        "\u{feff}S3_ENABLED=true\r\nS3_BUCKET=MEDIA\r\n",
    ] {
        write(&media.path().join(".env.production"), env)?;
        refused(&media, &media.live(), writes)?;
    }
    for name in [".env.production.local", ".env.local"] {
        let outranking = media.path().join(name);
        write(&media.path().join(".env.production"), "S3_ENABLED=false\n")?;
        write(&outranking, "S3_ENABLED=true\nS3_BUCKET=media\n")?;
        refused(&media, &media.live(), writes)?;
        fs::remove_file(outranking)?;
    }
    sync_delete(&media, &media.live())?.expect(0);
    assert_eq!(media.origin.requests()?.of("DeleteObject"), 1);
    Ok(())
}

#[test]
fn nothing_is_deleted_where_the_owner_of_the_media_is_not_known() -> Result<()> {
    let media = with_one_gone()?;
    let env = media.path().join(".env.production");
    for (text, cause) in [
        ("S3_ENABLED=true\nS3_BUCKET=$ELSEWHERE\n", "`$ELSEWHERE`"),
        ("S3_ENABLED=$(cat enabled)\n", "`$(…)`"),
        ("S3_ENABLED=false\nexport NAME=\n", "may not start"),
        (
            "S3_ENABLED=\n'true'\nS3_BUCKET=media\n",
            "read the settings differently",
        ),
    ] {
        write(&env, text)?;
        refused(&media, &media.live(), cause)?;
    }
    fs::remove_file(&env)?;
    refused(&media, &media.live(), "no Mastodon installation was found")?;
    // It may say anything.
    symlink("nowhere", &env)?;
    refused(&media, &media.live(), "cannot be read")?;
    Ok(())
}

#[test]
fn a_directory_is_known_by_the_target_of_its_link() -> Result<()> {
    let media = with_one_gone()?;
    let env = media.path().join(".env.production");
    write(&env, "S3_ENABLED=true\nS3_BUCKET=media\n")?;
    let disk = media.path().join("disk");
    fs::rename(media.live(), &disk)?;
    symlink(&disk, media.live())?;
    refused(&media, &media.live(), "Mastodon writes to this bucket")?;
    // The working directory is Mastodon's own, so the link is found from its target.
    refused(&media, &disk, "Mastodon writes to this bucket")?;
    Ok(())
}

#[test]
fn media_that_were_moved_by_a_setting_are_known() -> Result<()> {
    let media = with_one_gone()?;
    let moved = media.path().join("moved");
    fs::rename(media.live(), &moved)?;
    let setting = format!("PAPERCLIP_ROOT_PATH={}\n", moved.display());
    let env = media.path().join(".env.production");
    write(
        &env,
        &format!("{setting}S3_ENABLED=true\nS3_BUCKET=media\n"),
    )?;
    refused(&media, &moved, "Mastodon writes to this bucket")?;
    write(&env, &setting)?;
    sync_delete(&media, &moved)?.expect(0);
    Ok(())
}

/// Without its settings in the bucket Mastodon would be left without a single picture.
#[test]
fn a_cutover_and_a_prune_need_a_mastodon_that_works_with_this_bucket() -> Result<()> {
    let media = Media::with(&[("a/1.png", "one")])?;
    media.upload()?;
    let env = media.path().join(".env.production");
    for (text, cause) in [
        (
            "S3_ENABLED=false\nS3_BUCKET=media\n",
            "keeps its media in the directory",
        ),
        ("S3_ENABLED=true\nS3_BUCKET=other\n", "/other/"),
        (
            "S3_ENABLED=true\nS3_BUCKET=media\nS3_KEY_PREFIX=m\n",
            "/media/m/",
        ),
        (
            "S3_ENABLED=true\nS3_BUCKET=media\nS3_ENDPOINT=https://s3.example.com\n",
            "s3.example.com",
        ),
        ("S3_ENABLED=true\nS3_BUCKET=$ELSEWHERE\n", "`$ELSEWHERE`"),
    ] {
        write(&env, text)?;
        for (command, flags) in [("cutover", &[][..]), ("prune", &["--live"])] {
            let ran = media.run(command, flags)?.expect(2);
            assert!(
                ran.stderr.contains(cause),
                "{command} {cause}: {}",
                ran.stderr
            );
            assert!(ran.stderr.contains("\nhint: "), "{}", ran.stderr);
        }
        assert!(media.live().join("a/1.png").exists());
    }
    // One that is there is not done without.
    let ran = media.run("cutover", &["--not-mastodon"])?.expect(2);
    assert!(
        ran.stderr.contains("Mastodon installation in"),
        "{}",
        ran.stderr
    );
    Ok(())
}

/// Their paths would be other keys than Mastodon asks for.
#[test]
fn a_part_of_a_media_directory_is_not_uploaded() -> Result<()> {
    let media = Media::with(&[("cache/accounts/avatars/1/original/a.png", "one")])?;
    let copy = media.path().join("copy");
    fs::rename(media.live(), &copy)?;
    let sync = |directory: &str, flags: &[&str]| {
        let arguments = [&["sync", directory], flags].concat();
        e2e::medialift::run(&mut media.command(&arguments)?)
    };
    for directory in [
        "copy/cache",
        "copy/cache/accounts",
        "copy/cache/accounts/avatars/1",
    ] {
        let ran = sync(directory, &[])?.expect(2);
        let hint = format!("hint: give `{}` itself", copy.display());
        assert!(ran.stderr.contains(&hint), "{}", ran.stderr);
    }
    assert_eq!(media.origin.requests()?.of("PutObject"), 0);
    sync("copy/cache", &["--not-mastodon"])?.expect(0);
    sync("copy", &["--not-mastodon"])?.expect(0);
    assert_eq!(media.origin.requests()?.of("PutObject"), 2);
    Ok(())
}

/// After a cutover the media are in `system_`: on the disk Mastodon would have none.
#[test]
fn an_undo_that_leaves_mastodon_without_media_is_refused() -> Result<()> {
    let media = Media::with(&[])?;
    media.switch_back()?;
    let env = |flags: &[&str]| {
        let mut command = media.command(&["env", "--visibility", "public"])?;
        command
            .args(["--files-url", "https://files.example.com"])
            .args(["--endpoint", "s3.us-west-004.backblazeb2.com"])
            .args(flags);
        e2e::medialift::run(&mut command)
    };
    let text = || fs::read_to_string(media.path().join(".env.production"));
    let before = text()?;
    env(&["--announce"])?.expect(0);
    env(&[])?.expect(0);
    let switched = text()?;
    fs::create_dir(media.kept())?;
    let state = media.path().join("public/.system.medialift.json");
    let moved = r#"{"version":1,"phase":"moved","media":{"device":1,"inode":1},"owner":0,"group":0,"mode":493,"pruned":false}"#;
    fs::write(&state, moved)?;
    for more in [&[][..], &["--dry-run"], &["--discard-edits"]] {
        let ran = env(&[&["--undo"], more].concat())?.expect(2);
        let hint = "hint: run `medialift rollback` first";
        assert!(ran.stderr.contains(hint), "{}", ran.stderr);
        assert_eq!(text()?, switched);
    }
    fs::remove_file(&state)?;
    env(&["--undo"])?.expect(0);
    assert!(!text()?.contains("S3_ENABLED=true"));
    // The announcement before it says nothing of the bucket.
    fs::write(&state, moved)?;
    env(&["--undo"])?.expect(0);
    assert_eq!(text()?, before);
    Ok(())
}
