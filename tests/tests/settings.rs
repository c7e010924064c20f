//! Faulty settings in the real runtime: the client learns nothing, the log everything.

use std::time::{Duration, Instant};

use e2e::client::Client;
use xtask::stack::Edge;
use xtask::tools::Tools;

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
    let told = [
        "B2_BUCKET",
        "B2_ENDPOINT",
        "FRESH_SECONDS",
        "CACHE_MODE",
        "KEY_PREFIX",
        "B2_APPLICATION_KEY_ID",
        "B2_APPLICATION_KEY",
        "PURGE_SECRET",
    ];
    let edge = Edge::start(&Tools::load().unwrap(), &faulty).unwrap();
    let client = Client::anonymous(edge.url.trim_end_matches('/'));
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/a"),
        ("HEAD", "/a"),
        ("POST", "/a"),
        ("GET", "/a/%2e%2e/b"),
    ] {
        let answer = client.send(method, path, &[], &[]).unwrap();
        assert_eq!(answer.status, 500, "{method} {path}");
        let expected = if method == "HEAD" {
            ""
        } else {
            "500 Internal Server Error\n"
        };
        assert_eq!(answer.text(), expected, "{method} {path}");
        let shown = format!("{:?}", answer.headers);
        for name in told {
            assert!(!shown.contains(name), "{method} {path}: {shown}");
        }
    }

    // The log is a pipe away.
    let since = Instant::now();
    let is_told = |log: &str, name: &str| log.contains(&format!("`{name}`"));
    while !told.iter().all(|name| is_told(&edge.log(), name)) {
        let log = edge.log();
        assert!(
            since.elapsed() < Duration::from_secs(20),
            "not every fault is told:\n{log}"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
    let log = edge.log();
    assert!(
        log.contains("is `48h`; it should be a whole number"),
        "{log}"
    );
    // What wrangler itself prints of its variables is not the worker's doing: the lines about faults are.
    let about_faults = log.lines().filter(|line| line.contains("it should be"));
    assert!(about_faults.clone().count() >= told.len(), "{log}");
    for line in about_faults {
        assert!(!line.contains(SECRET), "{line}");
    }
}
