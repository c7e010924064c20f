//! Many readers at once.

use super::runtime;
use super::stack::{Stack, bytes, default_stack};
use serde_json::json;
use std::time::Duration;
use testkit::stack::EdgeOptions;

#[test]
fn two_hundred_readers_of_a_cold_key_make_one_request() {
    // A stack of its own: no other test uses its time.
    let stack = Stack::start("media", &[]);
    let body = bytes(50_000, 11);
    stack.put("crowds/cold.png", &body);
    stack.fault(
        json!({"kind": "latency", "rate": 1.0, "latency_ms": 1000, "method": "GET"}),
        "crowds/cold",
    );
    let words: Vec<String> = std::thread::scope(|scope| {
        let readers: Vec<_> = (0..200)
            .map(|_| {
                scope.spawn(|| {
                    let answer = stack.send("GET", "/crowds/cold.png", &[]);
                    assert!(answer.body == body);
                    answer.header("x-cache-status").to_owned()
                })
            })
            .collect();
        readers
            .into_iter()
            .map(|reader| reader.join().unwrap())
            .collect()
    });
    assert_eq!(stack.gets("crowds/cold.png"), 1);
    assert_eq!(words.iter().filter(|word| *word == "MISS").count(), 1);
    assert_eq!(words.iter().filter(|word| *word == "HIT").count(), 199);
}

#[test]
fn a_reader_who_goes_away_in_the_middle_leaves_the_object_stored() {
    let stack = default_stack();
    let body = bytes(8_000_000, 12);
    stack.put("crowds/left.mp4", &body);
    stack.fault(
        json!({"kind": "latency", "next": 1, "latency_ms": 300, "method": "GET"}),
        "crowds/left",
    );
    let reader = ("/crowds/left.mp4".to_owned(), Duration::from_millis(330));
    runtime::ask_and_leave(&stack, vec![reader]);
    let next = stack.send("GET", "/crowds/left.mp4", &[]);
    assert!(next.body == body);
    assert!(stack.until_hit("/crowds/left.mp4").body == body);
    // A lock left behind would send every reader to the bucket. The second may have asked there too,
    // where the fill took longer than its wait.
    assert!(stack.gets("crowds/left.mp4") <= 2);
}

#[test]
fn a_panic_costs_its_own_request_and_not_the_next() {
    // A stack of its own: a panic restarts the isolate, and ends all its requests.
    let stack = Stack::start_with("media", &[], |options| EdgeOptions {
        test_hooks: true,
        ..options
    });
    stack.put("crowds/calm.png", b"calm");
    for hook in ["panic", "panic-later"] {
        let answer = stack.send("GET", "/crowds/calm.png", &[("X-Medialift-Test", hook)]);
        assert_eq!(answer.status, 500, "{hook}");
        let next = stack.send("GET", "/crowds/calm.png", &[]);
        assert_eq!(
            (next.status, next.body.as_slice()),
            (200, &b"calm"[..]),
            "after {hook}"
        );
    }
    stack.until_hit("/crowds/calm.png");
}
