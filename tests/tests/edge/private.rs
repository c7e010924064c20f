//! A private bucket, read with signatures; prefixes; and the host behind the bucket.

use super::stack::{Stack, bytes};
use e2e::client::Client;
use serde_json::json;
use testkit::stack::OriginOptions;

#[test]
fn a_private_bucket_is_read_with_signatures_under_a_prefix_with_a_fallback() {
    let stack = Stack::start(
        "private",
        &[
            ("ORIGIN_AUTH", "sigv4"),
            ("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID),
            ("B2_APPLICATION_KEY", OriginOptions::KEY),
            ("B2_ENDPOINT", "s3.us-west-004.backblazeb2.com"),
            ("KEY_PREFIX", "my instance"),
            ("STRIP_PREFIX", "/system/"),
            ("FALLBACK_ORIGIN", "{fallback}"),
        ],
    );
    // Without a signature the bucket refuses.
    stack.put("my instance/a.png", b"private");
    let anonymous = Client::anonymous(&stack.origin.s3_url);
    assert_eq!(
        anonymous
            .get("private", "my instance/a.png")
            .unwrap()
            .status,
        401
    );
    stack.check("/a.png", "MISS", b"private");

    names(&stack);

    // Old URLs of the instance lead to the same objects.
    stack.until_hit("/a.png");
    stack.check("/system/a.png", "HIT", b"private");

    // Nothing outside the prefix is reached.
    stack.put("outside.png", b"outside");
    assert_eq!(stack.send("GET", "/outside.png", &[]).status, 404);
    assert_eq!(stack.send("GET", "/%2e%2e/outside.png", &[]).status, 404);
    assert_eq!(stack.send("GET", "/..%2foutside.png", &[]).status, 400);

    // What the bucket lacks comes from the fallback, and is stored.
    stack.put_into("fallback", "only/on the host.png", b"host");
    stack.check("/only/on%20the%20host.png", "MISS", b"host");
    assert_eq!(stack.until_hit("/only/on%20the%20host.png").body, b"host");
    assert_eq!(stack.send("GET", "/on/neither.png", &[]).status, 404);

    // A fallback without an answer does not prove that it lacks the object.
    stack.put_into("fallback", "only/for a while.png", b"host");
    stack.fault(
        json!({ "kind": "internal_error", "rate": 1.0 }),
        "only/for a while",
    );
    assert_eq!(
        stack.send("GET", "/only/for%20a%20while.png", &[]).status,
        500
    );
    stack.origin.clear_faults().unwrap();
    stack.check("/only/for%20a%20while.png", "MISS", b"host");
}

/// The origin checks each signature over the encoded path.
fn names(stack: &Stack) {
    for (at, (name, path)) in [
        ("a b.png", "/a%20b.png"),
        ("a+b&c=d;e,f:g@h$i.png", "/a+b&c=d;e,f:g@h$i.png"),
        ("100%25.png", "/100%2525.png"),
        ("~!*'().png", "/~!*'().png"),
        ("猫/犬 😀.png", "/%E7%8C%AB/%E7%8A%AC%20%F0%9F%98%80.png"),
        (
            "?#[]\"<>\\^`{|}.png",
            "/%3F%23%5B%5D%22%3C%3E%5C%5E%60%7B%7C%7D.png",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let body = bytes(200 + at, at as u64);
        stack.put(&format!("my instance/{name}"), &body);
        stack.check(path, "MISS", &body);
    }
}
