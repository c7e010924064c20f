//! An origin and an edge in front of it, for one test.

use e2e::client::{Answer, Client};
use e2e::edge;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};
use testkit::stack::{Edge, EdgeOptions, Origin, OriginOptions, Requests};
use testkit::tools::Tools;

/// The secret that lets tests purge.
pub(crate) const PURGE_SECRET: &str = "a-secret-of-the-edge-tests";

/// The origin with a public bucket `media` and a private one, and the edge.
pub(crate) struct Stack {
    pub(crate) origin: Origin,
    pub(crate) edge: Edge,
    reader: Client,
    writer: Client,
    bucket: &'static str,
}

/// The stack with the default settings.
pub(crate) fn default_stack() -> Stack {
    Stack::start("media", &[])
}

impl Stack {
    /// An origin and an edge with these settings on top of what reading `bucket` needs.
    pub(crate) fn start(bucket: &'static str, settings: &[(&str, &str)]) -> Self {
        Self::start_with(bucket, settings, |options| options)
    }

    /// As [`Stack::start`], with other options for the edge.
    pub(crate) fn start_with(
        bucket: &'static str,
        settings: &[(&str, &str)],
        change: impl FnOnce(EdgeOptions) -> EdgeOptions,
    ) -> Self {
        let buckets = ["media=public", "fallback=public", "private=private"];
        let origin = Origin::start(OriginOptions {
            buckets: buckets.map(str::to_owned).to_vec(),
            ..OriginOptions::default()
        })
        .unwrap();
        let url = origin.bucket_url(bucket);
        let [fallback, nowhere] = ["fallback", "nowhere"].map(|bucket| origin.bucket_url(bucket));
        let mut all = vec![("ORIGIN_URL", url.as_str()), ("PURGE_SECRET", PURGE_SECRET)];
        // Two placeholders for addresses that are not known before; the last value of a name counts.
        all.extend(settings.iter().map(|(name, value)| match *value {
            "{fallback}" => (*name, fallback.as_str()),
            "{nowhere}" => (*name, nowhere.as_str()),
            value => (*name, value),
        }));
        let options = change(edge::options(&all));
        let edge = Edge::start_with(&Tools::load().unwrap(), options).unwrap();
        Self {
            reader: Client::anonymous(edge.url.trim_end_matches('/')),
            writer: Client::signing(&origin.s3_url, OriginOptions::KEY_ID, OriginOptions::KEY),
            origin,
            edge,
            bucket,
        }
    }

    /// Puts an object into the bucket.
    #[track_caller]
    pub(crate) fn put(&self, key: &str, body: &[u8]) {
        self.put_into(self.bucket, key, body);
    }

    /// Puts an object into one of the buckets.
    #[track_caller]
    pub(crate) fn put_into(&self, bucket: &str, key: &str, body: &[u8]) {
        self.put_with(bucket, key, &[("Content-Type", "image/png")], body);
    }

    /// Puts an object with these headers into one of the buckets.
    #[track_caller]
    pub(crate) fn put_with(&self, bucket: &str, key: &str, headers: &[(&str, &str)], body: &[u8]) {
        let answer = self.writer.put(bucket, key, headers, body).unwrap();
        assert_eq!(answer.status, 200, "PUT `{key}`: {}", answer.error());
    }

    /// Removes an object from the bucket.
    #[track_caller]
    pub(crate) fn delete(&self, key: &str) {
        let path = Client::path(self.bucket, key);
        assert_eq!(
            self.writer.send("DELETE", &path, &[], &[]).unwrap().status,
            204
        );
    }

    /// Sends a request to the edge; `path` as it is sent.
    #[track_caller]
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.reader.send(method, path, headers, &[]).unwrap()
    }

    /// Sends a request to the edge whose answer may break off.
    pub(crate) fn try_get(&self, path: &str) -> anyhow::Result<Answer> {
        self.reader.send("GET", path, &[], &[])
    }

    /// Reads a path and checks cache status and body.
    #[track_caller]
    pub(crate) fn check(&self, path: &str, word: &str, body: &[u8]) {
        let answer = self.send("GET", path, &[]);
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.header("x-cache-status"), word, "{path}");
        assert!(answer.body == body, "{path}: other bytes");
    }

    /// Reads until the edge has stored what it fetched: it stores while it answers.
    #[track_caller]
    pub(crate) fn until_hit(&self, path: &str) -> Answer {
        for _ in 0..100 {
            let answer = self.send("GET", path, &[]);
            if answer.header("x-cache-status") == "HIT" {
                return answer;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{path} is never a hit")
    }

    /// Adds a fault for keys that start with `prefix`.
    pub(crate) fn fault(&self, mut fault: Value, prefix: &str) {
        fault["key_prefix"] = prefix.into();
        self.origin.set_faults(&fault).unwrap();
    }

    /// Waits until the origin has been asked for a key so often.
    #[track_caller]
    pub(crate) fn until_asked(&self, key: &str, times: u64) {
        let since = Instant::now();
        while self.gets(key) < times {
            assert!(
                since.elapsed() < Duration::from_secs(60),
                "the origin is not asked for `{key}`:\n{}",
                self.edge.log()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// How often the origin was asked for a key.
    pub(crate) fn gets(&self, key: &str) -> u64 {
        let requests: Requests = self.origin.requests().unwrap();
        requests.of_key(key, "GetObject") + requests.of_key(key, "HeadObject")
    }
}

/// Where an edge listens, as `HOST:PORT`.
pub(crate) fn address_of(edge: &Edge) -> String {
    let url = edge.url.trim_end_matches('/');
    url.trim_start_matches("http://").to_owned()
}

/// A reader that has requested a path, and can leave or stop reading.
pub(crate) fn begin_reading(edge: &Edge, path: &str, field: &str) -> TcpStream {
    let address = address_of(edge);
    let mut stream = TcpStream::connect(&address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n{field}\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// Waits for the head of the answer and a little of its body.
pub(crate) fn read_beginning(stream: &mut TcpStream) {
    let mut start = [0; 1_000];
    stream.read_exact(&mut start).unwrap();
    assert!(start.starts_with(b"HTTP/1.1 200"));
}

/// Bytes that differ at every offset, so that a wrong part is found.
pub(crate) fn bytes(length: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}
