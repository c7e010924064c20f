//! `cutover` and `rollback` on the real binary.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use anyhow::Result;
use e2e::media::{Media, files, write};
use e2e::medialift;
use serde_json::json;
use testkit::stack::OriginOptions;

const FILES: &[(&str, &str)] = &[
    ("accounts/avatars/000/000/001/original/a.png", "avatar"),
    ("cache/accounts/avatars/1/original/b.png", "cached avatar"),
    ("media_attachments/files/1/original/c d é.jpg", "attachment"),
    ("media_attachments/files/1/original/empty", ""),
    ("media_attachments/files/1/small/c.jpg", "thumbnail"),
];

fn uploaded() -> Result<Media> {
    Media::switched(FILES)
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

#[test]
fn what_no_bucket_can_hold_must_be_allowed_for() -> Result<()> {
    let media = uploaded()?;
    std::os::unix::fs::symlink("/etc/passwd", media.live().join("link"))?;
    let ran = media.run("cutover", &[])?.expect(3);
    assert!(
        ran.stdout.contains("link: a symbolic link"),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("--allow-skipped"));
    media.run("cutover", &["--allow-skipped"])?.expect(0);
    assert!(fs::symlink_metadata(media.kept().join("link"))?.is_symlink());
    Ok(())
}

#[test]
fn a_multipart_object_is_compared_by_its_parts_or_read() -> Result<()> {
    let media = Media::with(&[])?;
    media.switch()?;
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
    let ran = medialift::run(&mut command)?.expect(1);
    assert!(ran.stderr.contains("\nhint: "), "{}", ran.stderr);
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}

/// Flags outrank the environment, which outranks the settings file.
#[test]
fn the_key_is_that_of_the_flag_then_of_the_environment_then_of_the_configuration() -> Result<()> {
    let media = uploaded()?;
    let right = (OriginOptions::KEY_ID, OriginOptions::KEY);
    let wrong = ("00161f959a5f87b0000000009", "wrong");
    for (name, (id, key)) in [("right.key", right), ("wrong.key", wrong)] {
        let path = media.path().join(name);
        let text = format!("B2_APPLICATION_KEY_ID={id}\nB2_APPLICATION_KEY={key}\n");
        write(&path, &text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    }
    let check = |flag: &[&str], variables, configured: &str, code| -> Result<()> {
        let config = media.path().join("medialift.toml");
        write(&config, &format!("key_file = \"{configured}\"\n"))?;
        let mut command = media.command(&["cutover", "public/system", "--dry-run"])?;
        command
            .env_remove("B2_APPLICATION_KEY_ID")
            .env_remove("B2_APPLICATION_KEY");
        if let Some((id, key)) = variables {
            command
                .env("B2_APPLICATION_KEY_ID", id)
                .env("B2_APPLICATION_KEY", key);
        }
        medialift::run(command.args(flag))?.expect(code);
        Ok(())
    };
    check(&["--key-file", "right.key"], Some(wrong), "wrong.key", 0)?;
    check(&["--key-file", "wrong.key"], Some(right), "right.key", 1)?;
    check(&[], Some(right), "wrong.key", 0)?;
    check(&[], Some(wrong), "right.key", 1)?;
    check(&[], None, "right.key", 0)
}

/// The directory has been read before the bucket answers, so what is written into it then is not among
/// what is compared.
#[test]
fn what_was_written_during_the_comparison_is_named_where_the_bucket_lacks_it() -> Result<()> {
    let media = synced()?;
    let ran = cutover_with(&media, &[], || {
        write(&media.live().join("there.png"), "there")?;
        write(&media.live().join("missing.png"), "missing")?;
        media.put("there.png", b"there")
    })?
    .expect(4);
    insta::assert_snapshot!("cutover_written_meanwhile", media.shown(&ran));
    assert_eq!(files(&media.kept())?.len(), FILES.len() + 2);
    media.origin.clear_faults()?;
    // The command of the hint, verbatim.
    let hint = ran
        .stderr
        .split('`')
        .find(|text| text.starts_with("medialift "));
    let arguments: Vec<&str> = hint.unwrap_or_default().split(' ').skip(1).collect();
    medialift::run(&mut media.command(&arguments)?)?.expect(0);
    media.run("prune", &[])?.expect(0);
    Ok(())
}

/// Runs `cutover`, and `meanwhile` once the directory was read and before the bucket has answered.
fn cutover_with(
    media: &Media,
    flags: &[&str],
    meanwhile: impl FnOnce() -> Result<()>,
) -> Result<medialift::Ran> {
    media
        .origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 2_000 }))?;
    media.origin.reset_requests()?;
    let child = media
        .command(&["cutover", "public/system"])?
        .args(flags)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    media.wait_for_requests(1)?;
    std::thread::sleep(std::time::Duration::from_millis(300));
    meanwhile()?;
    let output = child.wait_with_output()?;
    Ok(medialift::Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

/// By a change of mode, or a new name of a file whose object Mastodon deleted or replaced.
#[test]
fn what_was_only_touched_during_the_comparison_is_decided_as_in_the_comparison() -> Result<()> {
    let media = synced()?;
    let deleted = "cache/accounts/avatars/1/original/b.png";
    let replaced = "accounts/avatars/000/000/001/original/a.png";
    media.delete(deleted)?;
    media.put(replaced, b"newer avatar")?;
    let ran = cutover_with(&media, &["--json"], || {
        for path in [deleted, replaced] {
            let mode = fs::Permissions::from_mode(0o640);
            fs::set_permissions(media.live().join(path), mode)?;
        }
        Ok(())
    })?;
    let json = ran.expect(0).json()?;
    let written = &json["written_during_comparison"];
    assert_eq!(written["deleted_in_bucket"], 1, "{json}");
    assert_eq!(written["replaced_in_bucket"], 1, "{json}");
    assert_eq!(written["different"]["count"], 0, "{json}");
    Ok(())
}

/// Without a journal a touched file cannot be distinguished from one whose object Mastodon deleted.
#[test]
fn without_a_journal_no_hint_restores_touched_files_either() -> Result<()> {
    let media = uploaded()?;
    let deleted = "cache/accounts/avatars/1/original/b.png";
    media.delete(deleted)?;
    let ran = cutover_with(&media, &["--allow-unproven"], || {
        let mode = fs::Permissions::from_mode(0o640);
        Ok(fs::set_permissions(media.live().join(deleted), mode)?)
    })?;
    let ran = ran.expect(0);
    assert!(ran.stdout.contains("no journal shows"), "{}", ran.stdout);
    assert!(!ran.stderr.contains("medialift sync"), "{}", ran.stderr);
    Ok(())
}

/// Uploaded by `sync`, and used by Mastodon from then on.
fn synced() -> Result<Media> {
    let media = Media::with(FILES)?;
    media.switch_back()?;
    media.run("sync", &[])?.expect(0);
    media.switch()?;
    std::thread::sleep(std::time::Duration::from_millis(50));
    Ok(media)
}

#[test]
fn an_instance_that_uses_the_disk_keeps_its_media() -> Result<()> {
    let media = uploaded()?;
    media.switch_back()?;
    for flags in [&[][..], &["--dry-run"]] {
        let ran = media.run("cutover", flags)?.expect(2);
        assert!(ran.stderr.contains("S3_ENABLED"), "{}", ran.stderr);
        assert!(ran.stderr.contains("\nhint: "), "{}", ran.stderr);
    }
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}

#[test]
fn without_an_installation_a_flag_is_needed() -> Result<()> {
    let media = uploaded()?;
    fs::remove_file(media.path().join(".env.production"))?;
    media.run("cutover", &[])?.expect(2);
    media.run("cutover", &["--not-mastodon"])?.expect(0);
    assert_eq!(files(&media.kept())?.len(), FILES.len());
    // From then on the bucket is authoritative: nothing is restored or replaced in it.
    for directory in ["public/system", "public/system_"] {
        let arguments = ["sync", directory, "--not-mastodon", "--replace"];
        let ran = e2e::medialift::run(&mut media.command(&arguments)?)?.expect(2);
        assert!(ran.stderr.contains("moved aside"), "{}", ran.stderr);
    }
    Ok(())
}

/// As the day after a switch on an instance with a retention period.
#[test]
fn what_mastodon_deleted_in_the_bucket_does_not_stop_it_and_is_never_restored() -> Result<()> {
    let media = synced()?;
    let deleted = "cache/accounts/avatars/1/original/b.png";
    media.delete(deleted)?;
    let ran = media.run("sync", &["--json"])?.expect(0).json()?;
    assert_eq!(ran["uploaded"]["files"], 0, "{ran}");
    let json = media.run("cutover", &["--json"])?.expect(0).json()?;
    assert_eq!(json["compared"]["deleted_in_bucket"], 1);
    assert_eq!(json["compared"]["same"], FILES.len() - 1);
    // The same tree under its other name.
    let kept = media.kept();
    let kept = kept.to_str().expect("a path in UTF-8");
    let ran = medialift::run(&mut media.command(&["sync", kept, "--json"])?)?;
    assert_eq!(ran.json()?["uploaded"]["files"], 0);
    let ran = media.run("prune", &["--json"])?.expect(0).json()?;
    assert_eq!(ran["deleted"], 5);
    assert_eq!(ran["deleted_in_bucket"], 1);
    assert!(files(&media.kept())?.is_empty());
    assert_eq!(media.client().get(e2e::media::BUCKET, deleted)?.status, 404);
    Ok(())
}

/// Uploaded by another program: it is not known whether Mastodon deleted what is missing.
#[test]
fn without_a_journal_no_hint_restores_deleted_pictures() -> Result<()> {
    let media = uploaded()?;
    media.delete("cache/accounts/avatars/1/original/b.png")?;
    let ran = media.run("cutover", &[])?.expect(3);
    assert!(!ran.stderr.contains("medialift sync"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--allow-unproven"), "{}", ran.stderr);
    media.run("cutover", &["--allow-unproven"])?.expect(0);
    assert_eq!(files(&media.kept())?.len(), FILES.len());
    Ok(())
}

#[test]
fn what_mastodon_replaced_in_the_bucket_does_not_stop_it_and_stays_on_the_disk() -> Result<()> {
    let media = synced()?;
    let replaced = "accounts/avatars/000/000/001/original/a.png";
    media.put(replaced, b"newer avatar")?;
    let json = media.run("cutover", &["--json"])?.expect(0).json()?;
    assert_eq!(json["compared"]["replaced_in_bucket"], 1);
    media.run("prune", &[])?.expect(4);
    assert_eq!(files(&media.kept())?[replaced], b"avatar");
    Ok(())
}

#[test]
fn media_that_only_the_bucket_has_are_counted_before_the_way_back() -> Result<()> {
    let media = synced()?;
    media.run("cutover", &[])?.expect(0);
    media.put("media_attachments/files/2/original/new.png", b"new")?;
    let ran = media.run("rollback", &[])?.expect(3);
    assert!(ran.stderr.contains("1 object is"), "{}", ran.stderr);
    assert!(ran.stderr.contains("--leave-in-bucket"), "{}", ran.stderr);
    assert!(media.kept().exists());
    media.run("rollback", &["--leave-in-bucket"])?.expect(0);
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}

/// What a user has deleted must not be public again because a directory is renamed.
#[test]
fn media_that_mastodon_deleted_in_the_bucket_are_restored_only_on_request() -> Result<()> {
    let media = synced()?;
    media.run("cutover", &[])?.expect(0);
    let deleted = "cache/accounts/avatars/1/original/b.png";
    media.delete(deleted)?;
    for flags in [&[][..], &["--leave-in-bucket"], &["--dry-run"]] {
        let ran = media.run("rollback", flags)?.expect(3);
        assert!(ran.stdout.contains(deleted), "{}", ran.stdout);
        assert!(ran.stderr.contains("1 file that"), "{}", ran.stderr);
        assert!(ran.stderr.contains("--with-deleted"), "{}", ran.stderr);
        assert!(media.kept().exists());
    }
    let json = media.run("rollback", &["--json"])?.expect(3).json()?;
    let named = &json["deleted_in_bucket"];
    assert_eq!(named["count"], 1, "{json}");
    assert_eq!(named["first"][0]["path"], deleted, "{json}");
    media.run("rollback", &["--with-deleted"])?.expect(0);
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}

#[test]
fn without_a_journal_what_the_bucket_lacks_may_have_been_deleted_there() -> Result<()> {
    let media = uploaded()?;
    media.run("cutover", &[])?.expect(0);
    media.delete("cache/accounts/avatars/1/original/b.png")?;
    let ran = media.run("rollback", &[])?.expect(3);
    assert!(ran.stdout.contains("no journal shows"), "{}", ran.stdout);
    assert!(media.kept().exists());
    // Without the file nothing is restored.
    fs::remove_file(media.kept().join("cache/accounts/avatars/1/original/b.png"))?;
    media.run("rollback", &[])?.expect(0);
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

#[test]
fn an_instance_that_goes_back_to_the_disk_meanwhile_keeps_its_media() -> Result<()> {
    let media = uploaded()?;
    media.origin.reset_requests()?;
    media
        .origin
        .set_faults(&json!({ "kind": "latency", "latency_ms": 2_000 }))?;
    let child = media
        .command(&["cutover", "public/system"])?
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()?;
    media.wait_for_requests(1)?;
    media.switch_back()?;
    let output = child.wait_with_output()?;
    let printed = String::from_utf8(output.stderr)?;
    assert_eq!(output.status.code(), Some(2), "{printed}");
    assert!(printed.contains("S3_ENABLED"), "{printed}");
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}
