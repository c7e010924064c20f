//! The cache buster's protocol.

use super::stack::{PURGE_SECRET, Stack, default_stack};

fn purge(stack: &Stack, method: &str, path: &str, secret: Option<&str>) -> u16 {
    let headers: Vec<_> = secret
        .map(|secret| ("X-Purge-Secret", secret))
        .into_iter()
        .collect();
    stack.send(method, path, &headers).status
}

#[test]
fn a_purge_drops_the_object_and_reports_whether_it_was_there() {
    let stack = default_stack();
    for method in ["PURGE", "POST", "DELETE"] {
        let path = format!("/purges/{method}.png");
        stack.put(&path[1..], b"old");
        stack.check(&path, "MISS", b"old");
        stack.until_hit(&path);
        stack.put(&path[1..], b"new");
        stack.check(&path, "HIT", b"old");
        assert_eq!(purge(&stack, method, &path, Some(PURGE_SECRET)), 200);
        assert_eq!(purge(&stack, method, &path, Some(PURGE_SECRET)), 404);
        stack.check(&path, "MISS", b"new");
    }
}

#[test]
fn a_wrong_secret_or_none_is_refused_and_drops_nothing() {
    let stack = default_stack();
    stack.put("purges/kept.png", b"kept");
    stack.check("/purges/kept.png", "MISS", b"kept");
    stack.until_hit("/purges/kept.png");
    for method in ["PURGE", "POST", "DELETE"] {
        for secret in [
            None,
            Some("wrong"),
            Some("a-secret-of-the-edge-testz"),
            Some(""),
        ] {
            assert_eq!(
                purge(&stack, method, "/purges/kept.png", secret),
                403,
                "{method} {secret:?}"
            );
        }
    }
    stack.check("/purges/kept.png", "HIT", b"kept");
}
