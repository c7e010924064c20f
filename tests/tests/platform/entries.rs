//! What passes between the two entries, and what of it a reader sees.

use e2e::scripted::Answer;

use crate::bucket::{Bucket, PURGE_SECRET, script, status};

/// Without acceleration of time.
const REAL_TIME: u32 = 1;

#[test]
fn a_read_takes_the_loopback_and_only_the_media_entry_is_cached() {
    let bucket = Bucket::start(script("a b.png", [Answer::default()]));
    let fake = bucket.fake(&[], REAL_TIME);
    for word in ["MISS", "HIT"] {
        let answer = fake.reader.send("GET", "/a%20b.png?x=1", &[], &[]).unwrap();
        assert_eq!(answer.status, 200, "{}", fake.log());
        assert_eq!(answer.header("x-cache-status"), word);
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        for name in [
            "cloudflare-cdn-cache-control",
            "cache-tag",
            "cf-cache-status",
        ] {
            assert_eq!(answer.header(name), "", "{name}");
        }
    }
    let state = fake.state().unwrap();
    assert_eq!(state.fills.len(), 1, "{state:?}");
    let fill = &state.fills[0];
    // The reader's query is not in the key; a hash of the settings is, so that a deployment of another
    // bucket is not given this one's copies.
    let (key, space) = fill.key.split_once("?medialift=").unwrap();
    assert_eq!((fill.entry.as_str(), key), ("Media", "Media/a%20b.png"));
    assert_eq!(space.len(), 16, "{space}");
    assert_eq!(fill.tags, ["/a%20b.png"]);
    for directive in [
        "public",
        "max-age=",
        "stale-while-revalidate=5",
        "stale-if-error=",
    ] {
        assert!(fill.rule.contains(directive), "{}", fill.rule);
    }
    for directive in ["s-maxage", "must-revalidate", "no-store"] {
        assert!(!fill.rule.contains(directive), "{}", fill.rule);
    }
    assert_eq!(bucket.asked("a%20b.png"), 1);
}

#[test]
fn conditions_are_answered_in_the_gateway_and_never_reach_the_bucket() {
    let bucket = Bucket::start(script("a.png", [Answer::default()]));
    let edge = bucket.cached(&[]);
    let cold = edge.send("GET", "/a.png", &[("If-None-Match", "\"v1\"")]);
    assert_eq!(cold.status, 304, "{}", edge.cached.log());
    assert_eq!(bucket.last("a.png").header("if-none-match"), None);
    let date = cold.header("last-modified");
    for (name, value, status) in [
        ("If-None-Match", "\"v1\"", 304),
        ("If-None-Match", "\"other\"", 200),
        ("If-Modified-Since", date, 304),
        ("If-Match", "\"v1\"", 200),
        ("If-Match", "\"other\"", 412),
        ("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT", 412),
    ] {
        let answer = edge.send("GET", "/a.png", &[(name, value)]);
        assert_eq!(answer.status, status, "{name}: {value}");
    }
    assert_eq!(
        bucket.asked("a.png"),
        1,
        "only the first came from the bucket"
    );
}

#[test]
fn parts_are_cut_from_the_whole_and_head_is_answered_from_it() {
    let bucket = Bucket::start(script(
        "a.mp4",
        [Answer {
            size: Some(50_000),
            ..Answer::default()
        }],
    ));
    let edge = bucket.cached(&[]);
    let whole = e2e::scripted::pattern(1, 50_000);
    let part = edge.send("GET", "/a.mp4", &[("Range", "bytes=1000-1999")]);
    assert_eq!(
        (part.status, part.header("content-range")),
        (206, "bytes 1000-1999/50000")
    );
    assert_eq!(
        bucket.last("a.mp4").header("range"),
        None,
        "the bucket is asked for the whole"
    );
    for (range, first, last) in [
        ("1000-1999", 1000, 1999),
        ("49999-", 49_999, 49_999),
        ("-10", 49_990, 49_999),
    ] {
        let part = edge.send("GET", "/a.mp4", &[("Range", &format!("bytes={range}"))]);
        assert_eq!(part.status, 206, "{range}");
        assert!(part.body == whole[first..=last], "{range}: other bytes");
    }
    let beyond = edge.send("GET", "/a.mp4", &[("Range", "bytes=50000-")]);
    assert_eq!(
        (beyond.status, beyond.header("content-range")),
        (416, "bytes */50000")
    );
    let other = [("Range", "bytes=0-9"), ("If-Range", "\"other\"")];
    assert_eq!(edge.send("GET", "/a.mp4", &other).status, 200);
    let head = edge.send("HEAD", "/a.mp4", &[]);
    assert_eq!((head.status, head.header("content-length")), (200, "50000"));
    assert!(head.body.is_empty());
    assert_eq!(bucket.asked("a.mp4"), 1);
}

#[test]
fn no_object_and_no_refusal_lacks_the_security_headers() {
    let object = Answer {
        size: Some(1_000),
        ..Answer::default()
    };
    let mut answers = script("a.png", [object]);
    for refused in [400, 403, 405, 500, 501, 502, 503, 504] {
        answers.insert(format!("{refused}.png"), vec![status(refused)]);
    }
    let bucket = Bucket::start(answers);
    let edge = bucket.cached(&[]);
    /// Method, path, request headers, status.
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16);
    let table: [Row<'_>; 17] = [
        ("GET", "/a.png", &[], 200),
        ("HEAD", "/a.png", &[], 200),
        ("GET", "/a.png", &[("Range", "bytes=0-9")], 206),
        ("GET", "/a.png", &[("If-None-Match", "\"v1\"")], 304),
        ("GET", "/a.png", &[("If-Match", "\"other\"")], 412),
        ("GET", "/a.png", &[("Range", "bytes=1000-")], 416),
        ("GET", "/%zz.png", &[], 400),
        ("POST", "/a.png", &[], 403),
        ("GET", "/missing.png", &[], 404),
        ("GET", "/400.png", &[], 400),
        ("GET", "/403.png", &[], 403),
        ("GET", "/405.png", &[], 405),
        ("GET", "/500.png", &[], 500),
        ("GET", "/501.png", &[], 502),
        ("GET", "/502.png", &[], 502),
        ("GET", "/503.png", &[], 503),
        ("GET", "/504.png", &[], 504),
    ];
    for (method, path, headers, status) in table {
        let about = format!("{method} {path} {headers:?}");
        let answer = edge.send(method, path, headers);
        assert_eq!(answer.status, status, "{about}: {}", edge.cached.log());
        answer.check_security_headers(&about);
    }
}

#[test]
fn what_is_missing_carries_no_rule_and_a_wrong_secret_purges_nothing() {
    let bucket = Bucket::start(script("a.png", [Answer::default()]));
    let fake = bucket.fake(&[], REAL_TIME);
    let missing = fake.reader.send("GET", "/missing.png", &[], &[]).unwrap();
    assert_eq!(missing.status, 404, "{}", fake.log());
    for name in [
        "cloudflare-cdn-cache-control",
        "cache-tag",
        "x-amz-request-id",
    ] {
        assert_eq!(missing.header(name), "", "{name}");
    }
    let purge = |headers: &[(&str, &str)]| {
        fake.reader
            .send("PURGE", "/a.png", headers, &[])
            .unwrap()
            .status
    };
    assert_eq!(purge(&[("X-Purge-Secret", "wrong")]), 403);
    assert_eq!(purge(&[]), 403);
    let state = fake.state().unwrap();
    assert_eq!((state.waiting, state.purges.len()), (0, 0));
    assert_eq!(purge(&[("X-Purge-Secret", PURGE_SECRET)]), 200);
}
