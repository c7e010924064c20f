//! Readers who leave, or stop reading, while they hold the lock of a key: other readers do not wait for them.

use super::runtime;
use super::stack::{Stack, begin_reading, bytes, default_stack, read_beginning};
use e2e::client::Client;
use e2e::edge;
use serde_json::json;
use std::io::Read as _;
use std::time::{Duration, Instant};
use testkit::stack::EdgeOptions;

const READERS_WHO_LEAVE: u64 = 40;

#[test]
fn a_reader_who_goes_away_does_not_keep_a_key_cold() {
    let stack = Stack::start_with("media", &[], |options| EdgeOptions {
        before: Some(edge::simulator("slow-look-ups.mjs")),
        ..options
    });
    let key = |at: u64| format!("left-{at}.png");
    for at in 0..READERS_WHO_LEAVE {
        stack.put(&key(at), &bytes(20_000, at));
    }
    stack.send("GET", "/warm.png", &[]);
    // Each of another key, and each a little later: before the worker has looked into the store, before
    // it has asked the bucket, and after.
    let reader = |at| (format!("/{}", key(at)), Duration::from_millis(at * 10));
    runtime::ask_and_leave(&stack, (0..READERS_WHO_LEAVE).map(reader).collect());
    for at in 0..READERS_WHO_LEAVE {
        let path = format!("/{}", key(at));
        let since = Instant::now();
        assert!(stack.until_hit(&path).body == bytes(20_000, at));
        let elapsed = since.elapsed();
        assert!(elapsed < Duration::from_secs(4), "{path}: {elapsed:?}");
        let asked = stack.gets(&key(at));
        assert!(asked <= 2, "{path}: {asked} requests");
    }
}

#[test]
fn many_readers_who_go_away_do_not_keep_a_key_cold() {
    let stack = default_stack();
    stack.put("lock/crowd.png", b"here");
    stack.fault(
        json!({"kind": "latency", "rate": 1.0, "latency_ms": 100, "method": "GET"}),
        "lock/crowd",
    );
    let reader = |at| ("/lock/crowd.png".to_owned(), Duration::from_millis(at));
    let readers = (0..READERS_WHO_LEAVE).map(reader).collect();
    runtime::ask_and_leave(&stack, readers);
    let since = Instant::now();
    assert_eq!(stack.until_hit("/lock/crowd.png").body, b"here");
    let elapsed = since.elapsed();
    assert!(elapsed < Duration::from_secs(4), "{elapsed:?}");
}

#[test]
fn a_first_reader_who_stops_reading_holds_the_object_for_seconds_only() {
    let stack = Stack::start("media", &[]);
    let body = bytes(60_000_000, 13);
    stack.put("slow.mp4", &body);
    let head = Client::anonymous(&stack.origin.s3_url)
        .send("HEAD", &Client::path("media", "slow.mp4"), &[], &[])
        .unwrap();
    let tag = head.header("etag");
    let end = ("Range", "bytes=59999000-");
    let conditions: [(Vec<_>, u16, &[u8]); 4] = [
        (vec![end], 206, &body[59_999_000..]),
        (vec![end, ("If-Range", tag)], 206, &body[59_999_000..]),
        (vec![end, ("If-Range", "\"other\"")], 200, &body),
        (vec![end, ("If-None-Match", tag)], 304, &[]),
    ];
    let mut first = begin_reading(&stack.edge, "/slow.mp4", "");
    read_beginning(&mut first);
    let since = Instant::now();
    // The first reader stops reading; the others begin.
    std::thread::scope(|scope| {
        let whole = scope.spawn(|| stack.send("GET", "/slow.mp4", &[]));
        let readers = conditions.each_ref().map(|(fields, status, bytes)| {
            let reader = scope.spawn(|| stack.send("GET", "/slow.mp4", fields));
            (fields, *status, *bytes, reader)
        });
        for (fields, status, bytes, reader) in readers {
            let answer = reader.join().unwrap();
            assert_eq!(answer.status, status, "{fields:?}");
            assert!(answer.body == bytes, "{fields:?}: other bytes");
        }
        assert!(whole.join().unwrap().body == body);
    });
    assert!(stack.until_hit("/slow.mp4").body == body);
    let elapsed = since.elapsed();
    // Not as long as the first reader would have held it: it never reads on.
    assert!(elapsed < Duration::from_secs(60), "{elapsed:?}");
    let asked = stack.gets("slow.mp4");
    stack.check("/slow.mp4", "HIT", &body);
    assert_eq!(stack.gets("slow.mp4"), asked);
    drop(first);
}

#[test]
fn a_slow_reader_of_the_end_of_a_cold_object_gets_its_bytes_and_leaves_it_stored() {
    let stack = default_stack();
    let body = bytes(40_000_000, 14);
    stack.put("lock/end.mp4", &body);
    let field = "Range: bytes=39000000-\r\nConnection: close\r\n";
    let mut reader = begin_reading(&stack.edge, "/lock/end.mp4", field);
    let mut answer = Vec::new();
    let mut chunk = vec![0; 100_000];
    loop {
        let count = reader.read(&mut chunk).unwrap();
        if count == 0 {
            break;
        }
        answer.extend_from_slice(&chunk[..count]);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(answer.starts_with(b"HTTP/1.1 206"));
    assert!(answer.ends_with(&body[39_000_000..]));
    let head = &answer[..answer.len() - 1_000_000];
    let head = std::str::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.contains("content-range: bytes 39000000-39999999/40000000\r\n"));
    assert!(head.ends_with("\r\n\r\n"));
    assert!(stack.until_hit("/lock/end.mp4").body == body);
    // Once for the store; the runtime does not skip 39 MB for a reader, so the bucket may be asked for this part.
    assert!(stack.gets("lock/end.mp4") <= 2);
}
