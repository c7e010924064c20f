//! What a million reads cost: that the log is what it says, and the counts are those of the rules.

mod model;

use model::engine::{self, Places};
use model::log::{self, Log, Request, Shape, Want};
use model::retold::{Rules, replay, replay_without_cache};
use model::tally::Tally;
use model::{DAY_SECONDS, NGINX_WITHOUT_LIMIT, NO_CACHE, WORKER_ONE, contenders, settings};

const READS: usize = 8_000;
const HOUR: u64 = 60 * 60 * 1000;

/// A month of a small server.
fn small(seed: u64) -> Shape {
    Shape {
        archive: 2_000,
        posts: 100,
        ..Shape::month(seed, READS)
    }
}

/// Whole reads of one object of 50 kB.
fn reads_at(moments: &[u64]) -> Log {
    let request = |&at: &u64| Request {
        at,
        object: 0,
        place: 0,
        want: Want::Whole,
    };
    Log {
        requests: moments.iter().map(request).collect(),
        sizes: vec![Some(50_000)],
        days: 30,
        places: 10,
    }
}

fn by_engine(log: &Log) -> Tally {
    engine::replay(log, settings().freshness, Places::One)
}

/// Transactions of the engine, of nginx and of the platform's cache.
#[track_caller]
fn check(moments: &[u64], expected: [u64; 3]) {
    let log = reads_at(moments);
    let platform = Rules::of_platform(&settings().freshness);
    let tallies = [
        by_engine(&log),
        replay(&log, &Rules::of_nginx(None)),
        replay(&log, &platform),
    ];
    assert_eq!(tallies.map(|tally| tally.all_transactions()), expected);
}

#[test]
fn the_same_seed_is_the_same_log() {
    let (one, other) = (log::make(&small(7)), log::make(&small(7)));
    assert_eq!(one.requests, other.requests);
    assert_eq!(one.sizes, other.sizes);
    assert_ne!(one.requests, log::make(&small(8)).requests);
}

#[test]
fn the_log_is_in_order_and_has_every_kind_of_read() {
    let log = log::make(&small(1));
    assert_eq!(log.requests.len(), READS);
    assert!(log.requests.is_sorted_by_key(|request| request.at));
    assert!(
        log.requests
            .iter()
            .all(|request| request.at < 30 * DAY_SECONDS * 1000)
    );
    let count = |kind: fn(&Request) -> bool| log.requests.iter().filter(|one| kind(one)).count();
    assert!(count(|one| one.want == Want::Confirmation) > 500);
    assert!(count(|one| matches!(one.want, Want::Part(..))) > 100);
    assert!(count(|one| one.object >= 2_100) > 20, "names that are none");
    assert!(count(|one| one.place == 0) > 2 * count(|one| one.place == 9));
}

#[test]
fn without_a_cache_each_read_is_a_transaction() {
    let tally = replay_without_cache(&log::make(&small(1)));
    assert_eq!(tally.all_transactions(), READS as u64);
    assert_eq!(tally.reads.all(), READS as u64);
}

#[test]
fn every_read_is_counted_once() {
    for (name, tally) in contenders(&small(1)) {
        assert_eq!(tally.reads.all(), READS as u64, "{name}");
        assert!(tally.all_transactions() <= READS as u64, "{name}");
        assert!(tally.reads.asked <= tally.all_transactions(), "{name}");
    }
}

#[test]
fn fresh_copies_cost_nothing_and_what_has_expired_costs_one() {
    check(&[0, HOUR, 47 * HOUR], [1, 1, 1]);
    check(&[0, 49 * HOUR, 50 * HOUR], [2, 2, 2]);
    check(&[0, 49 * HOUR, 98 * HOUR], [3, 3, 3]);
}

#[test]
fn a_crowd_costs_one() {
    check(&[0, 1, 2, 50, 99, 100, 101, 102, 110], [1, 1, 1]);
    let again = 48 * HOUR + 1_000;
    check(&[0, again, again + 1, again + 50], [2, 2, 2]);
}

#[test]
fn a_confirmed_copy_is_not_sent_again_but_by_nginx() {
    let log = reads_at(&[0, 49 * HOUR]);
    assert_eq!(by_engine(&log).bytes_from_origin, 50_000);
    let nginx = replay(&log, &Rules::of_nginx(None));
    assert_eq!(nginx.bytes_from_origin, 100_000);
}

#[test]
fn nginx_without_room_fetches_again() {
    let mut log = reads_at(&[0, HOUR, 2 * HOUR]);
    log.sizes.push(Some(60_000));
    log.requests[1].object = 1;
    let roomy = replay(&log, &Rules::of_nginx(Some(110_000)));
    assert_eq!(roomy.all_transactions(), 2);
    let tight = replay(&log, &Rules::of_nginx(Some(109_999)));
    assert_eq!(tight.all_transactions(), 3);
}

#[test]
fn a_copy_that_nobody_asks_for_makes_room() {
    let mut log = reads_at(&[0, 48 * HOUR, 49 * HOUR]);
    log.sizes.push(Some(60_000));
    log.requests[1].object = 1;
    log.requests[2].object = 1;
    let tally = replay(&log, &Rules::of_nginx(Some(60_000)));
    assert_eq!(tally.all_transactions(), 2);
}

#[test]
fn every_place_fetches_for_itself() {
    let mut log = reads_at(&[0, HOUR, 2 * HOUR]);
    log.requests[1].place = 1;
    let tally = engine::replay(&log, settings().freshness, Places::Each);
    assert_eq!(tally.all_transactions(), 2);
    assert_eq!(by_engine(&log).all_transactions(), 1);
}

#[test]
fn the_platform_serves_an_expired_copy_while_it_asks() {
    let log = reads_at(&[0, 49 * HOUR]);
    let tally = replay(&log, &Rules::of_platform(&settings().freshness));
    assert_eq!((tally.reads.hit, tally.reads.asked), (1, 1));
    assert_eq!(
        tally.worker_requests, 4,
        "two reads, two calls of the entry"
    );
}

#[test]
fn the_engine_takes_no_more_than_nginx_with_room_for_everything() {
    for seed in 1..3 {
        let all = contenders(&small(seed));
        let of = |wanted: &str| {
            let found = all.iter().find(|(name, _)| *name == wanted);
            found.expect("a contender").1.all_transactions()
        };
        assert!(of(WORKER_ONE) <= of(NGINX_WITHOUT_LIMIT), "seed {seed}");
        assert!(of(NGINX_WITHOUT_LIMIT) < of(NO_CACHE), "seed {seed}");
    }
}
