//! What of an answer of B2's reaches a client, and what reaches the store.

use super::*;
use crate::policy::freshness::OriginCacheControl;
use crate::policy::number::decimal;

const NOW: UnixMillis = UnixMillis(784_111_777_000);
const RULE: FreshnessRule = FreshnessRule {
    fresh_seconds: 172_800,
    stale_seconds: 2_592_000,
    negative_seconds: 0,
    origin: OriginCacheControl::Ignore,
};

fn names(fields: &Fields) -> Vec<String> {
    let mut names: Vec<_> = fields
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase())
        .collect();
    names.sort();
    names
}

/// A GetObject answer as B2 sends it to a browser's request with an `Origin`.
fn bucket() -> Fields {
    Fields::from_iter([
        ("accept-ranges", "bytes"),
        ("access-control-allow-origin", "https://example.com"),
        ("access-control-expose-headers", "x-amz-id-2"),
        ("cache-control", "max-age=0, no-cache, no-store"),
        ("connection", "keep-alive, x-hop"),
        ("content-length", "100"),
        ("content-type", "image/png"),
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("etag", "\"abc\""),
        ("keep-alive", "timeout=5"),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
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
fn an_answer_is_stripped_and_dressed() {
    let fields = for_client(200, &bucket(), CacheStatus::Miss, NOW);
    let added = [
        "access-control-allow-origin",
        "content-security-policy",
        "expires",
        "x-cache-status",
        "x-content-type-options",
    ];
    let mut expected: Vec<_> = KEPT
        .iter()
        .chain(&added)
        .map(|name| (*name).to_owned())
        .collect();
    expected.sort();
    assert_eq!(names(&fields), expected);
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
        assert_eq!(fields.all(name).collect::<Vec<_>>(), [value], "{name}");
    }
}

#[test]
fn an_error_keeps_the_buckets_words_on_caching_and_gets_nothing_added() {
    for status in [400, 401, 403, 404, 405, 410, 412, 429, 500, 502, 503, 504] {
        let fields = for_client(status, &bucket(), CacheStatus::Miss, NOW);
        assert_eq!(names(&fields), KEPT, "{status}");
        assert_eq!(
            fields.get("cache-control"),
            Some("max-age=0, no-cache, no-store")
        );
    }
}

/// nginx's list, observed; and 416.
#[test]
fn these_statuses_are_dressed_and_no_others() {
    let dressed: Vec<u16> = (100..600).filter(|status| is_dressed(*status)).collect();
    assert_eq!(
        dressed,
        [200, 201, 204, 206, 301, 302, 303, 304, 307, 308, 416]
    );
}

#[test]
fn names_are_removed_whatever_their_case() {
    for name in [
        "X-AMZ-Id-2",
        "x-Bz-Content-Sha1",
        "SERVER",
        "Access-Control-Max-Age",
        "Set-Cookie",
    ] {
        assert!(is_removed(name), "{name}");
    }
    for name in [
        "x-am",
        "x-amz",
        "serverless",
        "accept-ranges",
        "é",
        "",
        "x-äbz-",
    ] {
        assert!(!is_removed(name), "{name}");
    }
}

#[test]
fn the_record_is_stored_in_the_place_of_the_status() {
    let entry = freshness::entry_for(200, &bucket(), &RULE, NOW).unwrap();
    let fields = for_store(&bucket(), &entry, NOW);
    assert_eq!(
        fields
            .all("x-cache-status")
            .map(Entry::decode)
            .collect::<Vec<_>>(),
        [Some(entry)]
    );
    assert_eq!(
        names(&fields),
        names(&for_client(200, &bucket(), CacheStatus::Hit, NOW))
    );
}

#[test]
fn a_remembered_404_is_stored_with_its_time_and_not_dressed() {
    let until = NOW.plus_seconds(60);
    let entry = Entry {
        status: 404,
        stored_at: NOW,
        fresh_until: until,
        stale_until: until,
    };
    let mut fields = for_store(&bucket(), &entry, NOW);
    assert_eq!(
        fields.get(entry::HEADER).and_then(Entry::decode),
        Some(entry)
    );
    assert_eq!(fields.get("cache-control"), Some("public, max-age=60"));
    fields.remove(entry::HEADER);
    assert_eq!(names(&fields), KEPT);
}

/// A bucket cannot pass a record of its own making into the store, nor a status to a client.
#[test]
fn a_record_from_the_bucket_is_removed() {
    let forged = Fields::from_iter([("x-cache-status", "medialift-1 200 1 2 3")]);
    assert_eq!(
        for_client(404, &forged, CacheStatus::Miss, NOW),
        Fields::new()
    );
    assert_eq!(
        for_client(200, &forged, CacheStatus::Miss, NOW)
            .all("x-cache-status")
            .count(),
        1
    );
}

#[test]
fn a_304_says_nothing_of_a_body() {
    let fields = for_not_modified(&for_client(200, &bucket(), CacheStatus::Hit, NOW));
    assert_eq!(fields.get("etag"), Some("\"abc\""));
    assert_eq!(
        fields.get("cache-control"),
        Some("public, max-age=31536000")
    );
    for name in ["content-type", "content-length", "accept-ranges"] {
        assert_eq!(fields.get(name), None, "{name}");
    }
}

#[test]
fn a_416_tells_the_length_and_is_dressed() {
    let fields = for_unsatisfiable(100, CacheStatus::Hit, NOW);
    assert_eq!(fields.get("content-range"), Some("bytes */100"));
    assert_eq!(fields.get("x-cache-status"), Some("HIT"));
    assert_eq!(fields.get("etag"), None);
}

#[test]
fn the_age_for_clients_is_stated_once() {
    assert!(ADDED[0].1.ends_with(&decimal(CLIENT_SECONDS)));
}

#[test]
fn the_platform_is_told_the_rule_and_no_store_for_the_rest() {
    let told = |status, fields: &[(&str, &str)]| {
        platform_cache_control(status, &fields.iter().copied().collect(), &RULE, NOW)
    };
    assert_eq!(
        told(200, &[]),
        "public, max-age=172800, stale-while-revalidate=2592000, stale-if-error=2592000"
    );
    assert_eq!(
        told(304, &[]),
        told(200, &[]),
        "what is confirmed is kept on"
    );
    assert_eq!(told(404, &[]), "no-store");
    assert_eq!(told(503, &[]), "no-store");
    assert_eq!(told(200, &[("vary", "*")]), "no-store");
    let negative = FreshnessRule {
        negative_seconds: 60,
        ..RULE
    };
    assert_eq!(
        platform_cache_control(404, &Fields::new(), &negative, NOW),
        "public, max-age=60"
    );
}
