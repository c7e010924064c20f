//! The keys under which answers are stored. All workers of a zone share the Cache API, and it outlives a
//! deployment: none may find what another has stored, unless it would store the same.

use e2e::client::{Answer, Client};
use e2e::edge;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use testkit::process::scratch_directory;
use testkit::stack::{Edge, EdgeOptions, Origin, OriginOptions, free_address};
use testkit::tools::Tools;

use super::stack::{address_of, default_stack};

/// One worker after the other, over one cache and under one host.
struct Zone<'a> {
    origin: Origin,
    cache: &'a Path,
    port: u16,
}

/// One of them, while it runs.
struct Deployment {
    _edge: Edge,
    reader: Client,
}

impl Zone<'_> {
    fn deploy(&self, bucket: &str, settings: &[(&str, &str)]) -> Deployment {
        let url = self.origin.bucket_url(bucket);
        let mut all = vec![("ORIGIN_URL", url.as_str())];
        all.extend(settings);
        let options = EdgeOptions {
            persist: Some(self.cache.to_path_buf()),
            port: Some(self.port),
            ..edge::options(&all)
        };
        let edge = Edge::start_with(&Tools::load().unwrap(), options).unwrap();
        Deployment {
            reader: Client::anonymous(edge.url.trim_end_matches('/')),
            _edge: edge,
        }
    }
}

impl Deployment {
    fn get(&self, path: &str) -> Answer {
        self.reader.send("GET", path, &[], &[]).unwrap()
    }

    /// Reads a path until it is stored; each answer has this body.
    #[track_caller]
    fn store(&self, path: &str, body: &str) {
        for _ in 0..100 {
            let answer = self.get(path);
            assert_eq!(
                (answer.status, answer.text().as_str()),
                (200, body),
                "{path}"
            );
            if answer.header("x-cache-status") == "HIT" {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!("{path} is never a hit")
    }
}

#[test]
fn no_deployment_serves_what_one_with_other_settings_has_stored() {
    let cache = scratch_directory("zone").unwrap();
    let buckets = ["one=public", "two=public"];
    let origin = Origin::start(OriginOptions {
        buckets: buckets.map(str::to_owned).to_vec(),
        ..OriginOptions::default()
    })
    .unwrap();
    let writer = Client::signing(&origin.s3_url, OriginOptions::KEY_ID, OriginOptions::KEY);
    for (bucket, key) in [
        ("one", "a.png"),
        ("one", "prefix/a.png"),
        ("one", "system/a.png"),
        ("one", "changing.png"),
        ("two", "a.png"),
        ("two", "only.png"),
    ] {
        let headers: &[_] = match key {
            "changing.png" => &[("Cache-Control", "no-store")],
            _ => &[],
        };
        let body = format!("{bucket}/{key}");
        let stored = writer.put(bucket, key, headers, body.as_bytes()).unwrap();
        assert_eq!(stored.status, 200);
    }
    let two = origin.bucket_url("two");
    let zone = Zone {
        origin,
        cache: cache.path(),
        port: free_address().unwrap().port(),
    };

    let first = zone.deploy("one", &[]);
    first.store("/a.png", "one/a.png");
    first.store("/system/a.png", "one/system/a.png");
    first.store("/changing.png", "one/changing.png");
    drop(first);

    zone.deploy("two", &[]).store("/a.png", "two/a.png");
    zone.deploy("one", &[("KEY_PREFIX", "prefix")])
        .store("/a.png", "one/prefix/a.png");
    zone.deploy("one", &[("STRIP_PREFIX", "/system/")])
        .store("/system/a.png", "one/a.png");
    zone.deploy("one", &[("FALLBACK_ORIGIN", &two)])
        .store("/only.png", "two/only.png");

    let respecting = zone.deploy("one", &[("ORIGIN_CACHE_CONTROL", "respect")]);
    let answer = respecting.get("/changing.png");
    assert_eq!(answer.header("x-cache-status"), "MISS");
    drop(respecting);

    // The same as the first, on another day: what it had stored is there, and nothing else.
    let again = zone.deploy("one", &[("DENY_PREFIXES", "private/")]);
    let answer = again.get("/a.png");
    assert_eq!(answer.header("x-cache-status"), "HIT");
    assert_eq!(answer.text(), "one/a.png");
    assert_eq!(again.get("/only.png").status, 404);
}

#[test]
fn an_object_is_stored_under_the_host_it_was_asked_for() {
    let stack = default_stack();
    stack.put("keys/a.png", b"one");
    let status = |host: &str| {
        let mut stream = TcpStream::connect(address_of(&stack.edge)).unwrap();
        let request =
            format!("GET /keys/a.png HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let answer = answer.to_ascii_lowercase();
        let line = answer
            .lines()
            .find_map(|line| line.strip_prefix("x-cache-status: "));
        line.unwrap().to_owned()
    };
    assert_eq!(status("files.example.com"), "miss");
    while status("files.example.com") != "hit" {}
    assert_eq!(status("files.example.net"), "miss");
}
