//! The faults on demand, and the counts.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{anonymous, origin, signing};

#[test]
fn refusals_happen_as_often_as_asked_and_are_counted() {
    let origin = origin();
    let client = signing(&origin);
    origin
        .set_faults(&json!([
            {"kind": "slow_down", "next": 1, "retry_after": 7},
            {"kind": "internal_error", "next": 1, "key_prefix": "b"},
            {"kind": "cap_exceeded", "next": 1, "method": "GET"},
        ]))
        .expect("faults");
    let busy = client
        .put("media", "a", &[], &[1; 300_000])
        .expect("an answer");
    assert_eq!(
        (busy.error().as_str(), busy.header("retry-after")),
        ("503 SlowDown", "7")
    );
    assert_eq!(
        client
            .put("media", "a", &[], b"x")
            .expect("an answer")
            .status,
        200
    );
    assert_eq!(
        client
            .put("media", "b", &[], b"x")
            .expect("an answer")
            .error(),
        "500 InternalError"
    );
    assert_eq!(
        client.get("media", "a").expect("an answer").error(),
        "403 AccessDenied"
    );
    assert_eq!(client.get("media", "a").expect("an answer").text(), "x");

    let requests = origin.requests().expect("counts");
    assert_eq!((requests.total, requests.refused), (5, 3));
    assert_eq!((requests.of("PutObject"), requests.of("GetObject")), (3, 2));
    assert_eq!(
        (
            requests.of_key("a", "PutObject"),
            requests.of_key("b", "PutObject")
        ),
        (2, 1)
    );
    origin.reset_requests().expect("reset");
    assert_eq!(origin.requests().expect("counts").total, 0);
}

#[test]
fn a_revoked_key_and_a_skewed_clock_stay_until_they_are_cleared() {
    let origin = origin();
    let client = signing(&origin);
    for (kind, expected) in [
        ("revoked", "403 InvalidAccessKeyId"),
        ("skewed_clock", "403 RequestTimeTooSkewed"),
    ] {
        origin.set_faults(&json!({ "kind": kind })).expect("fault");
        for _ in 0..3 {
            assert_eq!(
                client
                    .put("media", "a", &[], b"x")
                    .expect("an answer")
                    .error(),
                expected
            );
        }
        origin.clear_faults().expect("clear");
        assert_eq!(
            client
                .put("media", "a", &[], b"x")
                .expect("an answer")
                .status,
            200
        );
    }
}

#[test]
fn more_requests_than_the_rate_get_slow_down() {
    let origin = origin();
    origin
        .set_faults(&json!({"kind": "slow_down", "max_per_second": 20}))
        .expect("fault");
    let client = anonymous(&origin);
    let start = Instant::now();
    let statuses: Vec<_> = (0..60)
        .map(|_| client.get("media", "a").expect("an answer").status)
        .collect();
    let allowed = statuses.iter().filter(|status| **status == 404).count() as u64;
    let seconds = start.elapsed().as_secs();
    assert!(
        (20..=20 * (seconds + 2)).contains(&allowed),
        "{allowed} in {seconds} s"
    );
    assert!(seconds > 2 || statuses.contains(&503), "{statuses:?}");
}

#[test]
fn a_reset_upload_breaks_off_and_leaves_nothing() {
    let origin = origin();
    origin
        .set_faults(&json!({"kind": "reset", "next": 1, "method": "PUT", "after_bytes": 100_000}))
        .expect("fault");
    let client = signing(&origin);
    let broken = client.put("media", "a", &[], &[1; 20_000_000]);
    assert!(broken.is_err(), "{broken:?}");
    assert_eq!(client.get("media", "a").expect("an answer").status, 404);
    assert_eq!(
        client
            .put("media", "a", &[], &[1; 20_000_000])
            .expect("an answer")
            .status,
        200
    );
}

#[test]
fn a_truncated_answer_announces_all_and_breaks_off() {
    let origin = origin();
    let client = signing(&origin);
    for size in [1000, 3_000_000] {
        client.put("media", "a", &[], &vec![1; size]).expect("put");
        origin
            .set_faults(&json!({"kind": "truncate", "next": 1, "after_bytes": size / 3}))
            .expect("fault");
        let address = origin.s3_url.trim_start_matches("http://");
        let mut stream = std::net::TcpStream::connect(address).expect("connect");
        std::io::Write::write_all(&mut stream, b"GET /media/a HTTP/1.1\r\nhost: x\r\n\r\n")
            .expect("send");
        let mut raw = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut raw).expect("read");
        let end = raw
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a head")
            + 4;
        let head = String::from_utf8_lossy(&raw[..end]);
        assert!(head.contains(&format!("content-length: {size}")), "{head}");
        assert_eq!(raw.len() - end, size / 3);
        origin
            .set_faults(&json!({"kind": "truncate", "next": 1}))
            .expect("fault");
        assert!(client.get("media", "a").is_err());
        assert_eq!(client.get("media", "a").expect("whole").body.len(), size);
    }
}

#[test]
fn a_corrupted_answer_differs_from_the_object() {
    let origin = origin();
    let client = signing(&origin);
    client.put("media", "a", &[], b"hello").expect("put");
    origin
        .set_faults(&json!({"kind": "corrupt", "next": 1}))
        .expect("fault");
    assert_eq!(client.get("media", "a").expect("get").text(), "Hello");
    assert_eq!(client.get("media", "a").expect("get").text(), "hello");
}

#[test]
fn latency_delays_only_what_it_is_set_for() {
    let origin = origin();
    let client = anonymous(&origin);
    origin
        .set_faults(&json!({"kind": "latency", "latency_ms": 2_000, "key_prefix": "slow/"}))
        .expect("fault");
    let timed = |key: &str| {
        let start = Instant::now();
        client.get("media", key).expect("an answer");
        start.elapsed()
    };
    assert!(timed("slow/a") >= Duration::from_secs(2));
    let quickest = (0..5).map(|_| timed("fast")).min().expect("some");
    assert!(quickest < Duration::from_secs(2), "{quickest:?}");
}

#[test]
fn a_fault_that_cannot_be_understood_is_refused() {
    let origin = origin();
    assert!(origin.set_faults(&json!({"kind": "meltdown"})).is_err());
}
