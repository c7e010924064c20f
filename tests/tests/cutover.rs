//! `cutover` and `rollback` on the real binary.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Instant;

use anyhow::Result;
use e2e::media::{Media, files, write};
use e2e::medialift::Killer;
use serde_json::json;

const FILES: &[(&str, &str)] = &[
    ("accounts/avatars/000/000/001/original/a.png", "avatar"),
    ("cache/accounts/avatars/1/original/b.png", "cached avatar"),
    ("media_attachments/files/1/original/c d é.jpg", "attachment"),
    ("media_attachments/files/1/original/empty", ""),
    ("media_attachments/files/1/small/c.jpg", "thumbnail"),
];

fn uploaded() -> Result<Media> {
    let media = Media::with(FILES)?;
    media.upload()?;
    // Older than the tick of the kernel's clock, within which a file counts as written meanwhile.
    std::thread::sleep(std::time::Duration::from_millis(50));
    Ok(media)
}

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
        again.stdout.contains("has been done before"),
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
fn a_file_that_the_bucket_lacks_or_has_otherwise_stops_it() -> Result<()> {
    let media = uploaded()?;
    media.delete("accounts/avatars/000/000/001/original/a.png")?;
    media.put("cache/accounts/avatars/1/original/b.png", b"cached avatax")?;
    media.put("media_attachments/files/1/small/c.jpg", b"short")?;
    let ran = media.run("cutover", &[])?.expect(3);
    insta::assert_snapshot!("cutover_refused", media.shown(&ran));
    assert_eq!(files(&media.live())?.len(), FILES.len());
    assert!(!media.kept().exists());
    let json = media.run("cutover", &["--json"])?.expect(3).json()?;
    assert_eq!(json["compared"]["different"]["count"], 3);
    assert_eq!(json["compared"]["same"], 2);
    assert!(json["cutover"].is_null());
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
fn a_system_of_somebody_elses_is_not_touched() -> Result<()> {
    let media = uploaded()?;
    write(&media.kept().join("theirs"), "x")?;
    let ran = media.run("cutover", &[])?.expect(1);
    assert!(
        ran.stderr.contains("exists, and not from a cutover"),
        "{}",
        ran.stderr
    );
    assert!(ran.stderr.contains("\nhint: "));
    assert_eq!(files(&media.live())?.len(), FILES.len());
    assert_eq!(files(&media.kept())?.len(), 1);
    Ok(())
}

#[test]
fn two_runs_at_once_do_not_meddle() -> Result<()> {
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
            .contains("another run of medialift is at work"),
        "{}",
        second.stderr
    );
    assert_eq!(first.wait()?.code(), Some(0));
    media.run("rollback", &[])?.expect(0);
    Ok(())
}

#[test]
fn what_conflicts_on_the_way_back_is_kept_twice() -> Result<()> {
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

/// As on a server whose media lie on a disk of their own.
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

#[test]
fn what_no_bucket_can_hold_must_be_allowed_for() -> Result<()> {
    let media = uploaded()?;
    std::os::unix::fs::symlink("/etc/passwd", media.live().join("link"))?;
    let ran = media.run("cutover", &[])?.expect(3);
    assert!(ran.stdout.contains("link: symbolic link"), "{}", ran.stdout);
    assert!(ran.stderr.contains("--allow-skipped"));
    media.run("cutover", &["--allow-skipped"])?.expect(0);
    assert!(fs::symlink_metadata(media.kept().join("link"))?.is_symlink());
    Ok(())
}

#[test]
fn a_multipart_object_is_compared_by_its_parts_or_read() -> Result<()> {
    let media = Media::with(&[])?;
    let content = "0123456789abcdef".repeat(400_000);
    write(&media.live().join("big.mp4"), &content)?;
    for part_size in [5 << 20, 5_000_123] {
        multipart(&media, "big.mp4", content.as_bytes(), part_size)?;
        media.run("cutover", &["--dry-run"])?.expect(0);
    }
    let mut other = content.into_bytes();
    other[6_000_000] = b'x';
    for part_size in [5 << 20, 5_000_123] {
        multipart(&media, "big.mp4", &other, part_size)?;
        media.run("cutover", &["--dry-run"])?.expect(3);
    }
    Ok(())
}

fn multipart(media: &Media, key: &str, content: &[u8], part_size: usize) -> Result<()> {
    let client = media.client();
    let path = e2e::client::Client::path(e2e::media::BUCKET, key);
    let begun = client.send("POST", &format!("{path}?uploads="), &[], &[])?;
    let id = begun.element("UploadId");
    let mut list = String::from("<CompleteMultipartUpload>");
    for (index, part) in content.chunks(part_size).enumerate() {
        let number = index + 1;
        let url = format!("{path}?partNumber={number}&uploadId={id}");
        let answer = client.send("PUT", &url, &[], part)?;
        list.push_str(&format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>{}</ETag></Part>",
            answer.header("etag")
        ));
    }
    list.push_str("</CompleteMultipartUpload>");
    let done = client.send(
        "POST",
        &format!("{path}?uploadId={id}"),
        &[],
        list.as_bytes(),
    )?;
    anyhow::ensure!(done.status == 200, "{}", done.error());
    Ok(())
}

#[test]
fn a_wrong_key_changes_nothing_and_is_explained() -> Result<()> {
    let media = uploaded()?;
    let mut command = media.command(&["cutover", "public/system"])?;
    command.env("B2_APPLICATION_KEY_ID", "161f959a5f87");
    let ran = e2e::medialift::run(&mut command)?.expect(1);
    assert!(ran.stderr.contains("\nhint: "), "{}", ran.stderr);
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}

/// Every file in exactly one of the two directories, whole.
fn everything(media: &Media) -> Result<std::collections::BTreeMap<String, Vec<u8>>> {
    let mut all = files(&media.live())?;
    for (path, content) in files(&media.kept())? {
        assert!(
            all.insert(path.clone(), content).is_none(),
            "{path} is in both"
        );
    }
    Ok(all)
}

/// Killed at 50 random points, nothing is lost; the next run completes it, or goes back.
#[test]
fn killed_at_any_point_it_is_completed_or_undone() -> Result<()> {
    let seed = fastrand::u64(..);
    let media = uploaded()?;
    let before = files(&media.live())?;
    media
        .origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 3 }))?;
    let begun = Instant::now();
    media.run("cutover", &[])?.expect(0);
    let whole = begun.elapsed();
    let begun = Instant::now();
    media.run("rollback", &[])?.expect(0);
    let whole_back = begun.elapsed();
    let mut forth = Killer::new(seed, whole);
    let mut back = Killer::new(seed + 1, whole_back);
    let (mut killed, mut point) = (0, 0);
    while killed < 50 {
        point += 1;
        assert!(point <= 500, "seed {seed}: {killed} of {point} were killed");
        let name = if point % 5 == 4 {
            "rollback"
        } else {
            "cutover"
        };
        if name == "rollback" {
            media.run("cutover", &[])?.expect(0);
        }
        let mut command = media.command(&[name, "public/system", "--quiet"])?;
        killed += u32::from(if name == "rollback" {
            back.strike(&mut command, |at| at)?
        } else {
            // Most of the time goes into the comparison; the steps are at its end.
            forth.strike(&mut command, |at| 1.0 - 0.5 * at * at)?
        });
        assert_eq!(everything(&media)?, before, "seed {seed}, point {point}");
        if point % 2 == 0 && name == "cutover" {
            media.run("cutover", &[])?.expect(0);
            assert_eq!(files(&media.kept())?, before, "seed {seed}, point {point}");
            assert!(media.live().is_dir());
        }
        let undone = media.run("rollback", &[])?;
        // One that had been completed, or had not begun, has no way back to go.
        assert!(matches!(undone.code, Some(0 | 1)), "{undone:?}");
        assert_eq!(files(&media.live())?, before, "seed {seed}, point {point}");
        assert_eq!(fs::read_dir(media.path().join("public"))?.count(), 1);
    }
    Ok(())
}
