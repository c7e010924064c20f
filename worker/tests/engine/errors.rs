//! Errors of the origin, and missing objects.

use super::fixture::{FRESH, Fixture, MISSING, PATH};
use super::simulation::world::{Fault, content, value};
use super::simulation::{RULE, Request};
use edge_worker::policy::freshness::FreshnessRule;
use edge_worker::policy::origin_error::{OriginError, Remembered};
use http::header::{CONTENT_LENGTH, ETAG};

/// The error of a 404 that is remembered for ten seconds, at this age.
fn remembered(age: u64) -> Option<OriginError> {
    Some(OriginError::Missing {
        status: 404,
        remembered: Some(Remembered { max_age: 10, age }),
    })
}

#[test]
fn errors_reach_the_reader_and_are_not_stored() {
    for (fault, error) in [
        (Fault::CapExceeded, OriginError::CapExceeded),
        (
            Fault::Status(500),
            OriginError::Server {
                status: 500,
                retry_after: None,
            },
        ),
        (Fault::Status(403), OriginError::Denied),
        (Fault::Connect, OriginError::Connect),
    ] {
        let fixture = Fixture::new();
        fixture.fault(fault);
        assert_eq!(fixture.read(Request::default()).err(), Some(error));
        assert!(fixture.world.stored.borrow().is_empty());
    }
}

#[test]
fn twenty_readers_of_a_missing_key_share_one_answer() {
    let fixture = Fixture::new();
    fixture.world.set_version(PATH, None);
    let readers: Vec<_> = (0..20).map(|_| fixture.start(Request::default())).collect();
    fixture.world.executor.run();
    for slot in readers {
        assert_eq!(slot.take().expect("answered").err(), Some(MISSING));
    }
    assert_eq!(fixture.world.fetches_of(PATH), 1);
}

#[test]
fn twenty_readers_of_what_is_not_stored_do_not_wait_for_each_other() {
    let fixture = Fixture::with_rule(FreshnessRule {
        fresh_seconds: 0,
        ..RULE
    });
    fixture.world.longest_fetch.set(0);
    for _ in 0..20 {
        fixture.fault(Fault::Slow(500));
    }
    let readers: Vec<_> = (0..20).map(|_| fixture.start(Request::default())).collect();
    fixture.advance(1_200);
    for slot in readers {
        let response = slot.take().expect("answered in time").expect("an answer");
        assert_eq!((response.status, response.cache_status()), (200, "MISS"));
        assert_eq!(response.body, Ok(content(PATH, 1)));
    }
    assert!(fixture.world.stored.borrow().is_empty());
}

#[test]
fn twenty_readers_of_what_the_store_does_not_keep_do_not_wait_for_each_other() {
    for seed in 0..20 {
        let fixture = Fixture::with_seed(seed, RULE);
        fixture.world.store_is_unreliable.set(false);
        fixture.world.store_is_full.set(true);
        fixture.world.longest_fetch.set(0);
        for _ in 0..30 {
            fixture.fault(Fault::Slow(500));
        }
        let readers: Vec<_> = (0..20).map(|_| fixture.start(Request::default())).collect();
        // Two fills of which the store says nothing, then each for itself.
        fixture.advance(2_000);
        for slot in readers {
            let response = slot.take().expect("answered in time").expect("an answer");
            assert_eq!((response.status, response.cache_status()), (200, "MISS"));
            assert_eq!(response.body, Ok(content(PATH, 1)));
        }
    }
}

#[test]
fn a_remembered_404_has_neither_parts_nor_a_304() {
    let fixture = Fixture::with_rule(FreshnessRule {
        negative_seconds: 10,
        ..RULE
    });
    fixture.world.set_version(PATH, None);
    fixture.world.stores_errors.set(true);
    assert_eq!(fixture.read(Request::default()).err(), remembered(0));
    fixture.world.executor.run();
    let mut stored = fixture.world.stored.borrow_mut();
    let copy = stored.get_mut(PATH).expect("remembered");
    copy.headers.insert(ETAG, value("\"of an error\""));
    copy.headers.insert(CONTENT_LENGTH, value("4"));
    copy.bytes = b"none".to_vec();
    drop(stored);
    for request in [
        Request {
            if_none_match: Some("\"of an error\"".to_owned()),
            ..Request::default()
        },
        Request {
            range: Some("bytes=0-1".to_owned()),
            ..Request::default()
        },
        Request {
            range: Some("bytes=9-".to_owned()),
            ..Request::default()
        },
    ] {
        assert_eq!(fixture.read(request).err(), remembered(0));
    }
    assert_eq!(fixture.world.fetches_of(PATH), 1);
}

#[test]
fn every_reader_of_a_remembered_404_gets_its_age() {
    let fixture = Fixture::with_rule(FreshnessRule {
        negative_seconds: 10,
        ..RULE
    });
    fixture.world.set_version(PATH, None);
    fixture.world.stores_errors.set(true);
    let readers: Vec<_> = (0..5).map(|_| fixture.start(Request::default())).collect();
    fixture.world.executor.run();
    for slot in readers {
        assert_eq!(slot.take().expect("answered").err(), remembered(0));
    }
    fixture.advance(6_000);
    let Some(OriginError::Missing {
        remembered: Some(remembered),
        ..
    }) = fixture.read(Request::default()).err()
    else {
        panic!("it is remembered");
    };
    assert!(
        remembered.max_age == 10 && (6..9).contains(&remembered.age),
        "{remembered:?}"
    );
}

#[test]
fn a_missing_object_is_remembered_only_where_the_settings_say_so() {
    let forgetful = Fixture::new();
    forgetful.world.set_version(PATH, None);
    let mindful = Fixture::with_rule(FreshnessRule {
        negative_seconds: 10,
        ..RULE
    });
    mindful.world.set_version(PATH, None);
    mindful.world.stores_errors.set(true);
    for fixture in [&forgetful, &mindful] {
        for _ in 0..2 {
            let error = fixture.read(Request::default()).err();
            assert!(
                matches!(error, Some(OriginError::Missing { .. })),
                "{error:?}"
            );
        }
    }
    assert_eq!(forgetful.world.fetches_of(PATH), 2);
    assert_eq!(mindful.world.fetches_of(PATH), 1);
    mindful.advance(10_000);
    mindful.world.set_version(PATH, Some(1));
    mindful.check("MISS", 1, 2);
}

#[test]
fn a_missing_object_deletes_its_stale_copy_even_where_the_404_cannot_be_stored() {
    let rule = FreshnessRule {
        negative_seconds: 10,
        ..RULE
    };
    for refuses in [false, true] {
        for seed in 0..200 {
            let fixture = Fixture::with_seed(seed, rule);
            fixture.world.stores_errors.set(true);
            fixture.check("MISS", 1, 1);
            fixture.advance(FRESH);
            fixture.world.set_version(PATH, None);
            fixture.world.store_is_unreliable.set(refuses);
            let first = fixture.read(Request::default()).err();
            assert_eq!(first, remembered(0));
            fixture.world.executor.run();
            fixture.world.store_is_unreliable.set(false);
            fixture.fault(Fault::Connect);
            let next = fixture.read(Request::default()).err();
            let is_remembered = matches!(next, Some(OriginError::Missing { .. }));
            assert!(
                is_remembered || next == Some(OriginError::Connect),
                "{next:?}"
            );
            assert!(refuses || is_remembered, "the 404 is remembered");
        }
    }
}
