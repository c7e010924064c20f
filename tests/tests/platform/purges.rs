//! Purges from the cache buster to the platform, through the queue and the platform's limits.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::thread::scope;
use std::time::Duration;

use e2e::platform::configuration::Configuration;
use e2e::platform::fake::{Delivery, Fake, State};
use e2e::scripted::Answer;

use crate::bucket::{Bucket, PURGE_SECRET, script};

const SECRET: [(&str, &str); 1] = [("X-Purge-Secret", PURGE_SECRET)];

/// The path that drops everything.
const EVERYTHING: &str = "/.well-known/medialift-cache";

/// What Mastodon's cache buster does when an account with these many attachments is suspended: one
/// request for each style of each file (app/lib/cache_buster.rb).
const ATTACHMENTS: usize = 1_000;
const STYLES: [&str; 2] = ["original", "small"];
const THREADS: usize = 5;

/// Calls that take all these purges, at a hundred tags each.
const CALLS_NEEDED: usize = ATTACHMENTS * STYLES.len() / 100;

/// Where in a batch the consumer is killed.
#[derive(Clone, Copy)]
enum Kill {
    /// The platform has done the purge, and the consumer does not know it yet.
    InTheCall,
    /// The consumer waits for its turn.
    BeforeTheCall,
}

const KILLS: [Kill; 3] = [Kill::InTheCall, Kill::BeforeTheCall, Kill::InTheCall];

#[track_caller]
fn read(fake: &Fake, path: &str, word: &str) {
    let answer = fake.reader.send("GET", path, &[], &[]).unwrap();
    assert_eq!(
        (answer.status, answer.header("x-cache-status")),
        (200, word),
        "{}",
        fake.log()
    );
}

#[test]
fn a_purge_goes_through_the_queue_and_drops_the_tagged_copy_alone() {
    let answers = [
        ("a.jpg".to_owned(), vec![Answer::default()]),
        ("b.jpg".to_owned(), vec![Answer::default()]),
    ];
    let bucket = Bucket::start(answers.into());
    let fake = bucket.fake(&[], 20);
    for word in ["MISS", "HIT"] {
        read(&fake, "/a.jpg", word);
        read(&fake, "/b.jpg", word);
    }
    let answer = fake.reader.send("PURGE", "/a.jpg", &SECRET, &[]).unwrap();
    assert_eq!(answer.status, 200);
    let state = fake.wait_until(Duration::from_secs(20), settled).unwrap();
    assert_eq!(state.purges.len(), 1);
    assert_eq!(state.purges[0].tags, ["/a.jpg"]);
    assert_eq!(
        state.purges[0].entry, "Media",
        "a purge reaches the cache of the entry that asks"
    );
    read(&fake, "/a.jpg", "MISS");
    read(&fake, "/b.jpg", "HIT");
}

#[test]
fn a_refused_purge_is_logged_with_the_reason_and_retried() {
    let bucket = Bucket::start(script("a.jpg", [Answer::default()]));
    let fake = bucket.fake(&[], 20);
    fake.refuse_purges(true).unwrap();
    for path in ["/a.jpg", "/a.jpg", "/b.jpg"] {
        assert_eq!(
            fake.reader
                .send("PURGE", path, &SECRET, &[])
                .unwrap()
                .status,
            200
        );
    }
    let tries = |state: &State| state.purges.len();
    let state = fake
        .wait_until(Duration::from_secs(20), |state| tries(state) >= 2)
        .unwrap();
    assert_eq!(
        state.purges[0].tags.len(),
        2,
        "the same purge twice is one: {:?}",
        state.purges[0]
    );
    let apart = state.purges[1].at - state.purges[0].at;
    assert!(apart >= 60_000.0, "tried again after {apart} ms");
    assert!(
        fake.log().contains("too many purge calls"),
        "{}",
        fake.log()
    );
    fake.refuse_purges(false).unwrap();
    let state = fake.wait_until(Duration::from_secs(30), settled).unwrap();
    let last = state.purges.last().unwrap();
    assert_eq!((last.tags.len(), &last.refusal), (2, &None));
    assert!(state.dead.is_empty());
}

#[test]
fn a_purge_that_is_never_taken_ends_in_the_dead_letter_queue() {
    let bucket = Bucket::start(script("a.jpg", [Answer::default()]));
    // The retries take hours.
    let fake = bucket.fake(&[], 10_000);
    fake.refuse_purges(true).unwrap();
    assert_eq!(
        fake.reader
            .send("PURGE", "/a.jpg", &SECRET, &[])
            .unwrap()
            .status,
        200
    );
    let state = fake
        .wait_until(Duration::from_secs(60), |state| !state.dead.is_empty())
        .unwrap();
    let configuration = Configuration::load().unwrap();
    let (_, consumer) = configuration.queue().unwrap();
    let dead = &state.dead[0];
    assert_eq!(dead.body, "/a.jpg");
    assert_eq!(consumer["dead_letter_queue"].as_str(), Some(&*dead.queue));
    let retries = usize::try_from(consumer["max_retries"].as_integer().unwrap()).unwrap();
    assert_eq!(dead.attempts, 1 + retries);
    assert_eq!(state.purges.len(), 1 + retries);
    assert_eq!(state.waiting, 0);
}

#[test]
fn a_purge_of_everything_is_done_at_once_or_answered_with_retry_after() {
    let bucket = Bucket::start(script("a.jpg", [Answer::default()]));
    let fake = bucket.fake(&[], 1);
    read(&fake, "/a.jpg", "MISS");
    read(&fake, "/a.jpg", "HIT");
    let drop_everything = |headers| fake.reader.send("PURGE", EVERYTHING, headers, &[]).unwrap();
    assert_eq!(drop_everything(&[]).status, 403);
    assert_eq!(drop_everything(&SECRET).status, 200, "{}", fake.log());
    assert!(fake.state().unwrap().purges[0].purge_everything);
    read(&fake, "/a.jpg", "MISS");
    fake.refuse_purges(true).unwrap();
    let refused = drop_everything(&SECRET);
    assert_eq!((refused.status, refused.header("retry-after")), (503, "60"));
    read(&fake, "/a.jpg", "HIT");
}

#[test]
fn two_thousand_purges_arrive_though_the_consumer_is_killed_three_times() {
    let bucket = Bucket::start(script("a.jpg", [Answer::default()]));
    let mut fake = bucket.fake(&[], 20);
    let paths: Vec<String> = (0..ATTACHMENTS)
        .flat_map(|number| {
            STYLES.map(|style| {
                format!(
                    "/media_attachments/files/112/{:03}/{number:03}/{style}/0123456789abcdef.png",
                    number % 7
                )
            })
        })
        .collect();
    scope(|scope| {
        for share in paths.chunks(paths.len() / THREADS) {
            let reader = &fake.reader;
            scope.spawn(move || {
                for path in share {
                    assert_eq!(
                        reader.send("PURGE", path, &SECRET, &[]).unwrap().status,
                        200
                    );
                }
            });
        }
    });
    let limit = Duration::from_secs(120);
    for place in KILLS {
        let calls = fake.state().unwrap().purges.len() + 3;
        fake.wait_until(limit, |state| state.purges.len() >= calls)
            .unwrap();
        if let Kill::BeforeTheCall = place {
            // Five seconds of the twelve that pass between two calls.
            std::thread::sleep(Duration::from_millis(250));
        }
        fake.kill_consumer().unwrap();
    }
    let state = fake.wait_until(limit, settled).unwrap();
    let accepted: Vec<_> = state
        .purges
        .iter()
        .filter(|purge| purge.refusal.is_none())
        .collect();
    let delivered: BTreeSet<&str> = accepted
        .iter()
        .flat_map(|purge| &purge.tags)
        .map(String::as_str)
        .collect();
    assert_eq!(delivered, paths.iter().map(String::as_str).collect());
    assert!(state.dead.is_empty());
    let lost = |in_call: bool| {
        let is = |delivery: &&Delivery| {
            delivery.outcome == "consumer lost" && (delivery.calls > 0) == in_call
        };
        state.deliveries.iter().filter(is).count()
    };
    let (in_the_call, before) = (lost(true), lost(false));
    let calls = state.purges.len();
    let span = (state.purges[calls - 1].at - state.purges[0].at) / 1000.0;
    let summary = format!(
        "{} purges, consumer killed 3 times: all delivered in {} batches ({in_the_call} lost in the call, {before} \
         before it or with no consumer there) by {calls} calls, {} of them refused, over {span:.0} s of the platform's time; {CALLS_NEEDED} calls are the least\n",
        paths.len(),
        state.deliveries.len(),
        calls - accepted.len(),
    );
    std::io::stdout().write_all(summary.as_bytes()).unwrap();
    assert!(in_the_call >= 2 && before >= 1, "{:?}", state.deliveries);
    assert!(
        calls < 2 * CALLS_NEEDED,
        "{calls} calls: {:?}",
        state.deliveries
    );
}

/// Whether no message waits and none is being delivered.
fn settled(state: &State) -> bool {
    let is_under_way = state
        .deliveries
        .iter()
        .any(|delivery| delivery.outcome == "under way");
    state.waiting == 0 && !is_under_way && !state.deliveries.is_empty()
}
