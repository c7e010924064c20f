//! Which headers of an answer of B2 reach a client, and which the store.

use super::*;
use crate::policy::freshness::{self, FreshnessRule, OriginCacheControl};
use http::header::{ETAG, EXPIRES};

const NOW: UnixMillis = UnixMillis(784_111_777_000);
const RULE: FreshnessRule = FreshnessRule {
    fresh_seconds: 172_800,
    stale_seconds: 2_592_000,
    negative_seconds: 0,
    origin: OriginCacheControl::Ignore,
};

fn names(headers: &HeaderMap) -> Vec<&str> {
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    names
}

fn of(status: u16) -> StatusCode {
    StatusCode::from_u16(status).unwrap()
}

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let parsed = |name: &str, text: &str| -> (HeaderName, HeaderValue) {
        (name.parse().unwrap(), text.parse().unwrap())
    };
    fields
        .iter()
        .map(|(name, text)| parsed(name, text))
        .collect()
}

/// B2's answer to a GetObject with an `Origin`, as a browser sends it.
fn bucket() -> HeaderMap {
    map(&[
        ("accept-ranges", "bytes"),
        ("access-control-allow-origin", "https://example.com"),
        ("access-control-expose-headers", "x-amz-id-2"),
        ("cache-control", "max-age=0, no-cache, no-store"),
        ("cf-cache-status", "DYNAMIC"),
        ("cf-ray", "0"),
        ("connection", "keep-alive, x-hop"),
        ("content-length", "100"),
        ("content-type", "image/png"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("etag", "\"abc\""),
        ("keep-alive", "timeout=5"),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("location", "https://f004.backblazeb2.com/"),
        ("server", "nginx"),
        ("set-cookie", "a=b"),
        ("strict-transport-security", "max-age=63072000"),
        ("transfer-encoding", "chunked"),
        ("vary", "Origin"),
        ("via", "1.1 x"),
        ("x-amz-id-2", "1"),
        ("x-amz-request-id", "2"),
        ("x-amz-version-id", "3"),
        ("x-amzn-requestid", "4"),
        ("x-bz-info-src", "5"),
        ("x-hop", "6"),
        ("x-powered-by", "PHP"),
    ])
}

const KEPT: [&str; 9] = [
    "accept-ranges",
    "cache-control",
    "content-length",
    "content-type",
    "date",
    "etag",
    "last-modified",
    "strict-transport-security",
    "vary",
];

#[test]
fn the_buckets_headers_are_removed_and_the_workers_added() {
    let headers = for_client(StatusCode::OK, &bucket(), CacheStatus::Miss, NOW);
    let added = [
        "access-control-allow-origin",
        "content-security-policy",
        "expires",
        "x-cache-status",
        "x-content-type-options",
    ];
    let mut expected = [&KEPT[..], &added].concat();
    expected.sort_unstable();
    assert_eq!(names(&headers), expected);
    for (name, value) in [
        ("cache-control", "public, max-age=31536000"),
        ("access-control-allow-origin", "*"),
        ("expires", "Mon, 06 Nov 1995 08:49:37 GMT"),
        ("x-cache-status", "MISS"),
        ("x-content-type-options", "nosniff"),
        (
            "content-security-policy",
            "default-src 'none'; form-action 'none'",
        ),
    ] {
        let values: Vec<_> = headers.get_all(name).iter().collect();
        assert_eq!(values, [value], "{name}");
    }
}

#[test]
fn a_status_without_added_headers_keeps_the_buckets_cache_control() {
    for status in [202, 203, 205] {
        let headers = for_client(of(status), &bucket(), CacheStatus::Miss, NOW);
        assert_eq!(names(&headers), KEPT, "{status}");
        assert_eq!(
            text(&headers, CACHE_CONTROL),
            Some("max-age=0, no-cache, no-store")
        );
    }
}

/// nginx's list, as observed, and 416.
#[test]
fn these_statuses_get_the_added_headers_and_no_others() {
    let added: Vec<u16> = (100..600)
        .filter(|status| has_added_headers(of(*status)))
        .collect();
    assert_eq!(
        added,
        [200, 201, 204, 206, 301, 302, 303, 304, 307, 308, 416]
    );
}

#[test]
fn names_are_removed_whole_or_by_their_beginning() {
    let is_removed = |name: &str| is_removed(&name.parse().unwrap());
    for name in [
        "X-AMZ-Id-2",
        "x-Bz-Content-Sha1",
        "SERVER",
        "Access-Control-Max-Age",
        "Set-Cookie",
        "Location",
    ] {
        assert!(is_removed(name), "{name}");
    }
    for name in [
        "x-am",
        "x-amz",
        "serverless",
        "accept-ranges",
        "content-location",
    ] {
        assert!(!is_removed(name), "{name}");
    }
}

#[test]
fn the_record_is_stored_in_the_place_of_the_status() {
    let mut from_bucket = bucket();
    from_bucket.insert(AGE, HeaderValue::from_static("7"));
    let record = freshness::record_for(StatusCode::OK, &from_bucket, &RULE, NOW, NOW).unwrap();
    let for_client = for_client(StatusCode::OK, &from_bucket, CacheStatus::Miss, NOW);
    assert_eq!(
        text(&for_client, AGE),
        Some("7"),
        "it is the bucket's answer"
    );
    let stored = for_store(for_client, &record);
    assert_eq!(stored.get_all(RECORD).iter().count(), 1);
    assert_eq!(text(&stored, RECORD).and_then(Record::decode), Some(record));
    assert_eq!(stored.get(AGE), None, "computed from the record");
}

#[test]
fn a_missing_object_is_remembered_for_as_long_as_its_record_says() {
    let until = NOW.plus_seconds(60);
    let record = Record {
        status: 404,
        asked_at: NOW,
        generated_at: NOW,
        fresh_until: until,
        stale_until: until,
    };
    let stored = for_missing(&record, NOW);
    assert_eq!(text(&stored, RECORD).and_then(Record::decode), Some(record));
    assert_eq!(text(&stored, CACHE_CONTROL), Some("public, max-age=60"));
}

/// A bucket cannot put a forged record into the store, nor send a cache status to a client.
#[test]
fn a_record_from_the_bucket_is_removed() {
    let forged = map(&[("x-cache-status", "{\"v\":2}")]);
    let passed = for_client(StatusCode::ACCEPTED, &forged, CacheStatus::Miss, NOW);
    assert_eq!(passed, HeaderMap::new());
    let answer = for_client(StatusCode::OK, &forged, CacheStatus::Miss, NOW);
    assert_eq!(
        answer.get_all(X_CACHE_STATUS).iter().collect::<Vec<_>>(),
        ["MISS"]
    );
}

#[test]
fn a_304_has_no_headers_about_a_body() {
    let whole = for_client(StatusCode::OK, &bucket(), CacheStatus::Hit, NOW);
    let headers = for_not_modified(whole);
    assert_eq!(text(&headers, ETAG), Some("\"abc\""));
    assert_eq!(
        text(&headers, CACHE_CONTROL),
        Some("public, max-age=31536000")
    );
    for name in ABOUT_THE_BODY {
        assert_eq!(headers.get(&name), None, "{name}");
    }
}

#[test]
fn a_416_states_the_length_and_has_the_added_headers() {
    let headers = for_unsatisfiable(100, CacheStatus::Hit, NOW);
    assert_eq!(text(&headers, CONTENT_RANGE), Some("bytes */100"));
    assert_eq!(text(&headers, X_CACHE_STATUS), Some("HIT"));
    assert_eq!(headers.get(ETAG), None);
    assert!(headers.contains_key(EXPIRES));
}

#[test]
fn the_age_for_clients_is_stated_once() {
    assert!(ADDED[0].1.ends_with(&CLIENT_SECONDS.to_string()));
}

#[test]
fn values_beyond_ascii_are_read_as_the_text_they_are() {
    let headers =
        HeaderMap::from_iter([(ETAG, HeaderValue::from_bytes("\"é\"".as_bytes()).unwrap())]);
    assert_eq!(text(&headers, ETAG), Some("\"é\""));
}

#[test]
fn only_digits_are_a_number() {
    assert_eq!(parse_number("0"), Some(0));
    assert_eq!(parse_number("18446744073709551615"), Some(u64::MAX));
    for text in [
        "",
        "+1",
        "-1",
        " 1",
        "1 ",
        "1.0",
        "0x1",
        "18446744073709551616",
        "١",
    ] {
        assert_eq!(parse_number(text), None, "{text}");
    }
}
