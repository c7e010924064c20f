//! Purges, and the fills that they overtake.

use super::bench::{Bench, PATH};
use super::simulation::world::{content, etag};
use super::simulation::{Ask, RULE, engine};
use edge_worker::engine::fills::LOCK_LEASE_MILLISECONDS;
use std::cell::RefCell;
use std::rc::Rc;

#[test]
fn a_purge_drops_the_copy_and_says_whether_there_was_one() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    let purge = || {
        let outcome = Rc::new(RefCell::new(None));
        let (engine, target) = (bench.engine.clone(), outcome.clone());
        bench.world.executor.spawn(async move {
            let was_there = engine.purge(PATH).await.expect("the store takes it");
            *target.borrow_mut() = Some(was_there);
        });
        bench.world.executor.run();
        outcome.take()
    };
    assert_eq!(purge(), Some(true));
    assert_eq!(purge(), Some(false));
    bench.check("MISS", 1, 2);
}

#[test]
fn a_fill_that_began_before_a_purge_does_not_bring_the_old_bytes_back() {
    let bench = Bench::new();
    let _first = bench.start(Ask::default());
    while bench.world.objects.borrow()[PATH].confirmed_at.is_empty() {
        bench.pass(1);
    }
    // The origin has delivered version 1; it is on its way into the store.
    bench.world.set_version(PATH, Some(2));
    bench.purge();
    bench.pass(50);
    bench.check("MISS", 2, 2);
    bench.world.executor.run();
    let sent = bench.read(Ask::default()).expect("an answer");
    assert_eq!(sent.fields.get("etag"), Some(etag(PATH, 2).as_str()));
}

#[test]
fn a_purge_in_one_isolate_overtakes_a_fill_in_another() {
    let bench = Bench::new();
    let elsewhere = engine(&bench.world, RULE);
    let _first = bench.start(Ask::default());
    while bench.world.objects.borrow()[PATH].confirmed_at.is_empty() {
        bench.pass(1);
    }
    // The origin has delivered version 1; it is on its way into the store.
    bench.world.set_version(PATH, Some(2));
    bench.world.executor.spawn(async move {
        elsewhere.purge(PATH).await.expect("the store takes it");
    });
    bench.world.executor.run();
    bench.check("MISS", 2, 2);
    bench.check("HIT", 2, 2);
}

#[test]
fn a_purge_that_the_store_does_not_note_is_not_answered() {
    let bench = Bench::new();
    let refused = (0..200).any(|_| {
        bench.world.store_refuses.set(true);
        let outcome = Rc::new(RefCell::new(None));
        let (engine, target) = (bench.engine.clone(), outcome.clone());
        bench.world.executor.spawn(async move {
            *target.borrow_mut() = Some(engine.purge(PATH).await);
        });
        bench.world.executor.run();
        outcome.take().expect("it has ended").is_err()
    });
    assert!(refused, "the store refuses now and then");
}

#[test]
fn what_a_purged_fill_left_when_it_was_given_up_is_not_served_once_its_lease_has_ended() {
    let bench = Bench::new();
    // It has stored its answer and is never polled again: no taking back.
    bench.check("MISS", 1, 1);
    let now = bench.world.executor.now();
    std::mem::forget(bench.engine.fills.take(PATH, now));
    bench.engine.fills.purge(PATH, now);
    bench.world.set_version(PATH, Some(2));
    let sent = bench.read(Ask::default()).expect("an answer");
    assert_eq!(
        (sent.cache_status(), sent.fields.get("etag")),
        ("MISS", Some(etag(PATH, 2).as_str()))
    );
    bench.pass(LOCK_LEASE_MILLISECONDS);
    bench.check("MISS", 2, 3);
    bench.check("HIT", 2, 3);
}

#[test]
fn while_a_purged_fill_runs_one_new_fill_is_enough_for_all() {
    let bench = Bench::new();
    // Its lock is held to the end of this test.
    let now = bench.world.executor.now();
    let lock = bench.engine.fills.take(PATH, now).expect("free");
    bench.purge();
    bench.pass(50);
    let readers: Vec<_> = (0..100).map(|_| bench.start(Ask::default())).collect();
    bench.pass(5_000);
    for slot in readers {
        let sent = slot.take().expect("answered").expect("an answer");
        assert_eq!(sent.body, Ok(content(PATH, 1)));
    }
    assert_eq!(bench.world.fetches_of(PATH), 1);
    assert!(!lock.is_still_valid());
}
