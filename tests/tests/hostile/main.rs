//! Hostile requests as raw bytes through the real runtime: no request gets a 5xx, the worker goes on
//! answering, and the bucket is asked only for objects under the prefix.
//!
//! Some requests do not reach a worker: the runtime cannot make a URL of them and answers itself, sometimes
//! with a 5xx. That is accepted only where the same runtime with a worker of one line answers the same.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bare;
mod corpus;
mod wire;

use std::net::SocketAddr;

use bare::BareRuntime;
use e2e::client::Client;
use testkit::stack::{Edge, Origin, OriginOptions};
use testkit::tools::Tools;

/// The content of every object that no client may see.
const FORBIDDEN: &[u8] = b"FORBIDDEN";
const OBJECT: &[u8] = b"the object's bytes";

struct Stack {
    origin: Origin,
    edge: Edge,
    address: SocketAddr,
    bare: BareRuntime,
}

impl Stack {
    /// A bucket with an object under the prefix, and others beside it that must not be reached.
    fn start() -> Self {
        let origin = Origin::start(OriginOptions::default()).unwrap();
        let client = Client::signing(&origin.s3_url, OriginOptions::KEY_ID, OriginOptions::KEY);
        for (key, body) in [
            ("media/a", OBJECT),
            ("a", FORBIDDEN),
            ("index.html", FORBIDDEN),
            ("backups/a", FORBIDDEN),
            ("media/backups/a", FORBIDDEN),
            ("b/a", FORBIDDEN),
        ] {
            let stored = client
                .put("media", key, &[("Content-Type", "image/png")], body)
                .unwrap();
            assert_eq!(stored.status, 200, "{key}");
        }
        origin.reset_requests().unwrap();
        let tools = Tools::load().unwrap();
        let edge = Edge::start(
            &tools,
            &[
                ("ORIGIN_URL", &origin.bucket_url("media")),
                ("KEY_PREFIX", "media"),
                ("STRIP_PREFIX", "/system/"),
                ("PURGE_SECRET", "a-secret-that-nobody-knows"),
            ],
        )
        .unwrap();
        let address = edge
            .url
            .trim_start_matches("http://")
            .trim_end_matches('/')
            .parse()
            .unwrap();
        Self {
            origin,
            edge,
            address,
            bare: BareRuntime::start(&tools),
        }
    }

    /// Sends a request and checks what must hold for every answer.
    #[track_caller]
    fn check(&self, request: &[u8]) {
        let answer = wire::exchange(self.address, request);
        let forbidden = answer
            .windows(FORBIDDEN.len())
            .any(|window| window == FORBIDDEN);
        assert!(
            !forbidden,
            "{:?} reached what it must not",
            wire::shown(request)
        );
        let status = wire::status_of(&answer);
        if status.is_none_or(|status| status >= 500) {
            let host = |address: SocketAddr| address.to_string().into_bytes();
            let request_to_bare =
                wire::replace(request, &host(self.address), &host(self.bare.address));
            let alone = wire::status_of(&wire::exchange(self.bare.address, &request_to_bare));
            let text = String::from_utf8_lossy(&answer);
            assert_eq!(status, alone, "{:?}: {text}", wire::shown(request));
        }
    }

    fn request(&self, method: &str, target: &[u8], field: &[u8]) -> Vec<u8> {
        wire::request(self.address, method, target, field)
    }

    /// The worker still answers ordinary requests.
    #[track_caller]
    fn check_alive(&self) {
        let answer = wire::exchange(self.address, &self.request("GET", b"/media/a", b""));
        assert_eq!(
            wire::status_of(&answer),
            Some(200),
            "{}\n{}",
            String::from_utf8_lossy(&answer),
            self.edge.log()
        );
        assert!(
            answer.ends_with(OBJECT),
            "{}",
            String::from_utf8_lossy(&answer)
        );
    }

    /// The bucket has seen reads of objects under the prefix, and nothing else.
    #[track_caller]
    fn check_bucket(&self) {
        let requests = self.origin.requests().unwrap();
        assert!(
            requests.of_key("media/a", "GetObject") > 0,
            "the bucket was asked at all"
        );
        for (key, operations) in &requests.by_key {
            assert!(key.starts_with("media/"), "{key:?} lies outside the prefix");
            assert!(!key.starts_with("media/backups/"), "{key:?} is denied");
            assert_eq!(
                operations.keys().collect::<Vec<_>>(),
                ["GetObject"],
                "{key:?}"
            );
        }
        let operations: Vec<_> = requests.by_operation.keys().collect();
        assert_eq!(operations, ["GetObject"]);
    }
}

#[test]
fn no_target_troubles_the_worker_or_leaves_the_prefix() {
    let stack = Stack::start();
    stack.check_alive();
    for target in corpus::cases("targets.txt") {
        for method in ["GET", "HEAD", "POST", "PURGE", "OPTIONS"] {
            stack.check(&stack.request(method, &target, b""));
        }
    }
    for part in ["a/", "../", "%2e%2e/", "%41", "\u{e9}"] {
        for count in [100, 1000, 100_000] {
            let target = format!("/{}", part.repeat(count));
            stack.check(&stack.request("GET", target.as_bytes(), b""));
        }
    }
    stack.check_alive();
    stack.check_bucket();
}

#[test]
fn no_header_troubles_the_worker() {
    let stack = Stack::start();
    let ranges = corpus::cases("ranges.txt")
        .into_iter()
        .map(|value| [&b"Range: "[..], &value].concat());
    for field in corpus::cases("fields.txt").into_iter().chain(ranges) {
        for method in ["GET", "HEAD"] {
            for target in [&b"/media/a"[..], b"/cold"] {
                stack.check(&stack.request(method, target, &field));
            }
        }
    }
    for (first, part) in [
        ("Range: bytes=0-0", ",0-0"),
        ("If-None-Match: \"x\"", ",\"x\""),
        ("Cookie: a=b", "; a=b"),
    ] {
        for count in [1000, 10_000, 100_000] {
            let field = [first, &part.repeat(count)].concat();
            stack.check(&stack.request("GET", b"/media/a", field.as_bytes()));
        }
    }
    stack.check_alive();
    stack.check_bucket();
}

#[test]
fn no_request_troubles_the_worker_however_it_is_framed() {
    let stack = Stack::start();
    let host = stack.address.to_string();
    for request in corpus::cases("requests.txt") {
        let request = wire::replace(&request, b"HOST", host.as_bytes());
        stack.check(&request);
    }
    stack.check_alive();
    stack.check_bucket();
}
