//! How long the cache between the entries keeps answers: freshness, the seconds past it, confirmation,
//! errors.

use std::thread::sleep;
use std::time::Duration;

use e2e::compare::exchange::{BodyEnd, Question, exchange};
use e2e::scripted::{Answer, Fault, Script};

use crate::bucket::{Bucket, PURGE_SECRET, fresh_for, script, status};

const RESPECT: (&str, &str) = ("ORIGIN_CACHE_CONTROL", "respect");

fn seconds(seconds: f64) {
    sleep(Duration::from_secs_f64(seconds));
}

#[test]
fn freshness_ends_after_the_seconds_of_the_setting() {
    let bucket = Bucket::start(script("a.jpg", [Answer::default(), Answer::default()]));
    let edge = bucket.cached(&[("FRESH_SECONDS", "1")]);
    edge.check("/a.jpg", 200, "MISS", 1);
    edge.check("/a.jpg", 200, "HIT", 1);
    // Past freshness and past the five seconds in which the old copy is served meanwhile.
    seconds(6.6);
    edge.check("/a.jpg", 200, "EXPIRED", 2);
    assert_eq!(bucket.asked("a.jpg"), 2);
}

#[test]
fn within_five_seconds_past_freshness_the_old_copy_is_served_once_more_while_it_is_refreshed() {
    let slow = Answer {
        delay: 0.5,
        ..fresh_for(60)
    };
    let bucket = Bucket::start(script("a.jpg", [fresh_for(1), slow]));
    let edge = bucket.cached(&[RESPECT]);
    edge.check("/a.jpg", 200, "MISS", 1);
    seconds(2.2);
    edge.check("/a.jpg", 200, "UPDATING", 1);
    edge.check("/a.jpg", 200, "UPDATING", 1);
    seconds(1.5);
    edge.check("/a.jpg", 200, "HIT", 2);
    assert_eq!(bucket.asked("a.jpg"), 2, "one refresh for all");
}

#[test]
fn an_unchanged_object_is_confirmed_without_being_sent_again() {
    let same = Answer {
        version: Some(1),
        ..fresh_for(1)
    };
    let bucket = Bucket::start(script("a.jpg", [same]));
    let edge = bucket.cached(&[RESPECT]);
    edge.check("/a.jpg", 200, "MISS", 1);
    seconds(6.6);
    edge.check("/a.jpg", 200, "REVALIDATED", 1);
    assert_eq!(bucket.last("a.jpg").header("if-none-match"), Some("\"v1\""));
    edge.check("/a.jpg", 200, "HIT", 1);
    assert_eq!(
        bucket.asked("a.jpg"),
        2,
        "the confirmation makes it fresh again"
    );
}

#[test]
fn an_error_covered_by_a_stale_copy_asks_the_bucket_once_a_read() {
    for fault in [500, 502, 503, 504, 429] {
        let bucket = Bucket::start(script("a.jpg", [fresh_for(1), status(fault)]));
        let edge = bucket.cached(&[RESPECT]);
        edge.check("/a.jpg", 200, "MISS", 1);
        seconds(6.6);
        for reads in 1..=3 {
            edge.check("/a.jpg", 200, "STALE", 1);
            assert_eq!(bucket.asked("a.jpg"), 1 + reads, "{fault}");
        }
    }
}

#[test]
fn without_stale_seconds_an_error_is_an_error() {
    let bucket = Bucket::start(script("a.jpg", [fresh_for(1), status(503)]));
    let edge = bucket.cached(&[RESPECT, ("STALE_SECONDS", "0")]);
    edge.check("/a.jpg", 200, "MISS", 1);
    seconds(6.6);
    assert_eq!(edge.send("GET", "/a.jpg", &[]).status, 503);
}

#[test]
fn no_error_is_kept_and_what_is_missing_only_as_long_as_the_setting_says() {
    for (setting, asked) in [("0", 3), ("2", 2)] {
        let bucket = Bucket::start(script("gone.jpg", [status(404)]));
        let edge = bucket.cached(&[("NEGATIVE_SECONDS", setting)]);
        for pause in [0.0, 0.0, 3.4] {
            seconds(pause);
            assert_eq!(edge.send("GET", "/gone.jpg", &[]).status, 404);
        }
        assert_eq!(
            bucket.asked("gone.jpg"),
            asked,
            "NEGATIVE_SECONDS = {setting}"
        );
    }
    let bucket = Bucket::start(script(
        "a.jpg",
        [status(503), status(503), Answer::default()],
    ));
    let edge = bucket.cached(&[("NEGATIVE_SECONDS", "60")]);
    // The bucket is asked once more where no copy covers an outage.
    assert_eq!(edge.send("GET", "/a.jpg", &[]).status, 503);
    edge.check("/a.jpg", 200, "MISS", 3);
    edge.check("/a.jpg", 200, "HIT", 3);
}

#[test]
fn a_deleted_object_is_gone_with_the_first_404() {
    let bucket = Bucket::start(script("a.jpg", [fresh_for(1), status(404), status(503)]));
    let edge = bucket.cached(&[RESPECT]);
    edge.check("/a.jpg", 200, "MISS", 1);
    seconds(6.6);
    assert_eq!(edge.send("GET", "/a.jpg", &[]).status, 404);
    assert_eq!(
        edge.send("GET", "/a.jpg", &[]).status,
        503,
        "the outage does not bring it back"
    );
}

#[test]
fn a_new_version_that_breaks_off_leaves_no_mixture() {
    let size = Some(300_000);
    let sized = |answer: Answer| Answer { size, ..answer };
    let broken = Answer {
        fault: Some(Fault::Cut),
        after: 100_000,
        ..Answer::default()
    };
    let script = script(
        "a.jpg",
        [sized(fresh_for(1)), sized(broken), sized(Answer::default())],
    );
    let bucket = Bucket::start(script);
    let edge = bucket.cached(&[RESPECT]);
    edge.check("/a.jpg", 200, "MISS", 1);
    seconds(6.6);
    let address = edge.cached.address;
    let reply = bucket
        .block_on(exchange(address, &Question::get("/a.jpg", &[])))
        .unwrap();
    // The cache may or may not have answered when the body breaks off.
    let is_old = reply.end == BodyEnd::Whole && reply.body.len() == 300_000;
    assert!(is_old || reply.end == BodyEnd::CutShort, "{reply:?}");
    edge.check("/a.jpg", 200, "EXPIRED", 3);
    edge.check("/a.jpg", 200, "HIT", 3);
}

#[test]
fn a_purge_drops_the_object_and_no_other() {
    let script: Script = ["a.jpg", "b.jpg"]
        .map(|key| (key.to_owned(), vec![Answer::default()]))
        .into();
    let bucket = Bucket::start(script);
    let edge = bucket.cached(&[]);
    for word in ["MISS", "HIT"] {
        edge.check("/a.jpg", 200, word, 1);
        edge.check("/b.jpg", 200, word, 1);
    }
    let secret = [("X-Purge-Secret", PURGE_SECRET)];
    assert_eq!(edge.send("PURGE", "/a.jpg", &secret).status, 200);
    edge.check("/b.jpg", 200, "HIT", 1);
    edge.check("/a.jpg", 200, "MISS", 1);
    let everything = "/.well-known/medialift-cache";
    assert_eq!(edge.send("PURGE", everything, &secret).status, 200);
    edge.check("/a.jpg", 200, "MISS", 1);
    edge.check("/b.jpg", 200, "MISS", 1);
}
