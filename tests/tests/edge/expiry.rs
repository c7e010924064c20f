//! What happens when a copy's freshness has ended, and when the origin has.

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
    stack.check("/a.png", "HIT", b"second");

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
    stack.fault(
        json!({"kind": "latency", "next": 1, "latency_ms": 1500, "method": "GET"}),
        "a.png",
    );
    std::thread::scope(|scope| {
        let first = scope.spawn(|| stack.send("GET", "/a.png", &[]));
        sleep(Duration::from_millis(500));
        let since = Instant::now();
        stack.check("/a.png", "UPDATING", b"second");
        assert!(
            since.elapsed() < Duration::from_millis(900),
            "a reader waited for the update"
        );
        let word = first.join().unwrap().header("x-cache-status").to_owned();
        assert_eq!(word, "REVALIDATED", "{}", stack.edge.log());
    });

    sleep(PAST_FRESHNESS);
    stack.delete("a.png");
    assert_eq!(stack.send("GET", "/a.png", &[]).error(), "404 NoSuchKey");
    // Nothing is kept that could be served instead.
    stack.fault(
        json!({"kind": "internal_error", "next": 2, "method": "GET"}),
        "a.png",
    );
    assert_eq!(stack.send("GET", "/a.png", &[]).status, 500);
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
