//! Reads while the bucket is down.

use std::io::Write as _;
use std::time::Duration;

use e2e::scripted::{Answer, Script};

use crate::bucket::Bucket;

const KEYS: u32 = 60;

#[test]
fn with_the_bucket_stopped_every_key_that_was_read_is_served() {
    let key = |number: u32| format!("media/{number}.jpg");
    let answer = |number| Answer {
        version: Some(number),
        size: Some(1_000 + number as usize),
        headers: vec![format!("Cache-Control: max-age={}", 1 + number % 3 * 600)],
        ..Answer::default()
    };
    let script: Script = (0..KEYS)
        .map(|number| (key(number), vec![answer(number)]))
        .collect();
    let bucket = Bucket::start(script);
    let edge = bucket.cached(&[("ORIGIN_CACHE_CONTROL", "respect")]);
    for number in 0..KEYS {
        edge.check(&format!("/{}", key(number)), 200, "MISS", number);
    }
    bucket.stop();
    std::thread::sleep(Duration::from_millis(6_600));
    let mut words = std::collections::BTreeMap::new();
    for number in 0..KEYS {
        let answer = edge.send("GET", &format!("/{}", key(number)), &[]);
        assert_eq!(answer.status, 200, "{}: {}", key(number), edge.cached.log());
        assert!(answer.body == e2e::scripted::pattern(number, 1_000 + number as usize));
        *words
            .entry(answer.header("x-cache-status").to_owned())
            .or_insert(0) += 1;
    }
    let summary = format!("bucket stopped: {KEYS} of {KEYS} keys served: {words:?}\n");
    std::io::stdout().write_all(summary.as_bytes()).unwrap();
    // A third was past its freshness.
    assert_eq!(
        words,
        [("HIT".to_owned(), 40), ("STALE".to_owned(), 20)].into()
    );
    assert_eq!(edge.send("GET", "/never-read.jpg", &[]).status, 502);
}
