//! For how long an answer holds, by the headers that clients get: the same instant for all of them.

use super::scripted::ScriptedStack;
use super::stack::Stack;
use e2e::client::Answer;
use e2e::scripted;
use std::time::{Duration, Instant};

/// For how many seconds more a client may use an answer (RFC 9111, section 4.2).
fn remaining(answer: &Answer) -> Option<f64> {
    let lifetime = answer
        .header("cache-control")
        .split(',')
        .find_map(|word| word.trim().strip_prefix("max-age=")?.parse::<f64>().ok())?;
    Some(lifetime - age(answer))
}

fn age(answer: &Answer) -> f64 {
    answer.header("age").parse().unwrap_or(0.0)
}

fn remembering() -> Stack {
    Stack::start("media", &[("NEGATIVE_SECONDS", "60")])
}

/// Requests a missing key until the 404 is remembered.
#[track_caller]
fn remember(stack: &Stack, key: &str) {
    let path = format!("/{key}");
    let mut asked = u64::MAX;
    while asked != stack.gets(key) {
        asked = stack.gets(key);
        assert_eq!(stack.send("GET", &path, &[]).status, 404);
    }
}

#[test]
fn a_remembered_404_is_whole_whatever_part_or_condition_is_asked_for() {
    let stack = remembering();
    let first = stack.send("GET", "/missing.png", &[]);
    remember(&stack, "missing.png");
    let tag = first.header("etag").to_owned();
    for (name, value) in [
        ("Range", "bytes=0-0"),
        ("Range", "bytes=5-9"),
        ("Range", "bytes=-1"),
        ("Range", "bytes=100000-"),
        ("Range", "bytes=0-0,2-2"),
        ("If-None-Match", "*"),
        ("If-None-Match", tag.as_str()),
        ("If-Modified-Since", "Sun, 06 Nov 2033 08:49:37 GMT"),
        ("If-Match", "\"other\""),
        ("If-Unmodified-Since", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ] {
        let answer = stack.send("GET", "/missing.png", &[(name, value)]);
        assert_eq!(answer.status, 404, "{name}: {value}");
        assert_eq!(answer.body, first.body, "{name}: {value}");
        assert_eq!(answer.header("content-range"), "", "{name}: {value}");
    }
    assert_eq!(stack.send("HEAD", "/missing.png", &[]).status, 404);
}

#[test]
fn all_clients_get_the_same_end_of_a_remembered_404() {
    let stack = remembering();
    let since = Instant::now();
    let ends = |answer: &Answer| remaining(answer).map(|left| left + since.elapsed().as_secs_f64());
    let first = stack.send("GET", "/missing.png", &[]);
    let end = ends(&first).unwrap_or_else(|| panic!("{:?}", first.headers));
    assert!((58.0..=62.0).contains(&end), "{end}");
    remember(&stack, "missing.png");
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(1_700));
        let later = stack.send("GET", "/missing.png", &[]);
        let later_end = ends(&later).unwrap_or_else(|| panic!("{:?}", later.headers));
        assert!((later_end - end).abs() <= 2.0, "{later_end} after {end}");
    }
    assert_eq!(stack.gets("missing.png"), 1);
}

#[test]
fn the_age_of_an_answer_only_grows() {
    let aged = scripted::Answer {
        headers: vec!["Age: 10".to_owned()],
        ..scripted::Answer::default()
    };
    let plain = scripted::Answer::default();
    let stack = ScriptedStack::start([("aged.png", aged), ("plain.png", plain)], &[]);
    for path in ["/aged.png", "/plain.png"] {
        let since = Instant::now();
        let miss = stack.send("GET", path, &[]);
        stack.until_hit(path);
        std::thread::sleep(Duration::from_millis(2_200));
        let hit = stack.send("GET", path, &[]);
        assert_eq!(hit.header("x-cache-status"), "HIT");
        let has_age = [&miss, &hit].map(|answer| !answer.header("age").is_empty());
        let grown = age(&hit) - age(&miss);
        let elapsed = since.elapsed().as_secs_f64();
        // Without an age both answers have the files domain's own lifetime.
        let agree = has_age == [false, false] || (grown - elapsed).abs() <= 2.0;
        assert!(agree, "{path}: {:?}, then {:?}", miss.headers, hit.headers);
    }
}
