//! Which objects prove a file: their content is read or compared, whatever the listing shows.

use std::fs;

use anyhow::Result;
use e2e::media::{Media, files, write};
use serde_json::json;

use super::{FILES, aside, without_freed};

#[test]
fn head_proof_asks_once_a_file_and_reads_none() -> Result<()> {
    let media = aside()?;
    media.delete("accounts/avatars/1/original/a.png")?;
    media.put("media_attachments/files/1/small/c.jpg", b"thumbnaix")?;
    media.put("cache/accounts/avatars/1/original/b.png", b"short")?;
    media.origin.reset_requests()?;
    let ran = media.run("prune", &["--prove", "head"])?.expect(4);
    insta::assert_snapshot!("prune_kept", without_freed(&media.shown(&ran)));
    let requests = media.origin.requests()?;
    assert_eq!(
        (requests.of("HeadObject"), requests.of("GetObject")),
        (5, 0)
    );
    let left: Vec<String> = files(&media.kept())?.into_keys().collect();
    assert_eq!(
        left,
        [
            "accounts/avatars/1/original/a.png",
            "cache/accounts/avatars/1/original/b.png",
            "media_attachments/files/1/small/c.jpg",
        ]
    );
    Ok(())
}

/// The wrong answer is about the cached avatar, which stays; all else is deleted.
#[track_caller]
fn check_lie(fault: serde_json::Value, reason: &str) {
    let inner = || -> Result<()> {
        let media = aside()?;
        let mut fault = fault.clone();
        fault["key_prefix"] = json!("cache/");
        media.origin.set_faults(&fault)?;
        let ran = media.run("prune", &[])?.expect(4);
        assert!(ran.stdout.contains(reason), "{fault}: {}", ran.stdout);
        let left = files(&media.kept())?;
        assert_eq!(left.len(), 1, "{fault}: {left:?}");
        assert_eq!(
            left["cache/accounts/avatars/1/original/b.png"],
            b"cached avatar"
        );
        media.origin.clear_faults()?;
        media.run("prune", &[])?.expect(0);
        assert!(files(&media.kept())?.is_empty());
        Ok(())
    };
    inner().expect("the lie is seen through");
}

#[test]
fn an_object_that_is_listed_and_gives_other_bytes_proves_nothing() {
    check_lie(json!({ "kind": "corrupt", "method": "GET" }), "other bytes");
}

#[test]
fn an_object_that_is_listed_and_breaks_off_proves_nothing() {
    let truncated = json!({ "kind": "truncate", "method": "GET" });
    check_lie(truncated, "the object is incomplete");
}

#[test]
fn an_object_that_is_listed_and_cannot_be_read_proves_nothing() {
    check_lie(
        json!({ "kind": "status", "status": 403, "code": "AccessDenied", "method": "GET" }),
        "the object cannot be read: 403 AccessDenied",
    );
}

#[test]
fn an_object_that_is_listed_and_not_found_proves_nothing() {
    check_lie(
        json!({ "kind": "status", "status": 404, "code": "NoSuchKey", "method": "GET" }),
        "the bucket does not have it",
    );
}

#[test]
fn objects_of_wrong_size_or_content_stay() -> Result<()> {
    let media = aside()?;
    media.put(
        "cache/accounts/avatars/1/original/b.png",
        b"cached avatar, longer",
    )?;
    media.put("accounts/avatars/1/original/a.png", b"avataR")?;
    media.put("media_attachments/files/1/original/empty", b"x")?;
    media.run("prune", &[])?.expect(4);
    assert_eq!(files(&media.kept())?.len(), 3);
    Ok(())
}

#[test]
fn an_object_that_is_deleted_while_it_runs_is_not_taken_for_there() -> Result<()> {
    for proof in ["read", "head"] {
        let media = aside()?;
        media.origin.set_faults(
            &json!({ "kind": "latency", "latency_ms": 1_500, "key_prefix": "accounts/" }),
        )?;
        media.origin.reset_requests()?;
        let mut child = media
            .command(&[
                "prune",
                "public/system",
                "--prove",
                proof,
                "--concurrency",
                "1",
            ])?
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()?;
        media.wait_for_requests(1)?;
        media.delete("media_attachments/files/1/small/c.jpg")?;
        assert_eq!(child.wait()?.code(), Some(4), "{proof}");
        let left = files(&media.kept())?;
        assert_eq!(left.len(), 1);
        assert_eq!(left["media_attachments/files/1/small/c.jpg"], b"thumbnail");
    }
    Ok(())
}

/// A suspended account's file is deleted only where its object is proven too.
#[test]
fn a_hidden_file_is_deleted_only_with_its_object_proven() -> Result<()> {
    let media = Media::with(FILES)?;
    media.switch_back()?;
    let hidden = [FILES[0].0, FILES[1].0];
    media.run("sync", &[])?.expect(0);
    for path in hidden {
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(media.live().join(path), mode)?;
    }
    media.switch()?;
    media.delete(hidden[0])?;
    media.run("cutover", &[])?.expect(0);
    let ran = media.run("prune", &[])?.expect(4);
    assert!(ran.stdout.contains("it is hidden"), "{}", ran.stdout);
    let left: Vec<String> = files(&media.kept())?.into_keys().collect();
    assert_eq!(left, [hidden[0]]);
    Ok(())
}

/// The bucket was listed before; Mastodon may have uploaded another picture of that name since.
#[test]
fn a_file_whose_object_came_back_while_it_ran_stays() -> Result<()> {
    let media = Media::with(FILES)?;
    media.switch_back()?;
    media.run("sync", &[])?.expect(0);
    media.switch()?;
    media.delete(FILES[4].0)?;
    media.run("cutover", &[])?.expect(0);
    let fault = json!({ "kind": "latency", "latency_ms": 1000, "operation": "GetObject" });
    media.origin.set_faults(&fault)?;
    let ran = std::thread::scope(|scope| {
        let run = scope.spawn(|| media.run("prune", &["--concurrency", "1"]));
        media.wait_for_operation("GetObject")?;
        media.put(FILES[4].0, b"another picture")?;
        media.origin.clear_faults()?;
        run.join().expect("it ran")
    })?;
    let shown = ran.expect(4).stdout;
    assert!(shown.contains("uploaded again during this run"), "{shown}");
    let left = files(&media.kept())?;
    assert_eq!(left[FILES[4].0], FILES[4].1.as_bytes());
    Ok(())
}

/// A bucket that was emptied must not cost the last copies.
#[test]
fn a_bucket_that_lost_its_objects_costs_no_local_file() -> Result<()> {
    let media = Media::with(FILES)?;
    let own = |number: usize| format!("media_attachments/files/2/original/{number:03}.png");
    for number in 0..216 {
        write(&media.live().join(own(number)), "own")?;
    }
    media.switch_back()?;
    media.run("sync", &[])?.expect(0);
    media.switch()?;
    media.run("cutover", &[])?.expect(0);
    // What Mastodon deletes every day after a retention period, and what users delete.
    media.delete(FILES[1].0)?;
    for number in 0..22 {
        media.delete(&own(number))?;
    }
    media.run("prune", &["--dry-run"])?.expect(0);
    media.delete(&own(22))?;
    let ran = media.run("prune", &[])?.expect(3);
    let cause =
        "23 of 220 files outside `cache/` are missing from the bucket `media`, more than 22";
    assert!(ran.stderr.contains(cause), "{}", ran.stderr);
    let bucket = media.client().list(e2e::media::BUCKET)?;
    for key in bucket.keys() {
        media.delete(key)?;
    }
    let ran = media.run("prune", &[])?.expect(3);
    assert!(ran.stderr.contains("no object at all"), "{}", ran.stderr);
    media.put(FILES[1].0, FILES[1].1.as_bytes())?;
    let ran = media.run("prune", &[])?.expect(3);
    assert!(ran.stderr.contains("220 of 220 files"), "{}", ran.stderr);
    assert_eq!(files(&media.kept())?.len(), FILES.len() + 216);
    let allow = ["--max-deleted-in-bucket", "220"];
    media.run("prune", &allow)?.expect(0);
    assert!(files(&media.kept())?.is_empty());
    Ok(())
}
