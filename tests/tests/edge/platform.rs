//! Platform mode as far as it can be had locally: both entries, the calls between them and the queue,
//! without the cache in between.

use super::stack::{PURGE_SECRET, Stack, bytes};
use xtask::stack::EdgeOptions;

#[test]
fn a_read_goes_through_both_entries_and_a_purge_into_the_queue() {
    let config = xtask::root().join("tests/fixtures/platform/wrangler.toml");
    let stack = Stack::start_with("media", &[("CACHE_MODE", "platform")], |options| {
        EdgeOptions {
            configuration: Some(config),
            ..options
        }
    });
    let body = bytes(50_000, 51);
    stack.put("a b.png", &body);

    let whole = stack.send("GET", "/a%20b.png?x=1", &[]);
    assert_eq!(whole.status, 200, "{}", stack.edge.log());
    assert!(whole.body == body);
    assert_eq!(whole.header("access-control-allow-origin"), "*");
    for name in [
        "cloudflare-cdn-cache-control",
        "cache-tag",
        "x-amz-request-id",
    ] {
        assert_eq!(whole.header(name), "", "{name}");
    }
    let tag = whole.header("etag");
    for (name, value, status) in [
        ("If-None-Match", tag, 304),
        ("If-Match", tag, 200),
        ("If-Match", "\"other\"", 412),
        ("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT", 412),
    ] {
        let answer = stack.send("GET", "/a%20b.png", &[(name, value)]);
        assert_eq!(answer.status, status, "{name}: {value}");
    }
    assert!(stack.send("HEAD", "/a%20b.png", &[]).body.is_empty());
    let missing = stack.send("GET", "/missing.png", &[]);
    assert_eq!(missing.status, 404);
    assert_eq!(missing.header("cloudflare-cdn-cache-control"), "");

    let purge = |secret: &str| {
        let headers = [("X-Purge-Secret", secret)];
        stack.send("PURGE", "/a%20b.png", &headers).status
    };
    assert_eq!(purge("wrong"), 403);
    assert_eq!(purge(PURGE_SECRET), 200);
}
