//! Purges, and the fills that they overtake.

use super::bench::{Bench, PATH};
use super::simulation::world::{content, etag};
use super::simulation::{Ask, RULE, engine};
use edge_worker::policy::headers::text;
use http::header::ETAG;
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
            *target.borrow_mut() = Some(engine.purge(PATH).await);
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
    assert_eq!(text(&sent.headers, ETAG), Some(etag(PATH, 2).as_str()));
}

/// The other isolates of a data centre share the store, and not the table of purges.
#[test]
fn a_purge_during_a_write_that_outlasts_its_looks_leaves_no_old_bytes_to_other_isolates() {
    let bench = Bench::new();
    bench.world.slow_write.set(60_000);
    let first = bench.start(Ask::default());
    bench.pass(5_000);
    assert!(first.borrow().is_some(), "its reader has been answered");
    bench.world.set_version(PATH, Some(2));
    bench.purge();
    bench.world.executor.run();
    bench.world.slow_write.set(0);
    let other = Bench {
        world: bench.world.clone(),
        engine: engine(&bench.world, RULE),
    };
    other.check("MISS", 2, 2);
}

#[test]
fn while_a_purged_fill_runs_one_new_fill_is_enough_for_all() {
    let bench = Bench::new();
    // Its lock is held to the end of this test.
    let _permit = bench.take_lock();
    bench.purge();
    bench.pass(50);
    let readers: Vec<_> = (0..100).map(|_| bench.start(Ask::default())).collect();
    bench.pass(5_000);
    for slot in readers {
        let sent = slot.take().expect("answered").expect("an answer");
        assert_eq!(sent.body, Ok(content(PATH, 1)));
    }
    assert_eq!(bench.world.fetches_of(PATH), 1);
}

#[test]
fn what_another_isolate_stores_late_is_removed_within_seconds() {
    let bench = Bench::new();
    let elsewhere = engine(&bench.world, RULE);
    let _first = bench.start(Ask::default());
    while bench.world.objects.borrow()[PATH].confirmed_at.is_empty() {
        bench.pass(1);
    }
    bench.world.set_version(PATH, Some(2));
    bench.world.executor.spawn(async move {
        elsewhere.purge(PATH).await;
    });
    bench.pass(25_100);
    assert!(bench.world.stored.borrow().is_empty(), "it is removed");
    bench.check("MISS", 2, 2);
}

#[test]
fn a_purge_leaves_no_mark_in_the_store() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    let engine = bench.engine.clone();
    bench.world.executor.spawn(async move {
        engine.purge(PATH).await;
    });
    bench.pass(30_000);
    assert!(bench.world.stored.borrow().is_empty());
    bench.check("MISS", 1, 2);
    let names: Vec<_> = bench.world.stored.borrow().keys().cloned().collect();
    assert_eq!(names, [PATH]);
}
