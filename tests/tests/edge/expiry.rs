//! Reads of stale copies, with the origin up and down.

use super::stack::{Stack, bytes};
use serde_json::json;
use std::thread::sleep;
use std::time::{Duration, Instant};

const PAST_FRESHNESS: Duration = Duration::from_millis(1_300);

fn brief() -> Stack {
    Stack::start("media", &[("FRESH_SECONDS", "1"), ("STALE_SECONDS", "600")])
}

#[test]
fn a_stale_copy_is_confirmed_replaced_covered_for_or_deleted() {
    let stack = brief();
    stack.put("a.png", b"first");
    stack.check("/a.png", "MISS", b"first");
    stack.until_hit("/a.png");

    sleep(PAST_FRESHNESS);
    stack.check("/a.png", "REVALIDATED", b"first");
    assert_eq!(stack.until_hit("/a.png").body, b"first");

    sleep(PAST_FRESHNESS);
    stack.put("a.png", b"second");
    stack.check("/a.png", "EXPIRED", b"second");
    assert_eq!(stack.until_hit("/a.png").body, b"second");

    for fault in [
        json!({"kind": "reset"}),
        json!({"kind": "internal_error"}),
        json!({"kind": "slow_down", "retry_after": 1}),
        json!({"kind": "cap_exceeded"}),
    ] {
        sleep(PAST_FRESHNESS);
        let mut lasting = fault.clone();
        lasting["rate"] = 1.0.into();
        lasting["method"] = "GET".into();
        stack.fault(lasting, "a.png");
        stack.check("/a.png", "STALE", b"second");
        let part = stack.send("GET", "/a.png", &[("Range", "bytes=1-2")]);
        assert_eq!(
            (part.status, part.body.as_slice()),
            (206, &b"ec"[..]),
            "{fault}"
        );
        stack.origin.clear_faults().unwrap();
    }

    sleep(PAST_FRESHNESS);
    stack.delete("a.png");
    assert_eq!(stack.send("GET", "/a.png", &[]).status, 404);
    // No copy is stored that could be served instead.
    stack.fault(
        json!({"kind": "internal_error", "next": 2, "method": "GET"}),
        "a.png",
    );
    assert_eq!(stack.send("GET", "/a.png", &[]).status, 500);
}

#[test]
fn while_one_reader_waits_for_the_update_the_others_do_not() {
    let stack = brief();
    stack.put("b.png", b"old");
    stack.check("/b.png", "MISS", b"old");
    stack.until_hit("/b.png");
    sleep(PAST_FRESHNESS);
    let asked = stack.gets("b.png");
    // Longer than any reader waits for it.
    stack.fault(json!({"kind": "hang", "next": 1, "method": "GET"}), "b.png");
    std::thread::scope(|scope| {
        let first = scope.spawn(|| stack.send("GET", "/b.png", &[]));
        stack.until_asked("b.png", asked + 1);
        stack.check("/b.png", "UPDATING", b"old");
        let word = first.join().unwrap().header("x-cache-status").to_owned();
        assert_eq!(word, "STALE", "{}", stack.edge.log());
    });
    assert_eq!(stack.gets("b.png"), asked + 1);
}

#[test]
fn a_missing_object_is_remembered_where_the_settings_say_so_and_takes_its_copy_away() {
    let stack = Stack::start(
        "media",
        &[("FRESH_SECONDS", "1"), ("NEGATIVE_SECONDS", "600")],
    );
    stack.put("gone.png", b"here");
    stack.check("/gone.png", "MISS", b"here");
    stack.until_hit("/gone.png");
    sleep(PAST_FRESHNESS);
    stack.delete("gone.png");
    for key in ["gone.png", "never.png"] {
        let path = format!("/{key}");
        assert_eq!(stack.send("GET", &path, &[]).status, 404);
        // It is stored a moment after its reader has it.
        let mut asked = 0;
        while asked != stack.gets(key) {
            asked = stack.gets(key);
            assert_eq!(stack.send("GET", &path, &[]).status, 404);
        }
    }
    // Neither a new object nor an outage changes what is remembered.
    stack.put("gone.png", b"again");
    assert_eq!(stack.send("GET", "/gone.png", &[]).status, 404);
    stack.fault(json!({"kind": "internal_error", "rate": 1.0}), "gone");
    assert_eq!(stack.send("GET", "/gone.png", &[]).status, 404);
}

#[test]
fn an_origin_that_is_gone_is_covered_for_during_a_minute() {
    let Keys { stack, bodies } = stored_keys();
    let kill = rustix::process::Pid::from_raw(i32::try_from(stack.origin.id()).unwrap()).unwrap();
    rustix::process::kill_process(kill, rustix::process::Signal::KILL).unwrap();
    sleep(PAST_FRESHNESS);
    let since = Instant::now();
    let mut reads = 0;
    while since.elapsed() < Duration::from_secs(60) {
        for (at, body) in bodies.iter().enumerate() {
            stack.check(&format!("/{at}.png"), "STALE", body);
            reads += 1;
        }
        sleep(Duration::from_secs(2));
    }
    assert!(reads >= 20 * 5, "only {reads} reads in a minute");
    assert_eq!(stack.send("GET", "/never-stored.png", &[]).status, 502);
}

/// A stack that has stored twenty keys.
struct Keys {
    stack: Stack,
    bodies: Vec<Vec<u8>>,
}

fn stored_keys() -> Keys {
    let stack = brief();
    let bodies: Vec<_> = (0..20).map(|at| bytes(1_000 + at, at as u64)).collect();
    for (at, body) in bodies.iter().enumerate() {
        stack.put(&format!("{at}.png"), body);
        stack.check(&format!("/{at}.png"), "MISS", body);
    }
    // The last one is stored a moment after its reader has it.
    stack.until_hit("/19.png");
    Keys { stack, bodies }
}
