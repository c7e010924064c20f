//! Answers to readers: bytes, headers, parts, conditions, refusals.

use super::stack::{bytes, default_stack};
use e2e::client::Answer;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::io::Write;
use std::time::Duration;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

/// The names of an answer's headers, but for those that every answer of the runtime has, and for
/// `Age`, which an answer of the bucket's does not have (`ages.rs`).
fn names(answer: &Answer) -> Vec<String> {
    let mut names: Vec<String> = answer
        .headers
        .keys()
        .map(|name| name.as_str().to_owned())
        .filter(|name| {
            !["date", "connection", "keep-alive", "vary", "age"].contains(&name.as_str())
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn the_first_read_is_a_miss_and_the_next_a_hit_with_the_same_headers() {
    let stack = default_stack();
    let body = bytes(100_000, 1);
    stack.put("reads/a.png", &body);
    let miss = stack.send("GET", "/reads/a.png", &[]);
    assert_eq!((miss.status, miss.header("x-cache-status")), (200, "MISS"));
    assert_eq!(miss.body, body);
    stack.until_hit("/reads/a.png");
    let hit = stack.send("GET", "/reads/a.png?version=2#top", &[]);
    assert_eq!((hit.status, hit.header("x-cache-status")), (200, "HIT"));
    assert_eq!(hit.body, body);
    assert_eq!(names(&miss), names(&hit));
    for answer in [&miss, &hit] {
        for (name, value) in [
            ("content-type", "image/png"),
            ("content-length", "100000"),
            ("cache-control", "public, max-age=31536000"),
            ("access-control-allow-origin", "*"),
            ("x-content-type-options", "nosniff"),
            (
                "content-security-policy",
                "default-src 'none'; form-action 'none'",
            ),
            ("accept-ranges", "bytes"),
        ] {
            assert_eq!(answer.header(name), value, "{name}");
        }
        assert!(answer.header("etag").starts_with('"'));
        assert!(!answer.header("expires").is_empty());
        for name in names(answer) {
            let gone = ["x-amz-", "x-bz-", "cf-", "set-cookie", "via"];
            assert!(
                name != "server" && !gone.iter().any(|start| name.starts_with(start)),
                "{name} is shown"
            );
        }
    }
    assert_eq!(stack.gets("reads/a.png"), 1);
}

#[test]
fn head_is_answered_from_a_get_and_stores_it() {
    let stack = default_stack();
    let body = bytes(5_000, 2);
    stack.put("reads/head.png", &body);
    for word in ["MISS", "HIT"] {
        let head = stack.send("HEAD", "/reads/head.png", &[]);
        assert_eq!((head.status, head.header("x-cache-status")), (200, word));
        assert_eq!(head.header("content-length"), "5000");
        assert!(head.body.is_empty());
        stack.until_hit("/reads/head.png");
    }
    stack.check("/reads/head.png", "HIT", &body);
    assert_eq!(stack.gets("reads/head.png"), 1);
}

#[test]
fn a_cold_object_asked_for_by_range_is_read_whole_once_and_stored() {
    let stack = default_stack();
    let body = bytes(3_000_000, 3);
    for (at, (range, from, to)) in [
        ("bytes=1000000-1000999", 1_000_000, 1_001_000),
        // More than the body's longest chunk, from the middle of one.
        ("bytes=1000001-2500000", 1_000_001, 2_500_001),
        ("bytes=0-", 0, 3_000_000),
        ("bytes=-7", 2_999_993, 3_000_000),
    ]
    .into_iter()
    .enumerate()
    {
        let key = format!("reads/cold-{at}.mp4");
        stack.put(&key, &body);
        let path = format!("/{key}");
        for word in ["MISS", "HIT"] {
            let part = stack.send("GET", &path, &[("Range", range)]);
            assert_eq!(
                (part.status, part.header("x-cache-status")),
                (206, word),
                "{range}"
            );
            assert_eq!(
                part.header("content-range"),
                format!("bytes {from}-{}/3000000", to - 1)
            );
            assert_eq!(part.header("content-length"), (to - from).to_string());
            assert!(part.body == body[from..to], "{range}: other bytes");
            stack.until_hit(&path);
        }
        stack.check(&path, "HIT", &body);
        assert_eq!(stack.gets(&key), 1);
    }
}

#[test]
fn ranges_and_conditions_are_answered_from_the_store() {
    let stack = default_stack();
    let body = bytes(1_000, 4);
    stack.put("reads/store.png", &body);
    stack.send("GET", "/reads/store.png", &[]);
    let hit = stack.until_hit("/reads/store.png");
    let (tag, date) = (hit.header("etag"), hit.header("last-modified"));
    let old = "Sun, 06 Nov 1994 08:49:37 GMT";
    /// Request headers, status, `Content-Range`.
    type Row<'a> = (&'a [(&'a str, &'a str)], u16, &'a str);
    let table: [Row<'_>; 12] = [
        (&[("Range", "bytes=10-19")], 206, "bytes 10-19/1000"),
        (&[("Range", "bytes=990-5000")], 206, "bytes 990-999/1000"),
        (&[("Range", "bytes=1000-")], 416, "bytes */1000"),
        (&[("Range", "bytes=5-2")], 416, "bytes */1000"),
        (&[("Range", "bytes=0-0,5-6")], 200, ""),
        (
            &[("Range", "bytes=10-19"), ("If-Range", tag)],
            206,
            "bytes 10-19/1000",
        ),
        (
            &[("Range", "bytes=10-19"), ("If-Range", "\"other\"")],
            200,
            "",
        ),
        (&[("If-None-Match", tag)], 304, ""),
        (&[("If-None-Match", "\"other\"")], 200, ""),
        (&[("If-Modified-Since", date)], 304, ""),
        (&[("If-Modified-Since", old)], 200, ""),
        (&[("If-None-Match", tag), ("Range", "bytes=0-1")], 304, ""),
    ];
    for (headers, status, range) in table {
        let answer = stack.send("GET", "/reads/store.png", headers);
        assert_eq!(answer.status, status, "{headers:?}");
        assert_eq!(answer.header("content-range"), range, "{headers:?}");
        assert_eq!(answer.header("x-cache-status"), "HIT", "{headers:?}");
        assert_eq!(
            answer.header("access-control-allow-origin"),
            "*",
            "{headers:?}"
        );
        assert_eq!(answer.header("cf-cache-status"), "", "{headers:?}");
        match status {
            200 => assert_eq!(answer.body, body),
            206 => assert!(
                body.windows(answer.body.len())
                    .any(|part| part == answer.body)
            ),
            _ => assert!(answer.body.is_empty()),
        }
    }
    let failed = stack.send("GET", "/reads/store.png", &[("If-Match", "\"other\"")]);
    assert_eq!(failed.status, 412);
    assert_eq!(stack.gets("reads/store.png"), 1);
}

#[test]
fn an_empty_object_is_an_object() {
    let stack = default_stack();
    stack.put("reads/empty.png", b"");
    let miss = stack.send("GET", "/reads/empty.png", &[]);
    assert_eq!((miss.status, miss.header("content-length")), (200, "0"));
    stack.until_hit("/reads/empty.png");
    stack.check("/reads/empty.png", "HIT", b"");
}

#[test]
fn a_compressed_object_is_read_decoded() {
    let stack = default_stack();
    let text = "a line of text that is worth compressing\n".repeat(1_000);
    let packed = gzip(text.as_bytes());
    let headers = [
        ("Content-Type", "application/octet-stream"),
        ("Content-Encoding", "gzip"),
    ];
    for (at, taken) in ["identity", "gzip"].into_iter().enumerate() {
        let key = format!("reads/packed-{at}.bin");
        stack.put_with("media", &key, &headers, &packed);
        let path = format!("/{key}");
        let asking = [("Accept-Encoding", taken)];
        for word in ["MISS", "HIT"] {
            let answer = stack.send("GET", &path, &asking);
            assert_eq!(
                (answer.status, answer.header("x-cache-status")),
                (200, word)
            );
            assert_eq!(answer.header("content-encoding"), "", "{taken}");
            assert!(answer.body == text.as_bytes(), "{taken}: other bytes");
            stack.until_hit(&path);
        }
        let part = stack.send("GET", &path, &[("Range", "bytes=41-81")]);
        assert_eq!(part.status, 206);
        let range = format!("bytes 41-81/{}", text.len());
        assert_eq!(part.header("content-range"), range);
        assert!(part.body == text.as_bytes()[41..82]);
        assert_eq!(stack.gets(&key), 1);
    }
}

#[test]
fn a_part_of_what_the_runtime_decodes_is_never_cut_by_the_bucket() {
    let stack = default_stack();
    let text = "a text that is packed, and long enough to be cut. ".repeat(20);
    let headers = [("Content-Type", "text/plain"), ("Content-Encoding", "gzip")];
    stack.put_with(
        "media",
        "reads/packed-slow.bin",
        &headers,
        &gzip(text.as_bytes()),
    );
    stack.fault(
        json!({"kind": "latency", "next": 1, "latency_ms": 8_000, "method": "GET"}),
        "reads/packed-slow",
    );
    std::thread::scope(|scope| {
        let first = scope.spawn(|| stack.send("GET", "/reads/packed-slow.bin", &[]));
        std::thread::sleep(Duration::from_secs(1));
        // After five seconds the reader asks the bucket itself.
        let range = [("Range", "bytes=41-81")];
        let second = stack.send("GET", "/reads/packed-slow.bin", &range);
        assert_eq!(second.status, 200);
        assert!(second.body == text.as_bytes());
        assert!(first.join().unwrap().body == text.as_bytes());
    });
}

#[test]
fn names_that_need_every_kind_of_escape_are_found() {
    let stack = default_stack();
    for (at, (key, path)) in [
        ("reads/a b.png", "/reads/a%20b.png"),
        ("reads/a+b.png", "/reads/a+b.png"),
        ("reads/100%.png", "/reads/100%25.png"),
        (
            "reads/猫 と 犬.png",
            "/reads/%E7%8C%AB%20%E3%81%A8%20%E7%8A%AC.png",
        ),
        ("reads/😀.png", "/reads/%f0%9f%98%80.png"),
        ("reads/(a)!*'.png", "/reads/(a)!*'.png"),
        ("reads/a?b#c&d=e.png", "/reads/a%3Fb%23c%26d%3De.png"),
        ("reads/a;b,c:d@e$f.png", "/reads/a;b,c:d@e$f.png"),
        (
            "reads/\"<a>\\^`{|}.png",
            "/reads/%22%3Ca%3E%5C%5E%60%7B%7C%7D.png",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let body = bytes(100 + at, at as u64);
        stack.put(key, &body);
        stack.check(path, "MISS", &body);
        assert_eq!(stack.until_hit(path).body, body);
    }
}

#[test]
fn what_is_not_to_be_read_is_refused_without_asking_the_bucket() {
    let stack = default_stack();
    stack.put("backups/archive.zip", b"private");
    stack.put("reads/refused.png", b"x");
    for (method, path, status) in [
        ("POST", "/reads/refused.png", 403),
        ("PUT", "/reads/refused.png", 403),
        ("DELETE", "/reads/refused.png", 403),
        ("OPTIONS", "/reads/refused.png", 403),
        ("PATCH", "/reads/refused.png", 403),
        ("GET", "/backups/archive.zip", 403),
        ("GET", "/x/..%2f../backups/archive.zip", 400),
        ("GET", "/reads/..%2Fbackups/archive.zip", 403),
        ("GET", "/reads/%zz.png", 400),
        ("GET", "/reads/%00.png", 400),
        ("GET", "/reads/%ff.png", 400),
    ] {
        let answer = stack.send(method, path, &[]);
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.header("x-cache-status"), "", "{method} {path}");
    }
    assert_eq!(
        stack.gets("backups/archive.zip") + stack.gets("reads/refused.png"),
        0
    );
    let long = stack.send("GET", &format!("/reads/{}", "a".repeat(1_020)), &[]);
    assert_eq!(long.status, 414);
}

#[test]
fn the_root_is_the_index_and_forbidden_without_one() {
    let stack = default_stack();
    assert_eq!(stack.send("GET", "/", &[]).status, 403);
    stack.put("index.html", b"<!doctype html>");
    stack.check("/", "MISS", b"<!doctype html>");
}

#[test]
fn a_missing_key_is_a_404_without_what_identifies_the_bucket() {
    let stack = default_stack();
    for _ in 0..2 {
        let answer = stack.send("GET", "/reads/missing.png", &[]);
        assert_eq!(answer.status, 404);
        for name in [
            "x-cache-status",
            "access-control-allow-origin",
            "expires",
            "x-amz-request-id",
            "x-amz-id-2",
        ] {
            assert_eq!(answer.header(name), "", "{name}");
        }
    }
    assert_eq!(stack.gets("reads/missing.png"), 2, "a 404 is not stored");
}
