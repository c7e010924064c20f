//! The read table, one test for each row: what is stored, whether a fill runs, and what a reader gets.

use super::fixture::{FRESH, Fixture, MISSING, PATH};
use super::simulation::world::{Fault, content};
use super::simulation::{RULE, Request, read};
use edge_worker::engine::LONGEST_WAIT_MILLISECONDS;
use edge_worker::engine::lock::Ended;
use edge_worker::policy::time::UnixMillis;

#[test]
fn absent_is_fetched_and_stored_fresh_is_served() {
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    fixture.check("HIT", 1, 1);
    fixture.advance(FRESH - 10_000);
    fixture.check("HIT", 1, 1);
}

#[test]
fn two_hundred_readers_of_an_absent_key_make_one_request() {
    let fixture = Fixture::new();
    let readers: Vec<_> = (0..200)
        .map(|_| fixture.start(Request::default()))
        .collect();
    fixture.world.executor.run();
    let statuses: Vec<String> = readers
        .iter()
        .map(|slot| {
            slot.take()
                .expect("answered")
                .expect("an answer")
                .cache_status()
                .to_owned()
        })
        .collect();
    let count = |status: &str| statuses.iter().filter(|other| *other == status).count();
    assert_eq!((count("MISS"), count("HIT")), (1, 199));
    assert_eq!(fixture.world.fetches_of(PATH), 1);
}

#[test]
fn a_waiting_reader_asks_the_origin_after_five_seconds_and_stores_nothing() {
    let fixture = Fixture::new();
    let lock = fixture.take_lock();
    let slot = fixture.start(Request::default());
    fixture.advance(LONGEST_WAIT_MILLISECONDS - 1);
    assert_eq!(fixture.world.fetches_of(PATH), 0);
    fixture.world.executor.run();
    let response = slot.take().expect("answered").expect("an answer");
    assert_eq!((response.status, response.cache_status()), (200, "MISS"));
    assert!(fixture.world.stored.borrow().is_empty());
    drop(lock);
}

#[test]
fn stale_and_confirmed_is_revalidated_and_fresh_again() {
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    fixture.advance(FRESH);
    fixture.check("REVALIDATED", 1, 2);
    fixture.check("HIT", 1, 2);
}

#[test]
fn stale_and_changed_is_replaced() {
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    fixture.advance(FRESH);
    fixture.world.set_version(PATH, Some(2));
    fixture.check("EXPIRED", 2, 2);
    fixture.check("HIT", 2, 2);
}

#[test]
fn a_new_version_that_breaks_off_leaves_the_stale_copy() {
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    fixture.advance(FRESH);
    fixture.world.set_version(PATH, Some(2));
    fixture.fault(Fault::Truncate(3));
    fixture.check("STALE", 1, 2);
    // Still there, for the next fault too.
    fixture.fault(Fault::Connect);
    fixture.check("STALE", 1, 3);
    fixture.check("EXPIRED", 2, 4);
    let names: Vec<_> = fixture.world.stored.borrow().keys().cloned().collect();
    assert_eq!(names, [PATH], "no other copy is stored");
}

#[test]
fn stale_is_served_after_five_seconds_where_the_origin_is_slow() {
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    fixture.advance(FRESH);
    fixture.world.set_version(PATH, Some(2));
    fixture.fault(Fault::Slow(19_000));
    let slot = fixture.start(Request::default());
    fixture.advance(LONGEST_WAIT_MILLISECONDS - 1);
    assert!(
        slot.borrow().is_none(),
        "the copy is served only after five seconds"
    );
    fixture.advance(200);
    let response = slot.take().expect("answered").expect("an answer");
    assert_eq!((response.status, response.cache_status()), (200, "STALE"));
    assert_eq!(response.body, Ok(content(PATH, 1)));
    let response = fixture.read_now();
    assert_eq!(
        response.cache_status(),
        "UPDATING",
        "another's fill goes on"
    );
    // The refresh has gone on.
    fixture.world.executor.run();
    fixture.check("HIT", 2, 2);
}

#[test]
fn stale_and_gone_is_deleted() {
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    fixture.advance(FRESH);
    fixture.world.set_version(PATH, None);
    assert_eq!(fixture.read(Request::default()).err(), Some(MISSING));
    assert!(fixture.world.stored.borrow().is_empty());
}

#[test]
fn stale_while_another_fetches_is_served_at_once() {
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    fixture.advance(FRESH);
    let lock = fixture.take_lock();
    let response = fixture.read(Request::default()).expect("an answer");
    assert_eq!(response.cache_status(), "UPDATING");
    assert_eq!(fixture.world.fetches_of(PATH), 1);
    drop(lock);
}

#[test]
fn a_body_that_breaks_off_reaches_the_reader_as_such_and_is_not_stored() {
    let fixture = Fixture::new();
    fixture.fault(Fault::Truncate(3));
    let response = fixture.read(Request::default()).expect("headers");
    assert_eq!((response.status, response.body), (200, Err(())));
    assert!(fixture.world.stored.borrow().is_empty());
    fixture.check("MISS", 1, 2);
}

/// Twenty readers of an absent key, of whose bodies the first `broken` break off. Returns how many readers got the
/// whole body.
#[track_caller]
fn whole_bodies(fixture: &Fixture, broken: usize) -> usize {
    (0..broken).for_each(|_| fixture.fault(Fault::Truncate(3)));
    let readers: Vec<_> = (0..20).map(|_| fixture.start(Request::default())).collect();
    fixture.world.executor.run();
    let answers = readers.iter().map(|slot| slot.take().expect("answered"));
    let bodies = answers.map(|answer| answer.expect("an answer").body);
    bodies.filter(|body| *body == Ok(content(PATH, 1))).count()
}

#[test]
fn a_body_that_breaks_off_is_fetched_once_more_for_all_who_waited() {
    for seed in 0..50 {
        let fixture = Fixture::with_seed(seed, RULE);
        assert_eq!(whole_bodies(&fixture, 1), 19, "seed {seed}");
        fixture.check("HIT", 1, 2);
    }
}

#[test]
fn two_bodies_that_break_off_reach_only_the_two_readers_who_fetched_them() {
    for seed in 0..50 {
        let fixture = Fixture::with_seed(seed, RULE);
        assert_eq!(whole_bodies(&fixture, 2), 18, "seed {seed}");
    }
}

#[test]
fn a_reader_waits_five_seconds_in_all_however_many_fills_are_lost() {
    let fixture = Fixture::new();
    let lost = fixture.take_lock();
    let slot = fixture.start(Request::default());
    fixture.advance(3_000);
    lost.end(Ended::Stored, UnixMillis(fixture.world.executor.now()));
    fixture.advance(1);
    let lock = fixture.take_lock();
    fixture.advance(LONGEST_WAIT_MILLISECONDS - 3_002);
    assert_eq!(fixture.world.fetches_of(PATH), 0);
    fixture.advance(100);
    assert_eq!(fixture.world.fetches_of(PATH), 1, "it waits no longer");
    fixture.world.executor.run();
    let sent = slot.take().expect("answered").expect("an answer");
    assert_eq!((sent.status, sent.cache_status()), (200, "MISS"));
    drop(lock);
}

#[test]
fn a_body_of_unknown_length_that_breaks_off_is_never_stored() {
    for seed in 0..200 {
        let fixture = Fixture::with_seed(seed, RULE);
        fixture.world.store_is_unreliable.set(true);
        fixture.fault(Fault::ChunkedTruncate(3));
        let slot = fixture.start(Request::default());
        while slot.borrow().is_none() {
            fixture.advance(1);
            assert!(!fixture.world.stored.borrow().contains_key(PATH));
        }
        fixture.world.executor.run();
        assert!(fixture.world.stored.borrow().is_empty(), "seed {seed}");
    }
}

/// Whenever a reader leaves, the next one does not wait for its lock.
#[test]
fn a_reader_who_leaves_holds_no_lock() {
    for seed in 0..300 {
        let fixture = Fixture::with_seed(seed, RULE);
        let engine = fixture.engine.clone();
        let executor = fixture.world.executor.clone();
        let reader = executor.spawn(async move {
            let _ = read(&engine, PATH, &Request::default()).await;
        });
        fixture.advance(executor.below(60));
        executor.cancel(reader);
        executor.run();
        let response = fixture.read(Request::default()).expect("an answer");
        assert_eq!(response.body, Ok(content(PATH, 1)), "seed {seed}");
        assert_eq!(fixture.world.fetches_of(PATH), 1, "seed {seed}");
    }
}

#[test]
fn a_reader_who_leaves_does_not_stop_the_fill() {
    let fixture = Fixture::new();
    let engine = fixture.engine.clone();
    let reader = fixture.world.executor.spawn(async move {
        let _ = read(&engine, PATH, &Request::default()).await;
    });
    while fixture.world.fetches_of(PATH) == 0 {
        fixture.advance(1);
    }
    fixture.world.executor.cancel(reader);
    fixture.world.executor.run();
    fixture.check("HIT", 1, 1);
}

#[test]
fn the_age_of_a_hit_counts_from_the_moment_the_bucket_was_asked() {
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    fixture.advance(30_000);
    let stored = fixture.world.stored.borrow()[PATH]
        .record()
        .expect("a record");
    let age = stored.age_seconds(UnixMillis(fixture.world.executor.now()));
    assert!((30..34).contains(&age), "{age}");
}

#[test]
fn a_copy_that_a_waiting_reader_finds_stale_is_served_while_the_origin_fails() {
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    fixture.advance(FRESH);
    let stale = std::mem::take(&mut *fixture.world.stored.borrow_mut());
    let lock = fixture.take_lock();
    let slot = fixture.start(Request::default());
    fixture.advance(100);
    assert!(slot.borrow().is_none(), "another is filling");
    // What the other fill has stored is already stale when it ends.
    *fixture.world.stored.borrow_mut() = stale;
    drop(lock);
    fixture.fault(Fault::Connect);
    fixture.fault(Fault::Connect);
    fixture.world.executor.run();
    let response = slot.take().expect("answered").expect("an answer");
    assert_eq!((response.status, response.cache_status()), (200, "STALE"));
}

#[test]
fn readers_of_an_absent_key_who_come_within_five_seconds_make_one_request() {
    for seed in 0..500 {
        let fixture = Fixture::with_seed(seed, RULE);
        let executor = fixture.world.executor.clone();
        fixture.world.longest_fetch.set(4_000);
        let mut readers = Vec::new();
        for _ in 0..2 + executor.below(30) {
            readers.push(fixture.start(Request::default()));
            fixture.advance(executor.below(80));
        }
        executor.run();
        for slot in readers {
            let response = slot.take().expect("answered").expect("an answer");
            assert_eq!(response.body, Ok(content(PATH, 1)), "seed {seed}");
        }
        assert_eq!(fixture.world.fetches_of(PATH), 1, "seed {seed}");
    }
}
