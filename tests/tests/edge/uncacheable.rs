//! Many readers at once of what is not stored: a missing key, an error, an object without freshness.
//! They do not wait for one another.

use super::stack::{Stack, bytes};
use e2e::client::Answer;
use serde_json::json;
use std::time::{Duration, Instant};

const READERS: u64 = 20;
/// How long the origin takes for an answer.
const LATENCY_MILLISECONDS: u64 = 500;
/// The most requests of a crowd whose readers share an answer.
const FEW_REQUESTS: u64 = 5;
/// How long a crowd may take, on a busy machine too: less than one wait for the lock, which is five seconds, and
/// than the readers one after the other, ten seconds.
const IN_TIME: Duration = Duration::from_secs(4);

#[test]
fn a_late_part_of_what_is_not_stored_is_asked_for_as_a_part() {
    let stack = Stack::start("media", &[("FRESH_SECONDS", "0")]);
    let body = bytes(8_000_000, 15);
    stack.put("late.mp4", &body);
    let range = [("Range", "bytes=6000000-6000009")];
    let part = stack.send("GET", "/late.mp4", &range);
    assert_eq!(part.status, 206);
    assert_eq!(
        part.header("content-range"),
        "bytes 6000000-6000009/8000000"
    );
    assert!(part.body == body[6_000_000..6_000_010]);
    assert_eq!(stack.gets("late.mp4"), 2);
    // Once more where the bucket is busy, as for the whole.
    std::thread::sleep(Duration::from_secs(2));
    stack.fault(
        json!({"kind": "slow_down", "spare": 1, "next": 1, "method": "GET"}),
        "late",
    );
    let part = stack.send("GET", "/late.mp4", &range);
    assert_eq!((part.status, part.body.len()), (206, 10));
    assert_eq!(stack.gets("late.mp4"), 5);
}

fn slow_origin(settings: &[(&str, &str)]) -> Stack {
    let stack = Stack::start("media", settings);
    // The runtime has started by now, and the first request is answered.
    stack.send("GET", "/warm.png", &[]);
    stack.fault(
        json!({"kind": "latency", "rate": 1.0, "latency_ms": LATENCY_MILLISECONDS, "method": "GET"}),
        "crowd",
    );
    stack
}

/// Has a path read by all the readers at once, and checks that all have their answer in time.
#[track_caller]
fn check_crowd(stack: &Stack, path: &str) -> Vec<Answer> {
    let since = Instant::now();
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..READERS)
            .map(|_| scope.spawn(|| stack.send("GET", path, &[])))
            .collect();
        readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .collect()
    });
    let elapsed = since.elapsed();
    assert!(elapsed <= IN_TIME, "{path}: {elapsed:?}");
    answers
}

#[test]
fn readers_of_a_missing_key_are_answered_together() {
    let stack = slow_origin(&[]);
    for answer in check_crowd(&stack, "/crowd-missing.png") {
        assert_eq!(answer.status, 404);
    }
    let asked = stack.gets("crowd-missing.png");
    assert!(asked <= FEW_REQUESTS, "{asked} requests");
    // Later readers do not wait, and find what was stored meanwhile.
    stack.put("crowd-missing.png", b"here");
    std::thread::sleep(Duration::from_secs(2));
    let since = Instant::now();
    stack.check("/crowd-missing.png", "MISS", b"here");
    assert!(since.elapsed() < IN_TIME);
}

#[test]
fn readers_of_what_the_bucket_refuses_or_fails_at_are_answered_together() {
    let stack = slow_origin(&[]);
    for kind in ["cap_exceeded", "internal_error"] {
        let key = format!("crowd-{kind}.png");
        stack.put(&key, b"here");
        stack.fault(json!({"kind": kind, "rate": 1.0, "method": "GET"}), &key);
        let path = format!("/{key}");
        for answer in check_crowd(&stack, &path) {
            assert!(answer.status >= 400, "{kind}: {}", answer.status);
        }
        let asked = stack.gets(&key);
        assert!(asked <= FEW_REQUESTS, "{kind}: {asked} requests");
    }
}

#[test]
fn readers_of_an_object_that_is_never_fresh_do_not_wait_for_one_another() {
    let stack = slow_origin(&[("FRESH_SECONDS", "0")]);
    stack.put("crowd-object.png", b"here");
    for answer in check_crowd(&stack, "/crowd-object.png") {
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"here"[..]));
    }
}
