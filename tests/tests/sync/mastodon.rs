//! A media directory that belongs to a Mastodon: who owns the media decides what may be done.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use anyhow::Result;
use e2e::media::{Media, write};
use serde_json::{Value, json};

/// A media directory with settings that say that Mastodon uses it, synced once.
fn synced() -> Result<Media> {
    let media = Media::with(&[("a.png", "a"), ("b.png", "b"), ("c.png", "c")])?;
    owned_by_disk(&media)?;
    expect(&media, &[], 0, 3, 0)?;
    Ok(media)
}

fn owned_by_disk(media: &Media) -> Result<()> {
    write(&media.path().join(".env.production"), "S3_ENABLED=false\n")
}

fn owned_by_bucket(media: &Media) -> Result<()> {
    let settings = format!(
        "S3_ENABLED=true\nS3_BUCKET=media\nS3_REGION=us-west-004\nS3_ENDPOINT={}\n",
        media.origin.s3_url
    );
    write(&media.path().join(".env.production"), &settings)
}

/// Runs `sync`; expects this exit code and these numbers of files.
#[track_caller]
fn expect(
    media: &Media,
    arguments: &[&str],
    code: i32,
    uploaded: u64,
    unchanged: u64,
) -> Result<Value> {
    let all: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
    let report: Value = media.run("sync", &all)?.expect(code).json()?;
    assert_eq!(
        (&report["uploaded"]["files"], &report["unchanged"]["files"]),
        (&json!(uploaded), &json!(unchanged)),
        "{report}"
    );
    Ok(report)
}

fn content(media: &Media, key: &str) -> Result<(u16, String)> {
    let answer = media.client().get("media", key)?;
    Ok((answer.status, answer.text()))
}

#[test]
fn what_mastodon_deleted_in_the_bucket_is_not_brought_back() -> Result<()> {
    let media = synced()?;
    owned_by_bucket(&media)?;
    media.delete("b.png")?;
    let report = expect(&media, &[], 0, 0, 2)?;
    assert_eq!(report["deleted_in_bucket"], 1);
    assert_eq!(content(&media, "b.png")?.0, 404);
    // It was never sent: it is uploaded.
    write(&media.live().join("late.png"), "late")?;
    expect(&media, &[], 0, 1, 2)?;
    assert_eq!(content(&media, "late.png")?, (200, "late".to_owned()));
    // Nor is it when the media were moved aside.
    fs::rename(media.live(), media.kept())?;
    fs::create_dir(media.live())?;
    let mut command = media.command(&["sync", "public/system_", "--json"])?;
    let report: Value = e2e::medialift::run(&mut command)?.expect(0).json()?;
    assert_eq!(report["deleted_in_bucket"], 1, "{report}");
    assert_eq!(report["unchanged"]["files"], 3, "{report}");
    Ok(())
}

#[test]
fn what_mastodon_wrote_in_the_bucket_is_never_overwritten() -> Result<()> {
    let media = synced()?;
    owned_by_bucket(&media)?;
    media.put("b.png", b"newer, by Mastodon")?;
    write(&media.live().join("c.png"), "changed on disk")?;
    let report = expect(&media, &[], 4, 0, 1)?;
    assert_eq!(report["conflicts"], json!({ "bucket_owns": 2 }));
    let ran = media.run("sync", &["--replace"])?.expect(2);
    assert!(ran.stderr.contains("\nhint: "), "{}", ran.stderr);
    assert_eq!(content(&media, "b.png")?.1, "newer, by Mastodon");
    assert_eq!(content(&media, "c.png")?.1, "c");
    Ok(())
}

/// A run may take hours, and its listing is as old. While the first file is sent, Mastodon writes others.
#[test]
fn what_mastodon_writes_while_a_run_goes_on_is_not_overwritten() -> Result<()> {
    for unknown in [false, true] {
        let media = synced()?;
        if unknown {
            let settings = "S3_ENABLED=true\nS3_BUCKET=$ELSEWHERE\n";
            write(&media.path().join(".env.production"), settings)?;
        } else {
            owned_by_bucket(&media)?;
        }
        let large = vec![b'l'; 6 << 20];
        let others = ["e.png", "f.png", "large.png", "middle.png"];
        for (path, content) in
            others
                .iter()
                .zip([b"on disk", b"on disk", &large[..], &large[..1 << 20]])
        {
            fs::write(media.live().join(path), content)?;
        }
        write(&media.live().join("d.png"), "new")?;
        media.origin.reset_requests()?;
        media.origin.set_faults(&json!([
            { "kind": "latency", "latency_ms": 2_000, "operation": "PutObject", "key_prefix": "d.png" },
            { "kind": "latency", "latency_ms": 2_000, "operation": "UploadPart" },
        ]))?;
        let mut arguments = vec!["sync", "public/system", "--json", "--concurrency", "1"];
        arguments.extend(["--multipart-from", "5MiB", "--part-size", "5MiB"]);
        let child = media
            .command(&arguments)?
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        media.wait_for_operation("PutObject")?;
        media.put("e.png", b"by Mastodon")?;
        media.put("f.png", b"on disk")?;
        media.put("middle.png", b"by Mastodon")?;
        // When all but its last request is done.
        media.wait_for_operation("UploadPart")?;
        media.put("large.png", b"by Mastodon")?;
        let output = child.wait_with_output()?;
        let report: Value = serde_json::from_slice(&output.stdout)?;
        assert_eq!(output.status.code(), Some(4), "{report}");
        assert_eq!(report["uploaded"]["files"], 1, "{report}");
        assert_eq!(report["unchanged"]["files"], 4, "{report}");
        let left = report["conflict_paths"].as_array().expect("a list");
        let mut left: Vec<_> = left
            .iter()
            .filter_map(|left| left["path"].as_str())
            .collect();
        left.sort_unstable();
        assert_eq!(left, ["e.png", "large.png", "middle.png"], "{report}");
        for key in left {
            assert_eq!(content(&media, key)?.1, "by Mastodon", "{key}");
        }
        let uploads = media.client().send("GET", "/media?uploads=", &[], &[])?;
        assert!(!uploads.text().contains("<Upload>"), "{}", uploads.text());
        // It was in the bucket before: what Mastodon deletes is not restored.
        media.origin.clear_faults()?;
        if !unknown {
            media.delete("e.png")?;
            media.run("sync", &["--send-unrecorded"])?.expect(4);
            assert_eq!(content(&media, "e.png")?.0, 404);
        }
    }
    Ok(())
}

/// Where the disk is authoritative, one request for each file is enough.
#[test]
fn a_file_is_asked_for_before_it_is_sent_only_where_mastodon_may_have_written_it() -> Result<()> {
    let media = synced()?;
    assert_eq!(media.origin.requests()?.of("HeadObject"), 0);
    owned_by_bucket(&media)?;
    write(&media.live().join("d.png"), "new")?;
    expect(&media, &[], 0, 1, 3)?;
    assert_eq!(media.origin.requests()?.of("HeadObject"), 1);
    Ok(())
}

#[test]
fn without_a_journal_nothing_is_taken_for_never_sent() -> Result<()> {
    let media = synced()?;
    owned_by_bucket(&media)?;
    media.delete("b.png")?;
    let other = ["--state-dir", "other"];
    for _ in 0..2 {
        let report = expect(&media, &other, 4, 0, 2)?;
        assert_eq!(report["conflicts"], json!({ "no_journal": 1 }));
    }
    assert_eq!(content(&media, "b.png")?.0, 404);
    expect(
        &media,
        &["--state-dir", "other", "--send-unrecorded"],
        0,
        1,
        2,
    )?;
    Ok(())
}

#[test]
fn where_the_owner_of_the_media_is_not_known_only_new_files_are_sent() -> Result<()> {
    let media = synced()?;
    fs::remove_file(media.path().join(".env.production"))?;
    media.delete("a.png")?;
    media.put("b.png", b"another")?;
    write(&media.live().join("d.png"), "new")?;
    let report = expect(&media, &[], 4, 1, 1)?;
    assert_eq!(report["conflicts"], json!({ "owner_unknown": 2 }));
    assert_eq!(content(&media, "a.png")?.0, 404);
    assert_eq!(content(&media, "b.png")?.1, "another");
    let refused = media.run("sync", &["--delete", "--dry-run"])?.expect(2);
    assert!(refused.stderr.contains("\nhint: "), "{}", refused.stderr);
    Ok(())
}

#[test]
fn a_part_of_the_media_or_more_than_them_is_refused() -> Result<()> {
    let media = Media::with(&[("accounts/a.png", "a")])?;
    owned_by_disk(&media)?;
    for directory in ["public/system/accounts", "public", "."] {
        let mut command = media.command(&["sync", directory])?;
        let ran = e2e::medialift::run(&mut command)?.expect(2);
        assert!(
            ran.stderr.contains("\nhint: "),
            "{directory}: {}",
            ran.stderr
        );
    }
    assert_eq!(media.origin.requests()?.total, 0);
    Ok(())
}

#[test]
fn what_mastodon_has_hidden_is_left_out_and_named() -> Result<()> {
    let media = synced()?;
    let mode = |path: &str, mode: u32| {
        fs::set_permissions(media.live().join(path), fs::Permissions::from_mode(mode))
    };
    write(&media.live().join("accounts/suspended.png"), "hidden")?;
    mode("", 0o755)?;
    mode("accounts", 0o755)?;
    mode("accounts/suspended.png", 0o600)?;
    // It is in the bucket from before.
    mode("b.png", 0o600)?;
    let ran = media.run("sync", &[])?.expect(0);
    assert!(
        ran.stderr.contains("hidden: `accounts/suspended.png`")
            && ran.stdout.contains("--include-hidden"),
        "{}{}",
        ran.stdout,
        ran.stderr
    );
    let report = expect(&media, &[], 0, 0, 2)?;
    assert_eq!(
        (&report["hidden"], &report["hidden_in_bucket"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(content(&media, "accounts/suspended.png")?.0, 404);
    for flags in [&[][..], &["--exclude", "a.png"]] {
        let flags = [&["--include-hidden"], flags].concat();
        let refused = media.run("sync", &flags)?.expect(2);
        assert!(
            refused.stderr.contains("hint: give the files"),
            "{}",
            refused.stderr
        );
    }
    assert_eq!(content(&media, "accounts/suspended.png")?.0, 404);
    let lifted = ["--include-hidden", "--include", "accounts/suspended.png"];
    expect(&media, &lifted, 0, 1, 0)?;
    assert_eq!(content(&media, "accounts/suspended.png")?.0, 200);
    // A tree that is private as a whole hides nothing.
    write(&media.live().join("accounts/other.png"), "private")?;
    mode("accounts/other.png", 0o600)?;
    mode("", 0o700)?;
    expect(&media, &[], 0, 1, 4)?;
    Ok(())
}

#[test]
fn a_kill_after_the_switch_leaves_only_what_was_on_its_way_in_doubt() -> Result<()> {
    let media = synced()?;
    owned_by_bucket(&media)?;
    for number in 0..20 {
        write(&media.live().join(format!("late/{number:02}.png")), "late")?;
    }
    media
        .origin
        .set_faults(&json!({ "kind": "hang", "spare": 5, "method": "PUT" }))?;
    media.origin.reset_requests()?;
    let mut child = media
        .command(&["sync", "public/system", "--concurrency", "2"])?
        .spawn()?;
    // Five arrive, two hang.
    let begin = std::time::Instant::now();
    while media.origin.requests()?.of("PutObject") < 7 {
        anyhow::ensure!(begin.elapsed().as_secs() < 60, "nothing is sent");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    child.kill()?;
    child.wait()?;
    media.origin.clear_faults()?;
    let report = expect(&media, &[], 4, 13, 8)?;
    assert_eq!(report["conflicts"], json!({ "no_journal": 2 }));
    expect(&media, &["--send-unrecorded"], 0, 2, 21)?;
    Ok(())
}

#[test]
fn an_installation_without_a_known_media_directory_sends_nothing_unrecorded() -> Result<()> {
    let media = Media::with(&[("a.png", "a"), ("b.png", "b")])?;
    let settings = "S3_ENABLED=true\nS3_BUCKET=${SAID_ELSEWHERE}\n";
    write(&media.path().join(".env.production"), settings)?;
    // Twice: the first run explains nothing.
    for _ in 0..2 {
        let report = expect(&media, &[], 4, 0, 0)?;
        assert_eq!(report["conflicts"], json!({ "owner_unknown": 2 }));
    }
    let ran = media.run("sync", &[])?.expect(4);
    assert!(ran.stderr.contains("medialift.toml"), "{}", ran.stderr);
    // A `public/system` is Mastodon's, seen or not.
    fs::remove_file(media.path().join(".env.production"))?;
    let report = expect(&media, &[], 4, 0, 0)?;
    assert_eq!(report["conflicts"], json!({ "owner_unknown": 2 }));
    Ok(())
}

/// A container or a file server sees the media and not Mastodon, which may have deleted there.
#[test]
fn media_whose_mastodon_is_not_seen_are_not_taken_for_never_sent() -> Result<()> {
    let own = ("accounts/avatars/1/original/a.png", "a");
    let remote = ("cache/preview_cards/images/1/original/b.png", "b");
    for files in [&[own, remote][..], &[remote]] {
        let media = Media::with(files)?;
        fs::rename(media.live(), media.path().join("media"))?;
        let sync = |arguments: &[&str], code: i32| -> Result<(u64, String)> {
            let all = [&["sync", "media", "--json"], arguments].concat();
            let ran = e2e::medialift::run(&mut media.command(&all)?)?.expect(code);
            let report = ran.json()?;
            let uploaded = report["uploaded"]["files"].as_u64().expect("a number");
            Ok((uploaded, ran.stderr))
        };
        let all = files.len() as u64;
        let (uploaded, printed) = sync(&[], 4)?;
        assert_eq!(uploaded, 0, "{printed}");
        for way in ["`--send-unrecorded`", "`--not-mastodon`", "`owner`"] {
            assert!(printed.contains(way), "{way}: {printed}");
        }
        // The first upload; later runs need no flag.
        assert_eq!(sync(&["--send-unrecorded"], 0)?.0, all);
        media.delete(remote.0)?;
        assert_eq!(sync(&[], 4)?.0, 0, "what was there is not brought back");
        write(&media.path().join("media/cache/c.png"), "new")?;
        assert_eq!(sync(&[], 4)?.0, 1);
        // Nor without the journal.
        let lost = ["--state-dir", "other"];
        assert_eq!(sync(&lost, 4)?.0, 0);
        assert_eq!(content(&media, remote.0)?.0, 404);
        let by_hand = ["--state-dir", "another", "--not-mastodon"];
        assert_eq!(sync(&by_hand, 0)?.0, 1);
    }
    // A tree that is nothing of Mastodon's needs no flag.
    let media = Media::with(&[("a.png", "a")])?;
    fs::rename(media.live(), media.path().join("media"))?;
    let mut command = media.command(&["sync", "media"])?;
    e2e::medialift::run(&mut command)?.expect(0);
    assert_eq!(content(&media, "a.png")?.0, 200);
    Ok(())
}

#[test]
fn a_file_that_changes_while_it_is_sent_is_sent_as_it_is_in_the_end() -> Result<()> {
    let name = "accounts/avatars/1/original/a.png";
    let media = Media::with(&[(name, "half")])?;
    fs::rename(media.live(), media.path().join("media"))?;
    media.origin.set_faults(
        &json!({"kind": "latency", "next": 1, "latency_ms": 1_500, "method": "PUT", "key_prefix": name}),
    )?;
    let file = media.path().join("media").join(name);
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(700));
        fs::write(file, "the whole picture")
    });
    let mut command = media.command(&["sync", "media", "--send-unrecorded"])?;
    let ran = e2e::medialift::run(&mut command)?;
    writer.join().unwrap()?;
    ran.expect(0);
    assert_eq!(
        content(&media, name)?,
        (200, "the whole picture".to_owned())
    );
    Ok(())
}

#[test]
fn what_was_deleted_in_the_bucket_is_remembered_while_the_disk_is_away() -> Result<()> {
    let media = Media::with(&[("cache/a.png", "a"), ("b.png", "b")])?;
    owned_by_disk(&media)?;
    expect(&media, &[], 0, 2, 0)?;
    owned_by_bucket(&media)?;
    media.delete("cache/a.png")?;
    let (cache, away) = (media.live().join("cache"), media.path().join("away"));
    fs::rename(&cache, &away)?;
    expect(&media, &[], 0, 0, 1)?;
    fs::rename(&away, &cache)?;
    let report = expect(&media, &[], 0, 0, 1)?;
    assert_eq!(report["deleted_in_bucket"], 1, "{report}");
    assert_eq!(content(&media, "cache/a.png")?.0, 404);
    Ok(())
}
