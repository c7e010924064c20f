//! Faulty settings in the real runtime: all faults are in the log, and none in an answer.

use std::time::{Duration, Instant};

use e2e::client::Client;
use testkit::stack::{Edge, Origin, OriginOptions};
use testkit::tools::Tools;

const SECRET: &str = "two words of a secret";

#[test]
fn every_fault_is_in_the_log_and_none_in_the_answer() {
    let faulty = [
        ("B2_ENDPOINT", "https://"),
        ("FRESH_SECONDS", "48h"),
        ("CACHE_MODE", "both"),
        ("KEY_PREFIX", "a/../b"),
        ("ORIGIN_AUTH", "sigv4"),
        ("PURGE_SECRET", SECRET),
    ];
    let named = [
        "B2_BUCKET",
        "B2_ENDPOINT",
        "FRESH_SECONDS",
        "CACHE_MODE",
        "KEY_PREFIX",
        "B2_APPLICATION_KEY_ID",
        "B2_APPLICATION_KEY",
        "PURGE_SECRET",
    ];
    check_faults(&faulty, &named);
}

#[test]
fn a_secret_that_can_be_guessed_and_a_fallback_without_a_path_are_faults() {
    // Fifteen characters; and a host alone, which would be asked for keys that are the instance's own pages.
    let faulty = [
        ("ORIGIN_URL", "http://127.0.0.1:9/media"),
        ("PURGE_SECRET", "fifteen-letters"),
        ("FALLBACK_ORIGIN", "https://social.example/"),
    ];
    check_faults(&faulty, &["PURGE_SECRET", "FALLBACK_ORIGIN"]);
}

/// Starts an edge with faulty settings, and checks that the log names each of these variables, and no answer does.
fn check_faults(faulty: &[(&str, &str)], named: &[&str]) {
    let edge = Edge::start(&Tools::load().expect("the tools"), faulty).expect("an edge");
    let client = Client::anonymous(edge.url.trim_end_matches('/'));
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/a"),
        ("HEAD", "/a"),
        ("POST", "/a"),
        ("GET", "/a/%2e%2e/b"),
    ] {
        let answer = client.send(method, path, &[], &[]).expect("an answer");
        assert_eq!(answer.status, 500, "{method} {path}");
        let expected = if method == "HEAD" {
            ""
        } else {
            "500 Internal Server Error\n"
        };
        assert_eq!(answer.text(), expected, "{method} {path}");
        let shown = format!("{:?}", answer.headers);
        for name in named {
            assert!(!shown.contains(name), "{method} {path}: {shown}");
        }
    }

    // The log comes through a pipe.
    let since = Instant::now();
    let is_logged = |log: &str, name: &str| log.contains(&format!("\"subject\":\"{name}\""));
    while !named.iter().all(|name| is_logged(&edge.log(), name)) {
        let log = edge.log();
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "not every fault is in the log:\n{log}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let log = edge.log();
    // wrangler prints the variables too: only the lines about faults are the worker's.
    let about_faults = log.lines().filter(|line| line.contains("it should be"));
    assert!(about_faults.clone().count() >= named.len(), "{log}");
    for line in about_faults {
        assert!(
            !line.contains(SECRET) && !line.contains("fifteen-letters"),
            "{line}"
        );
    }
    assert_eq!(
        log.contains("is `48h`; it should be a whole number"),
        named.contains(&"FRESH_SECONDS"),
        "{log}"
    );
}

#[test]
fn what_is_shipped_has_no_hooks_for_tests() {
    let origin = Origin::start(OriginOptions::default()).unwrap();
    let writer = Client::signing(&origin.s3_url, OriginOptions::KEY_ID, OriginOptions::KEY);
    assert_eq!(
        writer.put("media", "a.png", &[], b"calm").unwrap().status,
        200
    );
    let url = origin.bucket_url("media");
    let settings = [("ORIGIN_URL", url.as_str()), ("TEST_HOOKS", "on")];
    let edge = Edge::start(&Tools::load().unwrap(), &settings).unwrap();
    let reader = Client::anonymous(edge.url.trim_end_matches('/'));
    for hook in ["panic", "panic-later", "memory"] {
        let headers = [("X-Medialift-Test", hook)];
        let answer = reader.send("GET", "/a.png", &headers, &[]).unwrap();
        assert_eq!(answer.status, 200, "{hook}");
        assert_eq!(answer.text(), "calm", "{hook}");
        assert_eq!(answer.header("x-memory"), "", "{hook}");
    }
}
