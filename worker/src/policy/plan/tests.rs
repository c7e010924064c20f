//! The two decisions: each row of the read table that they carry.

use super::*;
use crate::policy::freshness::OriginCacheControl;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
const RULE: FreshnessRule = FreshnessRule {
    fresh_seconds: 100,
    stale_seconds: 1000,
    negative_seconds: 0,
    origin: OriginCacheControl::Ignore,
};

/// A 200 that was stored `seconds` ago.
fn stored(seconds: u64) -> Entry {
    let stored_at = UnixMillis(NOW.0 - seconds * 1000);
    Entry {
        status: 200,
        stored_at,
        fresh_until: stored_at.plus_seconds(100),
        stale_until: stored_at.plus_seconds(1100),
    }
}

const FRESH: Entry = Entry {
    status: 200,
    stored_at: NOW,
    fresh_until: UnixMillis(NOW.0 + 100_000),
    stale_until: UnixMillis(NOW.0 + 1_100_000),
};

#[track_caller]
fn check_lookup(age: u64, expected: Lookup) {
    assert_eq!(
        lookup(Some(&stored(age)), NOW),
        expected,
        "stored {age} s ago"
    );
}

#[track_caller]
fn check(
    status: u16,
    fields: &[(&str, &str)],
    body: &str,
    stored: Option<Entry>,
    expected: Outcome,
) {
    let fields: Fields = fields.iter().copied().collect();
    let outcome = after_response(
        status,
        &fields,
        body.as_bytes(),
        stored.as_ref(),
        &RULE,
        NOW,
    );
    assert_eq!(outcome, expected, "{status} {fields:?} {body}");
}

#[test]
fn a_copy_is_fresh_then_stale_then_absent() {
    check_lookup(0, Lookup::Fresh);
    check_lookup(99, Lookup::Fresh);
    check_lookup(100, Lookup::Stale);
    check_lookup(1099, Lookup::Stale);
    check_lookup(1100, Lookup::Absent);
    assert_eq!(lookup(None, NOW), Lookup::Absent);
}

/// The isolate's clock may be behind that of the one that stored the copy.
#[test]
fn a_copy_of_the_future_is_fresh() {
    assert_eq!(lookup(Some(&FRESH), UnixMillis(0)), Lookup::Fresh);
}

#[test]
fn a_200_is_stored_whether_or_not_there_is_a_copy() {
    for copy in [None, Some(stored(200))] {
        check(200, &[], "", copy, Outcome::Store(FRESH));
        check(
            200,
            &[("vary", "*")],
            "",
            copy,
            Outcome::Pass(Uncacheable::VaryAny),
        );
    }
}

#[test]
fn a_304_freshens_a_copy_and_nothing_else() {
    check(304, &[], "", Some(stored(200)), Outcome::Freshen(FRESH));
    check(304, &[], "", None, Outcome::Pass(Uncacheable::Status(304)));
}

#[test]
fn a_fault_is_covered_by_a_stale_copy() {
    let copy = Some(stored(200));
    for status in [500, 501, 502, 503, 504, 599] {
        check(
            status,
            &[],
            "",
            copy,
            Outcome::ServeStale(Cause::ServerError(status)),
        );
    }
    check(
        503,
        &[("retry-after", "1")],
        "",
        copy,
        Outcome::ServeStale(Cause::SlowDown(503)),
    );
    check(
        429,
        &[],
        "",
        copy,
        Outcome::ServeStale(Cause::SlowDown(429)),
    );
    for body in [
        "<Error><Code>AccessDenied</Code><Message>Transaction cap exceeded</Message></Error>",
        r#"{"code": "download_cap_exceeded", "status": 403}"#,
    ] {
        check(
            403,
            &[],
            body,
            copy,
            Outcome::ServeStale(Cause::CapExceeded),
        );
    }
}

#[test]
fn without_a_copy_a_fault_is_passed_on() {
    for status in [403, 429, 500, 503] {
        let body = "cap exceeded";
        check(
            status,
            &[],
            body,
            None,
            Outcome::Pass(Uncacheable::Status(status)),
        );
        check(
            status,
            &[],
            body,
            Some(stored(1100)),
            Outcome::Pass(Uncacheable::Status(status)),
        );
    }
}

#[test]
fn another_403_is_passed_on_and_the_copy_kept() {
    check(
        403,
        &[],
        "<Code>AccessDenied</Code>",
        Some(stored(200)),
        Outcome::Pass(Uncacheable::Status(403)),
    );
    let far = format!("{}cap exceeded", " ".repeat(ERROR_BODY_LIMIT));
    check(
        403,
        &[],
        &far,
        Some(stored(200)),
        Outcome::Pass(Uncacheable::Status(403)),
    );
}

#[test]
fn what_the_bucket_has_no_more_is_deleted() {
    for status in [404, 410] {
        check(status, &[], "", Some(stored(200)), Outcome::DeleteAndPass);
        check(
            status,
            &[],
            "",
            None,
            Outcome::Pass(Uncacheable::Status(status)),
        );
    }
}

#[test]
fn a_remembered_404_takes_the_place_of_the_copy() {
    let rule = FreshnessRule {
        negative_seconds: 60,
        ..RULE
    };
    let outcome = after_response(404, &Fields::new(), &[], Some(&stored(200)), &rule, NOW);
    let until = NOW.plus_seconds(60);
    let expected = Entry {
        status: 404,
        stored_at: NOW,
        fresh_until: until,
        stale_until: until,
    };
    assert_eq!(outcome, Outcome::Store(expected));
    assert_eq!(
        lookup(Some(&expected), until),
        Lookup::Absent,
        "it is never stale"
    );
}

#[test]
fn other_statuses_are_passed_on_and_the_copy_kept() {
    for status in [201, 204, 206, 301, 302, 307, 400, 401, 405, 412, 416] {
        for copy in [None, Some(stored(200))] {
            check(
                status,
                &[],
                "",
                copy,
                Outcome::Pass(Uncacheable::Status(status)),
            );
        }
    }
}

#[test]
fn no_answer_at_all_is_covered_by_a_stale_copy() {
    for cause in [Cause::Connect, Cause::Timeout] {
        let served = Some(Outcome::ServeStale(cause));
        assert_eq!(after_failure(cause, Some(&stored(200)), NOW), served);
        assert_eq!(
            after_failure(cause, Some(&stored(1100)), NOW),
            None,
            "past its window"
        );
        assert_eq!(after_failure(cause, None, NOW), None);
    }
}

#[test]
fn the_body_is_read_only_where_it_decides() {
    assert!(needs_error_body(403, Some(&FRESH)));
    assert!(!needs_error_body(403, None));
    assert!(!needs_error_body(503, Some(&FRESH)));
}
