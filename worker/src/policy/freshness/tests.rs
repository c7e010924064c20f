//! Every form of the headers about caching, as observed of nginx 1.22, and how long each keeps an answer
//! fresh.

use super::*;
use Uncacheable::{ByOrigin, NoTime, Status, VaryAny};
use http::HeaderValue;

const NOW: UnixMillis = UnixMillis(1_790_000_000_500);
const HOURS_48: u64 = 172_800;

fn rule(origin: OriginCacheControl) -> FreshnessRule {
    FreshnessRule {
        fresh_seconds: HOURS_48,
        stale_seconds: 1000,
        negative_seconds: 0,
        origin,
    }
}

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let parsed = |name: &str, text: &str| -> (HeaderName, HeaderValue) {
        (name.parse().unwrap(), text.parse().unwrap())
    };
    fields
        .iter()
        .map(|(name, text)| parsed(name, text))
        .collect()
}

fn of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap()
}

/// `expected`: for how many seconds from now the answer is fresh.
#[track_caller]
fn check(
    rule: &FreshnessRule,
    status: u16,
    fields: &[(&str, &str)],
    expected: Result<u64, Uncacheable>,
) {
    let record = record_for(of(status), &headers(fields), rule, NOW, NOW);
    let seconds = record.map(|record| (record.fresh_until.0.saturating_sub(NOW.0)).div_ceil(1000));
    assert_eq!(seconds, expected, "{fields:?}");
}

#[track_caller]
fn respects(fields: &[(&str, &str)], expected: Result<u64, Uncacheable>) {
    check(&rule(OriginCacheControl::Respect), 200, fields, expected);
}

#[test]
fn only_a_200_is_stored() {
    let ignore = rule(OriginCacheControl::Ignore);
    check(&ignore, 200, &[], Ok(HOURS_48));
    for status in [
        201, 204, 206, 301, 302, 304, 400, 403, 404, 410, 416, 429, 500, 503,
    ] {
        check(
            &ignore,
            status,
            &[("x-accel-expires", "100")],
            Err(Status(of(status))),
        );
    }
}

#[test]
fn a_404_or_410_is_remembered_where_the_rule_says_so() {
    let forgets = rule(OriginCacheControl::Ignore);
    let remembers = FreshnessRule {
        negative_seconds: 60,
        ..forgets
    };
    for status in [404, 410] {
        assert_eq!(record_for_missing(status, &forgets, NOW, NOW), None);
        let record = record_for_missing(status, &remembers, NOW, NOW).unwrap();
        assert_eq!(
            (record.status, record.fresh_until),
            (status, NOW.plus_seconds(60))
        );
        assert_eq!(record.stale_until, record.fresh_until, "no stale window");
    }
}

#[test]
fn by_default_the_buckets_headers_do_not_count() {
    let ignore = rule(OriginCacheControl::Ignore);
    check(
        &ignore,
        200,
        &[("cache-control", "max-age=0, no-cache, no-store")],
        Ok(HOURS_48),
    );
    check(&ignore, 200, &[("expires", "0")], Ok(HOURS_48));
    check(&ignore, 200, &[("x-accel-expires", "0")], Ok(HOURS_48));
    check(&ignore, 200, &[("set-cookie", "a=b")], Ok(HOURS_48));
}

#[test]
fn an_answer_that_varies_with_anything_is_not_stored() {
    for origin in [OriginCacheControl::Ignore, OriginCacheControl::Respect] {
        check(&rule(origin), 200, &[("vary", "*")], Err(VaryAny));
        check(&rule(origin), 200, &[("vary", "Origin, *")], Err(VaryAny));
        check(
            &rule(origin),
            200,
            &[("vary", "*"), ("x-accel-expires", "9")],
            Err(VaryAny),
        );
        check(
            &rule(origin),
            200,
            &[("vary", "Origin, Accept")],
            Ok(HOURS_48),
        );
    }
}

#[test]
fn with_fresh_seconds_0_nothing_is_stored() {
    let none = FreshnessRule {
        fresh_seconds: 0,
        ..rule(OriginCacheControl::Ignore)
    };
    check(&none, 200, &[], Err(NoTime));
    let none = FreshnessRule {
        origin: OriginCacheControl::Respect,
        ..none
    };
    check(&none, 200, &[("cache-control", "max-age=5")], Ok(5));
}

#[test]
fn cache_control_is_read_as_nginx_reads_it() {
    for (text, expected) in [
        ("max-age=100", Ok(100)),
        ("MAX-AGE=100", Ok(100)),
        ("public", Ok(HOURS_48)),
        ("must-revalidate", Ok(HOURS_48)),
        ("max-age=0", Err(ByOrigin)),
        ("max-age=", Err(ByOrigin)),
        ("max-age=abc", Err(ByOrigin)),
        ("max-age=10x", Err(ByOrigin)),
        ("max-age=-5", Err(ByOrigin)),
        ("max-age=\"100\"", Err(ByOrigin)),
        ("s-maxage=0, max-age=100", Err(ByOrigin)),
        ("max-age=0, s-maxage=100", Ok(100)),
        ("max-age=0, max-age=100", Err(ByOrigin)),
        ("max-age=100, max-age=50", Ok(50)),
        ("max-age=100, no-cache", Err(ByOrigin)),
        ("no-cache=\"foo\"", Err(ByOrigin)),
        ("NO-STORE", Err(ByOrigin)),
        ("private", Err(ByOrigin)),
        ("max-age=1, stale-while-revalidate=10", Ok(1)),
    ] {
        respects(&[("cache-control", text)], expected);
    }
    respects(
        &[
            ("cache-control", "max-age=100"),
            ("cache-control", "no-store"),
        ],
        Err(ByOrigin),
    );
}

#[test]
fn an_age_that_overflows_is_the_longest() {
    let headers = headers(&[("cache-control", "max-age=99999999999999999999")]);
    let rule = rule(OriginCacheControl::Respect);
    let record = record_for(StatusCode::OK, &headers, &rule, NOW, NOW).unwrap();
    assert_eq!(record.fresh_until, UnixMillis(u64::MAX));
    assert_eq!(Record::decode(&record.encode()), Some(record));
}

#[test]
fn expires_that_is_no_later_date_forbids_to_store() {
    respects(&[("expires", "Mon, 21 Sep 2026 14:13:30 GMT")], Ok(10));
    for past in [
        "Thu, 01 Jan 2015 00:00:00 GMT",
        "Mon, 21 Sep 2026 14:13:20 GMT",
        "0",
        "-1",
        "soon",
        "",
    ] {
        respects(&[("expires", past)], Err(ByOrigin));
    }
}

#[test]
fn x_accel_expires_is_seconds_or_a_moment() {
    respects(&[("x-accel-expires", "100")], Ok(100));
    respects(&[("x-accel-expires", "0")], Err(ByOrigin));
    respects(&[("x-accel-expires", "@1790000010")], Ok(10));
    for ignored in ["", "abc", "off", "-1", "10x", "@", "@x"] {
        respects(&[("x-accel-expires", ignored)], Ok(HOURS_48));
    }
}

/// As in nginx: it is stored, and the next reader finds it expired.
#[test]
fn a_moment_in_the_past_is_stored_but_not_fresh() {
    let headers = headers(&[("x-accel-expires", "@1")]);
    let rule = rule(OriginCacheControl::Respect);
    let record = record_for(StatusCode::OK, &headers, &rule, NOW, NOW).unwrap();
    assert_eq!(record.fresh_until, UnixMillis(1000));
    assert_eq!(record.stale_until, NOW.plus_seconds(1000));
}

#[test]
fn x_accel_expires_outranks_cache_control_and_that_expires() {
    let past = ("expires", "Thu, 01 Jan 2015 00:00:00 GMT");
    let ahead = ("expires", "Mon, 21 Sep 2026 14:13:30 GMT");
    respects(
        &[
            ("x-accel-expires", "7"),
            ("cache-control", "no-store"),
            past,
        ],
        Ok(7),
    );
    respects(
        &[
            ("x-accel-expires", "0"),
            ("cache-control", "max-age=100"),
            ahead,
        ],
        Err(ByOrigin),
    );
    respects(
        &[("x-accel-expires", "abc"), ("cache-control", "no-store")],
        Err(ByOrigin),
    );
    respects(&[("cache-control", "max-age=100"), past], Ok(100));
    respects(&[("cache-control", "max-age=0"), ahead], Err(ByOrigin));
    respects(&[("cache-control", "public"), past], Err(ByOrigin));
    respects(&[("cache-control", "public"), ahead], Ok(10));
}

#[test]
fn a_revalidated_copy_is_fresh_again() {
    let old = Record {
        status: 200,
        asked_at: UnixMillis(0),
        generated_at: UnixMillis(0),
        fresh_until: UnixMillis(1),
        stale_until: NOW.plus_seconds(1),
    };
    let seconds = |fields: &[(&str, &str)]| {
        let rule = rule(OriginCacheControl::Respect);
        let record = revalidated(&old, &headers(fields), &rule, NOW, NOW);
        assert_eq!(record.asked_at, NOW);
        assert_eq!(record.stale_until, record.fresh_until.plus_seconds(1000));
        (record.fresh_until.0 - NOW.0) / 1000
    };
    assert_eq!(seconds(&[]), HOURS_48);
    assert_eq!(seconds(&[("cache-control", "max-age=5")]), 5);
    assert_eq!(
        seconds(&[("cache-control", "no-store")]),
        0,
        "asked again the next time"
    );
}

/// RFC 9111, section 4.2.3: the time since the request, and the age that a cache behind the worker has
/// stated.
#[test]
fn the_age_counts_from_the_request_and_includes_that_of_a_cache_behind() {
    let asked_at = UnixMillis(NOW.0 - 300);
    let rule = rule(OriginCacheControl::Ignore);
    for (fields, generated_at) in [
        (&[][..], asked_at),
        (&[("age", "10")], UnixMillis(asked_at.0 - 10_000)),
        (&[("age", "soon")], asked_at),
    ] {
        let record = record_for(StatusCode::OK, &headers(fields), &rule, asked_at, NOW).unwrap();
        assert_eq!(
            (record.asked_at, record.generated_at),
            (asked_at, generated_at)
        );
        assert_eq!(record.fresh_until, NOW.plus_seconds(HOURS_48));
    }
}
