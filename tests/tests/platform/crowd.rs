//! A thousand readers at once.

use std::io::Write as _;

use e2e::compare::exchange::{Question, exchange};
use e2e::scripted::Answer;
use tokio::task::JoinSet;

use crate::bucket::{Bucket, script};

const READERS: usize = 1_000;

#[test]
fn a_thousand_readers_of_a_cold_object_are_one_request_to_the_bucket() {
    let slow = Answer {
        delay: 1.0,
        size: Some(20_000),
        ..Answer::default()
    };
    let bucket = Bucket::start(script("a.png", [slow]));
    let edge = bucket.cached(&[]);
    let address = edge.cached.address;
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let replies = runtime.block_on(async {
        let mut readers = JoinSet::new();
        for _ in 0..READERS {
            readers.spawn(async move { exchange(address, &Question::get("/a.png", &[])).await });
        }
        readers.join_all().await
    });
    let mut misses = 0;
    for reply in &replies {
        let reply = reply.as_ref().unwrap();
        assert_eq!(
            (reply.status, reply.body.len()),
            (200, 20_000),
            "{}",
            edge.cached.log()
        );
        misses += usize::from(reply.header("x-cache-status") == Some("MISS"));
    }
    let asked = bucket.asked("a.png");
    let summary = format!(
        "{READERS} readers of a cold object: {asked} request to the bucket, {misses} MISS\n"
    );
    std::io::stdout().write_all(summary.as_bytes()).unwrap();
    assert_eq!((asked, misses), (1, 1));
}
