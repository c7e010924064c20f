//! Purges, and fills that they overtake.

use super::fixture::{Fixture, PATH};
use super::simulation::world::{content, etag};
use super::simulation::{RULE, Request, engine};
use edge_worker::policy::headers::text;
use http::header::ETAG;
use std::cell::RefCell;
use std::rc::Rc;

#[test]
fn a_purge_drops_the_copy_and_reports_whether_there_was_one() {
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    let purge = || {
        let outcome = Rc::new(RefCell::new(None));
        let (engine, target) = (fixture.engine.clone(), outcome.clone());
        fixture.world.executor.spawn(async move {
            *target.borrow_mut() = Some(engine.purge(PATH).await);
        });
        fixture.world.executor.run();
        outcome.take()
    };
    assert_eq!(purge(), Some(true));
    assert_eq!(purge(), Some(false));
    fixture.check("MISS", 1, 2);
}

#[test]
fn a_fill_that_began_before_a_purge_does_not_restore_the_old_bytes() {
    let fixture = Fixture::new();
    let _first = fixture.start(Request::default());
    while fixture.world.objects.borrow()[PATH].confirmed_at.is_empty() {
        fixture.advance(1);
    }
    // The origin has delivered version 1; it is on its way into the store.
    fixture.world.set_version(PATH, Some(2));
    fixture.purge();
    fixture.advance(50);
    fixture.check("MISS", 2, 2);
    fixture.world.executor.run();
    let response = fixture.read(Request::default()).expect("an answer");
    assert_eq!(text(&response.headers, ETAG), Some(etag(PATH, 2).as_str()));
}

/// The other isolates of a data centre share the store, and not the table of purges.
#[test]
fn a_write_that_outlasts_the_checks_of_a_purge_leaves_no_old_bytes_to_other_isolates() {
    let fixture = Fixture::new();
    fixture.world.slow_write.set(60_000);
    let first = fixture.start(Request::default());
    fixture.advance(5_000);
    assert!(first.borrow().is_some(), "its reader has been answered");
    fixture.world.set_version(PATH, Some(2));
    fixture.purge();
    fixture.world.executor.run();
    fixture.world.slow_write.set(0);
    let other = Fixture {
        world: fixture.world.clone(),
        engine: engine(&fixture.world, RULE),
    };
    other.check("MISS", 2, 2);
}

#[test]
fn while_a_purged_fill_runs_one_new_fill_is_enough_for_all() {
    let fixture = Fixture::new();
    // A fill that runs to the end of this test.
    let _permit = fixture.take_lock();
    fixture.purge();
    fixture.advance(50);
    let readers: Vec<_> = (0..100)
        .map(|_| fixture.start(Request::default()))
        .collect();
    fixture.advance(5_000);
    for slot in readers {
        let response = slot.take().expect("answered").expect("an answer");
        assert_eq!(response.body, Ok(content(PATH, 1)));
    }
    assert_eq!(fixture.world.fetches_of(PATH), 1);
}

#[test]
fn what_another_isolate_stores_late_is_removed_within_seconds() {
    let fixture = Fixture::new();
    let elsewhere = engine(&fixture.world, RULE);
    let _first = fixture.start(Request::default());
    while fixture.world.objects.borrow()[PATH].confirmed_at.is_empty() {
        fixture.advance(1);
    }
    fixture.world.set_version(PATH, Some(2));
    fixture.world.executor.spawn(async move {
        elsewhere.purge(PATH).await;
    });
    fixture.advance(25_100);
    assert!(fixture.world.stored.borrow().is_empty(), "it is removed");
    fixture.check("MISS", 2, 2);
}

#[test]
fn a_purge_leaves_no_mark_in_the_store() {
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    let engine = fixture.engine.clone();
    fixture.world.executor.spawn(async move {
        engine.purge(PATH).await;
    });
    fixture.advance(30_000);
    assert!(fixture.world.stored.borrow().is_empty());
    fixture.check("MISS", 1, 2);
    let names: Vec<_> = fixture.world.stored.borrow().keys().cloned().collect();
    assert_eq!(names, [PATH]);
}
