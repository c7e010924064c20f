//! Answers to readers where the bucket gives an error: short, without any of the bucket's own text, whose XML
//! can name key id and bucket. The log has the reason.

use super::scripted::ScriptedStack;
use super::stack::{Stack, default_stack};
use e2e::client::Answer;
use e2e::scripted;
use serde_json::json;
use std::time::{Duration, Instant};
use testkit::stack::{Edge, OriginOptions};

/// Checks that an answer has its status as text and nothing else.
#[track_caller]
fn check_own(answer: &Answer, status: u16, about: &str) {
    let text = answer.text();
    assert_eq!(answer.status, status, "{about}: {text}");
    assert!(text.starts_with(&status.to_string()), "{about}: {text}");
    assert!(text.len() <= 40 && !text.contains('<'), "{about}: {text}");
    assert!(
        answer.header("content-type").starts_with("text/plain"),
        "{about}"
    );
    answer.check_security_headers(about);
    for name in [
        "location",
        "etag",
        "last-modified",
        "x-cache-status",
        "retry-after",
    ] {
        let allowed = name == "retry-after" && (status == 429 || status >= 500);
        assert!(allowed || answer.header(name).is_empty(), "{about}: {name}");
    }
    let all = format!("{:?} {text}", answer.headers);
    for secret in [OriginOptions::KEY_ID, "media", "private", "amz", "x-bz"] {
        assert!(!all.contains(secret), "{about}: {all}");
    }
}

/// Waits until the log, which comes through a pipe, has a line about a key with this word in it.
#[track_caller]
fn check_log(edge: &Edge, key: &str, cause: &str) {
    let since = Instant::now();
    let is_about = |line: &str| line.contains(key) && line.contains(cause);
    while !edge.log().lines().any(is_about) {
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "no line with `{key}` and `{cause}`:\n{}",
            edge.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_missing_key_is_a_short_404() {
    let stack = default_stack();
    check_own(&stack.send("GET", "/refusals/missing.png", &[]), 404, "GET");
    let head = stack.send("HEAD", "/refusals/missing.png", &[]);
    assert_eq!((head.status, head.body.len()), (404, 0));
}

/// Those of a bucket that refuses or fails are in the other tests.
#[test]
fn no_object_and_no_refusal_of_the_workers_own_lacks_the_security_headers() {
    let stack = default_stack();
    let path = "/refusals/kept.png";
    stack.put("refusals/kept.png", &[1; 1_000]);
    stack.send("GET", path, &[]);
    let hit = stack.until_hit(path);
    let tag = hit.header("etag");
    let long = format!("/refusals/{}", "a".repeat(1_020));
    /// Method, path, request headers, status.
    type Row<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)], u16);
    let table: [Row<'_>; 11] = [
        ("GET", path, &[], 200),
        ("HEAD", path, &[], 200),
        ("GET", path, &[("Range", "bytes=0-9")], 206),
        ("GET", path, &[("If-None-Match", tag)], 304),
        ("GET", path, &[("If-Match", "\"other\"")], 412),
        ("GET", path, &[("Range", "bytes=1000-")], 416),
        ("GET", "/refusals/%zz.png", &[], 400),
        ("POST", path, &[], 403),
        ("GET", "/backups/archive.zip", &[], 403),
        ("GET", "/refusals/missing.png", &[], 404),
        ("GET", long.as_str(), &[], 414),
    ];
    for (method, path, headers, status) in table {
        let about = format!("{method} {path} {headers:?}");
        let answer = stack.send(method, path, headers);
        assert_eq!(answer.status, status, "{about}");
        answer.check_security_headers(&about);
    }
}

#[test]
fn a_failing_bucket_is_reported_by_its_status_only() {
    let stack = default_stack();
    for (kind, status, cause) in [
        ("slow_down", 503, "slow_down"),
        ("internal_error", 500, "500"),
        ("cap_exceeded", 502, "cap_exceeded"),
        ("revoked", 502, "credentials"),
        ("skewed_clock", 502, "credentials"),
        ("too_many_requests", 429, "slow_down"),
    ] {
        let key = format!("refusals/{kind}-.png");
        stack.put(&key, b"here");
        // As often as the edge retries.
        stack.fault(json!({"kind": kind, "next": 2, "method": "GET"}), &key);
        let answer = stack.send("GET", &format!("/{key}"), &[]);
        check_own(&answer, status, kind);
        check_log(&stack.edge, &key, cause);
    }
}

#[test]
fn a_wrong_key_or_bucket_is_not_disclosed_to_readers() {
    let signing = |id, key, more: &[(&str, &str)]| {
        let mut settings = vec![
            ("ORIGIN_AUTH", "sigv4"),
            ("B2_APPLICATION_KEY_ID", id),
            ("B2_APPLICATION_KEY", key),
            ("B2_ENDPOINT", "s3.us-west-004.backblazeb2.com"),
        ];
        settings.extend(more);
        Stack::start("private", &settings)
    };
    let revoked = "00261f959a5f87b0000000009";
    let stack = signing(revoked, OriginOptions::KEY, &[]);
    stack.put("a.png", b"private");
    let answer = stack.send("GET", "/a.png", &[]);
    check_own(&answer, 502, "a key that is not known");
    assert!(!answer.text().contains(revoked));
    check_log(&stack.edge, "a.png", "credentials");

    let stack = signing(OriginOptions::KEY_ID, "K00another", &[]);
    check_own(&stack.send("GET", "/a.png", &[]), 502, "a wrong key");
    check_log(&stack.edge, "a.png", "credentials");

    // Nothing is signed, and the bucket is not public.
    let stack = Stack::start("private", &[]);
    check_own(&stack.send("GET", "/a.png", &[]), 502, "no key");
    check_log(&stack.edge, "a.png", "credentials");

    let stack = signing(
        OriginOptions::KEY_ID,
        OriginOptions::KEY,
        &[("ORIGIN_URL", "{nowhere}")],
    );
    check_own(&stack.send("GET", "/a.png", &[]), 502, "no bucket");
    check_log(&stack.edge, "a.png", "wrong_bucket");
}

#[test]
fn a_redirect_of_the_bucket_is_not_passed_on() {
    let redirect = |status| {
        scripted::Answer {
        status,
        headers: vec!["Location: https://s3.eu-central-003.backblazeb2.com/media/a.png".to_owned()],
        text: Some(
            "<?xml version=\"1.0\"?><Error><Code>PermanentRedirect</Code><Bucket>media</Bucket></Error>"
                .to_owned(),
        ),
        ..scripted::Answer::default()
    }
    };
    let statuses = [301, 302, 303, 307, 308];
    let keys = ["301.png", "302.png", "303.png", "307.png", "308.png"];
    let stack = ScriptedStack::start(
        std::array::from_fn::<_, 5, _>(|at| (keys[at], redirect(statuses[at]))),
        &[],
    );
    for key in keys {
        for _ in 0..2 {
            check_own(&stack.send("GET", &format!("/{key}"), &[]), 502, key);
        }
        check_log(&stack.edge, key, "wrong_bucket");
    }
}

#[test]
fn nothing_of_an_unknown_refusal_is_passed_on() {
    let refusal = |status, code: &str| scripted::Answer {
        status,
        text: Some(format!(
            "<Error><Code>{code}</Code><Message>bucket media, key {}</Message></Error>",
            OriginOptions::KEY_ID
        )),
        ..scripted::Answer::default()
    };
    let stack = ScriptedStack::start(
        [
            ("400.png", refusal(400, "InvalidRequest")),
            ("401.png", refusal(401, "Unauthorized")),
            ("403.png", refusal(403, "AccessDenied")),
            ("405.png", refusal(405, "MethodNotAllowed")),
            ("410.png", refusal(410, "Gone")),
            ("451.png", refusal(451, "Legal")),
            ("500.png", refusal(500, "InternalError")),
            ("501.png", refusal(501, "NotImplemented")),
            ("503.png", refusal(503, "SlowDown")),
        ],
        &[],
    );
    for (key, status) in [
        ("400.png", 400),
        // The reader is not asked for credentials.
        ("401.png", 502),
        ("403.png", 403),
        ("405.png", 405),
        ("410.png", 410),
        ("451.png", 451),
        ("500.png", 500),
        ("501.png", 501),
        ("503.png", 503),
    ] {
        check_own(&stack.send("GET", &format!("/{key}"), &[]), status, key);
    }
}
