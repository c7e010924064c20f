//! `prune` on the real binary, against buckets that tell the truth and buckets that lie.

use std::fs;
use std::path::Path;
use std::process::Command;

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

/// The lie concerns the cached avatar; all else is deleted and it stays.
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
                "--at-a-time",
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

#[test]
fn a_key_that_is_revoked_half_way_stops_it() -> Result<()> {
    let media = aside()?;
    media
        .origin
        .set_faults(&json!({ "kind": "revoked", "key_prefix": "media_attachments/" }))?;
    let ran = media.run("prune", &["--at-a-time", "1"])?.expect(1);
    assert!(ran.stderr.contains("\nhint: "), "{}", ran.stderr);
    assert_eq!(files(&media.kept())?.len(), 3);
    Ok(())
}

#[test]
fn the_directory_in_use_is_pruned_only_when_told() -> Result<()> {
    let media = Media::with(FILES)?;
    media.upload()?;
    media.switch()?;
    let ran = media.run("prune", &[])?.expect(2);
    assert!(ran.stderr.contains("no complete cutover"), "{}", ran.stderr);
    let ran = media.run("prune", &["--dir", "public/system"])?.expect(2);
    assert!(
        ran.stderr.contains("Mastodon uses this directory"),
        "{}",
        ran.stderr
    );
    media.run("prune", &["--dir", "public"])?.expect(2);
    assert_eq!(files(&media.live())?.len(), 5);
    media.run("prune", &["--live"])?.expect(0);
    assert!(files(&media.live())?.is_empty());
    Ok(())
}

/// As `prune` is run by somebody who names a directory with `--dir` and has no configuration.
fn only_dir(media: &Media, directory: &str, arguments: &[&str]) -> Result<Ran> {
    let mut command = media.command(&["prune", "--dir", directory])?;
    medialift::run(command.args(arguments))
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
fn two_runs_at_once_do_not_meddle() -> Result<()> {
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
    assert!(ran.stderr.contains("at work on it"), "{}", ran.stderr);
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
fn a_dry_run_says_of_each_file_what_it_would_do() -> Result<()> {
    let media = aside()?;
    let ran = media.run("prune", &["--dry-run", "--verbose"])?.expect(0);
    let said = |verb: &str| ran.stderr.lines().filter(|l| l.starts_with(verb)).count();
    assert_eq!((said("would delete "), said("deleted ")), (5, 0));
    Ok(())
}

#[test]
fn pruning_another_directory_leaves_the_way_back_whole() -> Result<()> {
    let media = aside()?;
    write(
        &media.path().join("copy/accounts/avatars/1/original/a.png"),
        "avatar",
    )?;
    media.run("prune", &["--dir", "copy"])?.expect(2);
    media
        .run("prune", &["--dir", "copy", "--not-mastodon"])?
        .expect(0);
    assert!(files(&media.path().join("copy"))?.is_empty());
    media.run("rollback", &[])?.expect(0);
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}

/// `prune --dir old`, where `directory` is mounted at `old`.
fn prune_mounted(media: &Media, directory: &Path) -> Result<Ran> {
    let old = media.path().join("old");
    fs::create_dir_all(&old)?;
    let plain = media.command(&["prune", "--dir", "old"])?;
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.arg("--map-root-user");
    }
    command
        .args(["--mount", "sh", "-c"])
        .arg("mount --bind \"$0\" \"$1\" && shift && exec \"$@\"")
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

/// Another name of the same directories, which no link tells of.
#[test]
fn a_mount_of_the_media_is_what_is_mounted() -> Result<()> {
    let media = aside()?;
    let lock = fs::File::open(media.path().join("public"))?;
    lock.lock()?;
    let ran = prune_mounted(&media, &media.kept())?.expect(1);
    assert!(ran.stderr.contains("at work on it"), "{}", ran.stderr);
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
    let prune = media.command(&["prune", "public/system", "--at-a-time", "256"])?;
    let mut limited = medialift::after("ulimit -Sn 128", &prune);
    medialift::run(&mut limited)?.expect(0);
    assert!(files(&media.kept())?.is_empty());
    Ok(())
}

/// Deleting one name of a file changes its others: all go in one run all the same.
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

/// A suspended account's file goes only where its object is proven too.
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
        let run = scope.spawn(|| media.run("prune", &["--at-a-time", "1"]));
        media.wait_for_operation("GetObject")?;
        media.put(FILES[4].0, b"another picture")?;
        media.origin.clear_faults()?;
        run.join().expect("it ran")
    })?;
    let shown = ran.expect(4).stdout;
    assert!(shown.contains("came back to the bucket"), "{shown}");
    let left = files(&media.kept())?;
    assert_eq!(left[FILES[4].0], FILES[4].1.as_bytes());
    Ok(())
}

/// A bucket that somebody emptied must not take the last copies with it.
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

#[test]
fn a_cap_that_is_exceeded_ends_it_at_once() -> Result<()> {
    let media = aside()?;
    media.origin.set_faults(&json!({
        "kind": "cap_exceeded", "method": "GET", "key_prefix": "media_attachments/",
    }))?;
    media.origin.reset_requests()?;
    let ran = media.run("prune", &["--at-a-time", "1"])?.expect(1);
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
        .command(&["prune", "public/system", "--at-a-time", "1"])?
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
