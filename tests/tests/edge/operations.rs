//! For operators: the health document, `Server-Timing`, the purge of everything, and a platform without a
//! cache.

use std::time::{Duration, Instant};

use super::stack::{PURGE_SECRET, Stack, bytes, default_stack};
use serde_json::{Value, json};

const HEALTH: &str = "/.well-known/medialift-health";
const CACHE: &str = "/.well-known/medialift-cache";
const SECRET: (&str, &str) = ("X-Purge-Secret", PURGE_SECRET);

fn health(stack: &Stack, headers: &[(&str, &str)]) -> (u16, Value) {
    let answer = stack.send("GET", HEALTH, headers);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.header("cache-control"), "no-store");
    (
        answer.status,
        serde_json::from_slice(&answer.body).expect("a document"),
    )
}

#[test]
fn only_a_health_request_with_the_secret_asks_the_bucket() {
    let stack = Stack::start("media", &[]);
    let key = &HEALTH[1..];
    let unknown = json!({
        "version": env!("CARGO_PKG_VERSION"), "settings": "valid", "faults": [], "cache": "engine",
        "bucket": "unknown", "asked_seconds_ago": null,
    });
    for headers in [&[][..], &[("X-Purge-Secret", "wrong")]] {
        assert_eq!(health(&stack, headers), (200, unknown.clone()));
    }
    assert_eq!(
        stack.gets(key),
        0,
        "without the secret the bucket is not asked"
    );

    let (status, document) = health(&stack, &[SECRET]);
    assert_eq!((status, &document["bucket"]), (200, &json!("reachable")));
    assert_eq!(stack.gets(key), 1);
    let (status, document) = health(&stack, &[]);
    assert_eq!((status, &document["bucket"]), (200, &json!("reachable")));
    assert_eq!(stack.gets(key), 1);
    assert!(
        document["asked_seconds_ago"]
            .as_u64()
            .is_some_and(|ago| ago < 60)
    );

    stack.fault(
        json!({ "kind": "status", "status": 503, "code": "InternalError" }),
        "",
    );
    let (status, document) = health(&stack, &[SECRET]);
    assert_eq!((status, &document["bucket"]), (503, &json!("unreachable")));
    let head = stack.send("HEAD", HEALTH, &[]);
    assert!(head.status == 503 && head.body.is_empty());
    for method in ["PUT", "OPTIONS"] {
        assert_eq!(stack.send(method, HEALTH, &[]).status, 403, "{method}");
    }
}

#[test]
fn faulty_settings_are_named_and_nothing_of_their_texts_is_shown() {
    let settings = [("FRESH_SECONDS", "soon"), ("PURGE_SECRET", "short")];
    let stack = Stack::start("media", &settings);
    let (status, document) = health(&stack, &[]);
    assert_eq!(status, 503);
    assert_eq!(document["settings"], "faulty");
    assert_eq!(document["faults"], json!(["FRESH_SECONDS", "PURGE_SECRET"]));
    assert!(!document.to_string().contains("soon") && !document.to_string().contains("short"));
    assert_eq!(stack.send("GET", "/a.png", &[]).status, 500);
}

#[test]
fn server_timing_has_the_time_of_the_bucket_where_it_was_asked() {
    let stack = default_stack();
    stack.put("operations/timed.png", &bytes(1_000, 7));
    let timing = |answer: &e2e::client::Answer| answer.header("server-timing").to_owned();
    let first = stack.send("GET", "/operations/timed.png", &[]);
    let (cache, milliseconds) = timing(&first).split_once(", origin;dur=").map_or_else(
        || panic!("no time in `{}`", timing(&first)),
        |(cache, time)| (cache.to_owned(), time.parse::<u64>().expect("a number")),
    );
    assert_eq!(cache, "cache;desc=MISS");
    assert!(milliseconds < 20_000);
    let hit = stack.until_hit("/operations/timed.png");
    assert_eq!(timing(&hit), "cache;desc=HIT");
    let tag = hit.header("etag");
    let not_modified = stack.send("GET", "/operations/timed.png", &[("If-None-Match", tag)]);
    assert_eq!(not_modified.status, 304);
    assert_eq!(timing(&not_modified), "cache;desc=HIT");
    let part = stack.send("GET", "/operations/timed.png", &[("Range", "bytes=0-9")]);
    assert_eq!(
        (part.status, timing(&part).as_str()),
        (206, "cache;desc=HIT")
    );
    assert_eq!(timing(&stack.send("GET", "/operations/no.png", &[])), "");
}

#[test]
fn in_engine_mode_a_purge_of_everything_is_501() {
    let stack = default_stack();
    for method in ["PURGE", "POST", "DELETE"] {
        assert_eq!(stack.send(method, CACHE, &[SECRET]).status, 501, "{method}");
        let wrong = ("X-Purge-Secret", "wrong");
        assert_eq!(stack.send(method, CACHE, &[wrong]).status, 403, "{method}");
        assert_eq!(stack.send(method, CACHE, &[]).status, 403, "{method}");
    }
    assert_eq!(
        stack.send("GET", CACHE, &[]).status,
        404,
        "an object like any"
    );
}

/// `wrangler dev` has no Workers Cache.
#[test]
fn without_the_platforms_cache_the_engine_is_used_and_the_log_has_one_line_about_it() {
    let stack = Stack::start("media", &[("CACHE_MODE", "platform")]);
    let body = bytes(50_000, 51);
    stack.put("a b.png", &body);
    stack.check("/a%20b.png?x=1", "MISS", &body);
    let hit = stack.until_hit("/a%20b.png");
    assert!(hit.body == body);
    assert_eq!(stack.gets("a b.png"), 1);
    let purge = |secret: &str| {
        let headers = [("X-Purge-Secret", secret)];
        stack.send("PURGE", "/a%20b.png", &headers).status
    };
    assert_eq!(purge("wrong"), 403);
    assert_eq!(purge(PURGE_SECRET), 200);
    stack.check("/a%20b.png", "MISS", &body);
    assert_eq!(health(&stack, &[]).1["cache"], "engine");
    let lines = || stack.edge.log().matches("platform_cache_absent").count();
    // `wrangler` prints what a worker logs some time after its answer.
    let since = Instant::now();
    while lines() == 0 && since.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(lines(), 1, "{}", stack.edge.log());
}
