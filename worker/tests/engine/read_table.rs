//! The read table, a test a row: what is stored, whether a fill is under way, and what follows.

use super::bench::{Bench, FRESH, MISSING, PATH};
use super::simulation::world::{Fault, content};
use super::simulation::{Ask, RULE, read};
use edge_worker::policy::time::UnixMillis;
use edge_worker::serve::LONGEST_WAIT_MILLISECONDS;

#[test]
fn absent_is_fetched_and_stored_fresh_is_served() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.check("HIT", 1, 1);
    bench.pass(FRESH - 10_000);
    bench.check("HIT", 1, 1);
}

#[test]
fn two_hundred_readers_of_an_absent_key_make_one_request() {
    let bench = Bench::new();
    let readers: Vec<_> = (0..200).map(|_| bench.start(Ask::default())).collect();
    bench.world.executor.run();
    let words: Vec<String> = readers
        .iter()
        .map(|slot| {
            slot.take()
                .expect("answered")
                .expect("an answer")
                .cache_status()
                .to_owned()
        })
        .collect();
    assert_eq!(words.iter().filter(|word| *word == "MISS").count(), 1);
    assert_eq!(words.iter().filter(|word| *word == "HIT").count(), 199);
    assert_eq!(bench.world.fetches_of(PATH), 1);
}

#[test]
fn a_waiter_asks_the_origin_himself_after_five_seconds_and_stores_nothing() {
    let bench = Bench::new();
    let lock = bench.take_lock();
    let slot = bench.start(Ask::default());
    bench.pass(LONGEST_WAIT_MILLISECONDS - 1);
    assert_eq!(bench.world.fetches_of(PATH), 0);
    bench.world.executor.run();
    let sent = slot.take().expect("answered").expect("an answer");
    assert_eq!((sent.status, sent.cache_status()), (200, "MISS"));
    assert!(bench.world.stored.borrow().is_empty());
    drop(lock);
}

#[test]
fn stale_and_confirmed_is_revalidated_and_fresh_again() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(FRESH);
    bench.check("REVALIDATED", 1, 2);
    bench.check("HIT", 1, 2);
}

#[test]
fn stale_and_changed_is_replaced() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(FRESH);
    bench.world.set_version(PATH, Some(2));
    bench.check("EXPIRED", 2, 2);
    bench.check("HIT", 2, 2);
}

#[test]
fn a_successor_that_breaks_off_leaves_the_stale_copy() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(FRESH);
    bench.world.set_version(PATH, Some(2));
    bench.fault(Fault::Truncate(3));
    bench.check("STALE", 1, 2);
    // Still there, for the next fault too.
    bench.fault(Fault::Connect);
    bench.check("STALE", 1, 3);
    bench.check("EXPIRED", 2, 4);
    let names: Vec<_> = bench.world.stored.borrow().keys().cloned().collect();
    assert_eq!(names, [PATH], "nothing is left beside it");
}

#[test]
fn stale_is_served_after_five_seconds_where_the_origin_takes_its_time() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(FRESH);
    bench.world.set_version(PATH, Some(2));
    bench.fault(Fault::Slow(19_000));
    let slot = bench.start(Ask::default());
    bench.pass(LONGEST_WAIT_MILLISECONDS - 1);
    assert!(slot.borrow().is_none(), "the origin is given its time");
    bench.pass(200);
    let sent = slot.take().expect("answered").expect("an answer");
    assert_eq!((sent.status, sent.cache_status()), (200, "STALE"));
    assert_eq!(sent.body, Ok(content(PATH, 1)));
    let sent = bench.read_now();
    assert_eq!(sent.cache_status(), "UPDATING", "another's fill goes on");
    // The fill has gone on meanwhile.
    bench.world.executor.run();
    bench.check("HIT", 2, 2);
}

#[test]
fn stale_and_gone_is_deleted() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(FRESH);
    bench.world.set_version(PATH, None);
    assert_eq!(bench.read(Ask::default()).err(), Some(MISSING));
    assert!(bench.world.stored.borrow().is_empty());
}

#[test]
fn stale_while_another_fetches_is_served_at_once() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(FRESH);
    let lock = bench.take_lock();
    let sent = bench.read(Ask::default()).expect("an answer");
    assert_eq!(sent.cache_status(), "UPDATING");
    assert_eq!(bench.world.fetches_of(PATH), 1);
    drop(lock);
}

#[test]
fn a_body_that_breaks_off_reaches_the_reader_as_such_and_is_not_stored() {
    let bench = Bench::new();
    bench.fault(Fault::Truncate(3));
    let sent = bench.read(Ask::default()).expect("headers");
    assert_eq!((sent.status, sent.body), (200, Err(())));
    assert!(bench.world.stored.borrow().is_empty());
    bench.check("MISS", 1, 2);
}

#[test]
fn a_body_of_unknown_length_that_breaks_off_is_never_to_be_found() {
    for seed in 0..200 {
        let bench = Bench::with_seed(seed, RULE);
        bench.world.store_refuses.set(true);
        bench.fault(Fault::ChunkedTruncate(3));
        let slot = bench.start(Ask::default());
        while slot.borrow().is_none() {
            bench.pass(1);
            assert!(!bench.world.stored.borrow().contains_key(PATH));
        }
        bench.world.executor.run();
        assert!(bench.world.stored.borrow().is_empty(), "seed {seed}");
    }
}

/// Whenever a reader goes away, the next one need not wait for a lock that nobody holds.
#[test]
fn a_reader_who_goes_away_leaves_no_lock_behind() {
    for seed in 0..300 {
        let bench = Bench::with_seed(seed, RULE);
        let engine = bench.engine.clone();
        let executor = bench.world.executor.clone();
        let reader = executor.spawn(async move {
            let _ = read(&engine, PATH, &Ask::default()).await;
        });
        bench.pass(executor.below(60));
        executor.cancel(reader);
        executor.run();
        let sent = bench.read(Ask::default()).expect("an answer");
        assert_eq!(sent.body, Ok(content(PATH, 1)), "seed {seed}");
        assert_eq!(bench.world.fetches_of(PATH), 1, "seed {seed}");
    }
}

#[test]
fn a_reader_who_goes_away_does_not_stop_the_fill() {
    let bench = Bench::new();
    let engine = bench.engine.clone();
    let reader = bench.world.executor.spawn(async move {
        let _ = read(&engine, PATH, &Ask::default()).await;
    });
    while bench.world.fetches_of(PATH) == 0 {
        bench.pass(1);
    }
    bench.world.executor.cancel(reader);
    bench.world.executor.run();
    bench.check("HIT", 1, 1);
}

#[test]
fn the_age_of_a_hit_counts_from_the_moment_the_bucket_was_asked() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(30_000);
    let stored = bench.world.stored.borrow()[PATH].entry().expect("a record");
    let age = stored.age_seconds(UnixMillis(bench.world.executor.now()));
    assert!((30..34).contains(&age), "{age}");
}

#[test]
fn a_copy_that_a_waiter_finds_stale_still_covers_for_the_origin() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(FRESH);
    let stale = std::mem::take(&mut *bench.world.stored.borrow_mut());
    let lock = bench.take_lock();
    let slot = bench.start(Ask::default());
    bench.pass(100);
    assert!(slot.borrow().is_none(), "another is filling");
    // What the other has stored is stale already when he ends.
    *bench.world.stored.borrow_mut() = stale;
    drop(lock);
    bench.fault(Fault::Connect);
    bench.fault(Fault::Connect);
    bench.world.executor.run();
    let sent = slot.take().expect("answered").expect("an answer");
    assert_eq!((sent.status, sent.cache_status()), (200, "STALE"));
}

#[test]
fn readers_of_an_absent_key_who_come_within_five_seconds_make_one_request() {
    for seed in 0..500 {
        let bench = Bench::with_seed(seed, RULE);
        let executor = bench.world.executor.clone();
        bench.world.longest_fetch.set(4_000);
        let mut readers = Vec::new();
        for _ in 0..2 + executor.below(30) {
            readers.push(bench.start(Ask::default()));
            bench.pass(executor.below(80));
        }
        executor.run();
        for slot in readers {
            let sent = slot.take().expect("answered").expect("an answer");
            assert_eq!(sent.body, Ok(content(PATH, 1)), "seed {seed}");
        }
        assert_eq!(bench.world.fetches_of(PATH), 1, "seed {seed}");
    }
}
