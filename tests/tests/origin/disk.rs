//! What the origin answered is kept: over a restart, a kill, a full disk.

use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use e2e::client::Client;
use e2e::mounts::in_own_mounts;
use testkit::process::{Guarded, scratch_directory};
use testkit::stack::{Bodies, Origin, OriginOptions, Totals, binary};

use crate::signing;

fn start_in(directory: &Path) -> Origin {
    Origin::start(OriginOptions {
        directory: Some(directory.to_owned()),
        ..OriginOptions::default()
    })
    .expect("starts")
}

#[test]
fn an_origin_that_throws_bodies_away_still_checks_and_lists_them() {
    const HELLO: &str = "5d41402abc4b2a76b9719d911017c592";
    for bodies in [Bodies::Discarded, Bodies::Trusted] {
        let origin = Origin::start(OriginOptions {
            bodies,
            ..OriginOptions::default()
        })
        .expect("starts");
        let client = signing(&origin);
        client.put("media", "plain", &[], b"hello").expect("put");
        let announced = [("content-md5", "XUFAKrxLKna5cZ2REBfFkg==")];
        client
            .put("media", "announced", &announced, b"hello")
            .expect("put");
        for key in ["plain", "announced"] {
            assert_eq!(origin.etag("media", key).expect("etag"), HELLO);
        }
        let wrong = client.put("media", "wrong", &announced, b"hallo");
        let taken = wrong.expect("answer").status == 200;
        assert_eq!(taken, bodies == Bodies::Trusted);
        let (objects, bytes) = if taken { (3, 15) } else { (2, 10) };
        let totals = origin.totals("media").expect("totals");
        assert_eq!(totals, Totals { objects, bytes });
        assert_eq!(client.get("media", "plain").expect("answer").status, 500);
    }
}

#[test]
fn a_restarted_origin_serves_what_it_had_and_goes_on_with_uploads() {
    let scratch = scratch_directory("origin-restart").expect("directory");
    let origin = start_in(scratch.path());
    let client = signing(&origin);
    client
        .put("media", "kept", &[("content-type", "image/gif")], b"kept")
        .expect("put");
    client.put("media", "replaced", &[], b"old").expect("put");
    client.put("media", "replaced", &[], b"new").expect("put");
    client.put("media", "deleted", &[], b"gone").expect("put");
    client
        .send("DELETE", "/media/deleted", &[], &[])
        .expect("delete");
    let upload = client
        .send("POST", "/media/big?uploads=", &[], &[])
        .expect("begin")
        .element("UploadId");
    let part = format!("/media/big?partNumber=1&uploadId={upload}");
    let etag = client
        .send("PUT", &part, &[], b"part")
        .expect("part")
        .header("etag")
        .to_owned();
    drop(origin);

    let origin = start_in(scratch.path());
    let client = signing(&origin);
    let kept = client.get("media", "kept").expect("get");
    assert_eq!(
        (kept.text().as_str(), kept.header("content-type")),
        ("kept", "image/gif")
    );
    assert_eq!(client.get("media", "replaced").expect("get").text(), "new");
    assert_eq!(client.get("media", "deleted").expect("get").status, 404);
    let body = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let done = client
        .send(
            "POST",
            &format!("/media/big?uploadId={upload}"),
            &[],
            body.as_bytes(),
        )
        .expect("complete");
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(client.get("media", "big").expect("get").text(), "part");
}

#[test]
fn what_was_answered_before_a_kill_is_there_after_it() {
    let scratch = scratch_directory("origin-kill").expect("directory");
    let origin = start_in(scratch.path());
    let answered = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (client, answered) = (signing(&origin), &answered);
            scope.spawn(move || {
                for number in 0.. {
                    let key = format!("{thread}/{number}");
                    // Small ones and ones that are written in several steps.
                    let body = key.repeat(if number % 3 == 0 { 300_000 } else { 20 });
                    match client.put("media", &key, &[], body.as_bytes()) {
                        Ok(answer) if answer.status == 200 => {
                            answered.lock().expect("lock").push((key, body))
                        }
                        Ok(answer) => panic!("{}", answer.text()),
                        Err(_) => return,
                    }
                }
            });
        }
        std::thread::sleep(Duration::from_millis(1500));
        // The shell's own: not every system has the program.
        let killed = Command::new("sh")
            .args(["-c", "kill -KILL \"$1\"", "sh", &origin.id().to_string()])
            .status()
            .expect("kill");
        assert!(killed.success());
    });
    drop(origin);

    let origin = start_in(scratch.path());
    let client = signing(&origin);
    let answered = answered.into_inner().expect("lock");
    assert!(
        answered.len() > 20,
        "only {} before the kill",
        answered.len()
    );
    for (key, body) in answered {
        let answer = client.get("media", &key).expect("get");
        assert!(
            answer.status == 200 && answer.body == body.as_bytes(),
            "{key}: {}",
            answer.status
        );
    }
}

/// A file system of 2 MiB of its own, which goes away with the process.
fn origin_on_a_small_disk(directory: &Path) -> (Guarded, Client) {
    let binary = binary("b2-origin").expect("built");
    let script = "mount -t tmpfs -o size=2m none \"$1\" && exec \"$0\" --dir \"$1\"";
    let mut command = in_own_mounts(script).expect("mounts of its own");
    command.arg(binary).arg(directory.join("disk"));
    std::fs::create_dir(directory.join("disk")).expect("directory");
    let log = directory.join("log");
    let (child, address) = Guarded::server("the origin", command, &log, |log| {
        let ready: serde_json::Value = serde_json::from_str(log.lines().next()?).ok()?;
        Some(ready["s3"].as_str()?.to_owned())
    })
    .expect("ready");
    (
        child,
        Client::signing(&address, OriginOptions::KEY_ID, OriginOptions::KEY),
    )
}

#[test]
fn a_full_disk_is_an_honest_error_and_no_half_object() {
    let scratch = scratch_directory("origin-full").expect("directory");
    let (mut child, client) = origin_on_a_small_disk(scratch.path());
    assert_eq!(
        client
            .put("media", "small", &[], &[1; 1000])
            .expect("put")
            .status,
        200
    );
    let refused = client
        .put("media", "big", &[], &[2; 5_000_000])
        .expect("an answer");
    assert_eq!(refused.error(), "500 InternalError");
    assert!(
        refused
            .element("Message")
            .contains("No space left on device"),
        "{}",
        refused.text()
    );
    assert_eq!(client.get("media", "big").expect("get").status, 404);

    // Fill it up to the last block, so that the journal has no room either.
    let stored = (0..600)
        .take_while(|number| {
            client
                .put("media", &format!("fill/{number}"), &[], &[3; 4000])
                .expect("put")
                .status
                == 200
        })
        .count();
    assert!((1..600).contains(&stored), "{stored} were stored");
    for _ in 0..50 {
        assert_eq!(
            client
                .put("media", "more", &[], &[4; 4000])
                .expect("an answer")
                .status,
            500
        );
    }
    for number in 0..stored {
        let answer = client.get("media", &format!("fill/{number}")).expect("get");
        assert!(
            answer.status == 200 && answer.body == [3; 4000],
            "fill/{number}: {}",
            answer.status
        );
    }
    assert_eq!(client.get("media", "small").expect("get").body.len(), 1000);
    assert_eq!(client.get("media", "more").expect("get").status, 404);

    // With room again it goes on; the place that the refused objects took is free.
    for number in 0..stored {
        let path = Client::path("media", &format!("fill/{number}"));
        let deleted = client.send("DELETE", &path, &[], &[]).expect("an answer");
        // The very first may not find room for its line in the journal.
        assert!(matches!(deleted.status, 204 | 500), "{}", deleted.text());
    }
    assert!(
        child.try_wait().expect("status").is_none(),
        "the origin has ended\n{}",
        child.log()
    );
}
