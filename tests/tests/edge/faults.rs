//! An origin that fails, without a stored copy.

use super::stack::{bytes, default_stack};
use serde_json::json;

#[test]
fn a_body_that_is_cut_short_reaches_the_reader_as_such_and_is_not_stored() {
    let stack = default_stack();
    let body = bytes(400_000, 21);
    stack.put("faults/cut.png", &body);
    stack.fault(
        json!({"kind": "truncate", "next": 1, "after_bytes": 100_000, "method": "GET"}),
        "faults/cut",
    );
    let cut = stack.try_get("/faults/cut.png");
    assert!(
        cut.is_err(),
        "a short body looked whole: {:?}",
        cut.map(|answer| answer.body.len())
    );
    stack.check("/faults/cut.png", "MISS", &body);
    assert!(stack.until_hit("/faults/cut.png").body == body);
}

#[test]
fn a_passing_fault_of_a_cold_read_is_retried_once() {
    let stack = default_stack();
    for kind in ["slow_down", "internal_error", "reset"] {
        let key = format!("faults/once-{kind}.png");
        stack.put(&key, b"here");
        stack.fault(json!({"kind": kind, "next": 1, "method": "GET"}), &key);
        stack.check(&format!("/{key}"), "MISS", b"here");
    }
}

#[test]
fn a_lasting_fault_of_a_cold_read_is_passed_on_and_not_stored() {
    let stack = default_stack();
    // As often as the edge retries; after a reset the runtime retries by itself.
    for (kind, status, next) in [
        ("slow_down", 503, 2),
        ("internal_error", 500, 2),
        ("cap_exceeded", 502, 1),
        ("reset", 502, 20),
    ] {
        let key = format!("faults/lasting-{kind}.png");
        stack.put(&key, b"here");
        stack.fault(json!({"kind": kind, "next": next, "method": "GET"}), &key);
        let answer = stack.send("GET", &format!("/{key}"), &[]);
        assert_eq!(answer.status, status, "{kind}");
        assert_eq!(answer.header("x-cache-status"), "", "{kind}");
        assert_eq!(answer.header("x-amz-request-id"), "", "{kind}");
        if kind != "reset" {
            stack.check(&format!("/{key}"), "MISS", b"here");
        }
    }
}
