//! The decisions, for each row of the read table that depends on them.

use super::*;
use crate::policy::freshness::OriginCacheControl;
use http::HeaderValue;
use http::header::VARY;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);
const RULE: FreshnessRule = FreshnessRule {
    fresh_seconds: 100,
    stale_seconds: 1000,
    negative_seconds: 0,
    origin: OriginCacheControl::Ignore,
};

/// A 200 that was stored `seconds` ago.
fn stored(seconds: u64) -> Record {
    let asked_at = UnixMillis(NOW.0 - seconds * 1000);
    Record {
        status: 200,
        asked_at,
        generated_at: asked_at,
        fresh_until: asked_at.plus_seconds(100),
        stale_until: asked_at.plus_seconds(1100),
    }
}

const FRESH: Record = Record {
    status: 200,
    asked_at: NOW,
    generated_at: NOW,
    fresh_until: UnixMillis(NOW.0 + 100_000),
    stale_until: UnixMillis(NOW.0 + 1_100_000),
};

#[track_caller]
fn check_freshness(age: u64, expected: Freshness) {
    let freshness = freshness_of(&stored(age), NOW);
    assert_eq!(freshness, expected, "stored {age} s ago");
}

/// The decision after a fetch, with a stale copy or without.
#[track_caller]
fn check(status: u16, headers: &HeaderMap, stale: Option<Record>, expected: AfterRefresh) {
    let status = StatusCode::from_u16(status).unwrap();
    let after = match stale {
        Some(stale) => after_refresh(status, headers, &stale, &RULE, NOW, NOW),
        None => freshness::record_for(status, headers, &RULE, NOW, NOW)
            .map_or_else(AfterRefresh::PassThrough, AfterRefresh::Replace),
    };
    assert_eq!(after, expected, "{status} {headers:?}");
}

#[track_caller]
fn check_error(error: OriginError, covered: bool, after: AfterError) {
    assert_eq!(is_covered(error, &stored(200), NOW), covered, "{error:?}");
    assert_eq!(after_error(error, &RULE, NOW, NOW), after, "{error:?}");
    // No copy covers for anything past its window.
    assert!(!is_covered(error, &stored(1100), NOW), "{error:?}");
}

const MISSING: OriginError = OriginError::Missing {
    status: 404,
    remembered: None,
};

#[test]
fn a_copy_is_fresh_then_stale_then_absent() {
    check_freshness(0, Freshness::Fresh);
    check_freshness(99, Freshness::Fresh);
    check_freshness(100, Freshness::Stale);
    check_freshness(1099, Freshness::Stale);
    check_freshness(1100, Freshness::Absent);
}

/// The isolate's clock may be behind that of the one that stored the copy.
#[test]
fn a_copy_from_a_later_clock_is_fresh() {
    assert_eq!(freshness_of(&FRESH, UnixMillis(0)), Freshness::Fresh);
}

#[test]
fn a_200_is_stored_whether_or_not_there_is_a_copy() {
    let vary = HeaderMap::from_iter([(VARY, HeaderValue::from_static("*"))]);
    for copy in [None, Some(stored(200))] {
        check(200, &HeaderMap::new(), copy, AfterRefresh::Replace(FRESH));
        check(
            200,
            &vary,
            copy,
            AfterRefresh::PassThrough(Uncacheable::VaryAny),
        );
    }
}

#[test]
fn a_304_revalidates_a_copy_and_nothing_else() {
    let none = HeaderMap::new();
    check(
        304,
        &none,
        Some(stored(200)),
        AfterRefresh::Revalidate(FRESH),
    );
    for copy in [None, Some(stored(1100))] {
        let passed = AfterRefresh::PassThrough(Uncacheable::Status(StatusCode::NOT_MODIFIED));
        check(304, &none, copy, passed);
    }
}

#[test]
fn other_statuses_are_passed_on_and_the_copy_kept() {
    for status in [201, 204, 206] {
        for copy in [None, Some(stored(200))] {
            let reason = Uncacheable::Status(StatusCode::from_u16(status).unwrap());
            check(
                status,
                &HeaderMap::new(),
                copy,
                AfterRefresh::PassThrough(reason),
            );
        }
    }
}

#[test]
fn a_fault_is_covered_by_a_stale_copy() {
    let retry_after = None;
    for error in [
        OriginError::Connect,
        OriginError::Timeout,
        OriginError::Server {
            status: 599,
            retry_after,
        },
        OriginError::SlowDown {
            status: 429,
            retry_after,
        },
        OriginError::CapExceeded,
        OriginError::Credentials,
        OriginError::WrongBucket,
    ] {
        check_error(error, true, AfterError::KeepCopy);
    }
}

#[test]
fn a_denial_is_passed_on_and_the_copy_kept() {
    for error in [OriginError::Denied, OriginError::Refused { status: 400 }] {
        check_error(error, false, AfterError::KeepCopy);
    }
}

#[test]
fn the_copy_of_a_missing_object_is_deleted() {
    check_error(MISSING, false, AfterError::Delete);
}

#[test]
fn a_remembered_404_takes_the_place_of_the_copy() {
    let rule = FreshnessRule {
        negative_seconds: 60,
        ..RULE
    };
    let until = NOW.plus_seconds(60);
    let expected = Record {
        status: 404,
        asked_at: NOW,
        generated_at: NOW,
        fresh_until: until,
        stale_until: until,
    };
    let after = after_error(MISSING, &rule, NOW, NOW);
    assert_eq!(after, AfterError::Remember(expected));
    let freshness = freshness_of(&expected, until);
    assert_eq!(freshness, Freshness::Absent, "it is never stale");
}
