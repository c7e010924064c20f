//! What the origin has not given: errors, and objects that are missing.

use super::bench::{Bench, FRESH, MISSING, PATH};
use super::simulation::world::{Fault, content, value};
use super::simulation::{Ask, RULE};
use edge_worker::policy::freshness::FreshnessRule;
use edge_worker::policy::origin_error::{OriginError, Remembered};
use http::header::{CONTENT_LENGTH, ETAG};

/// What is told of a 404 that is remembered for ten seconds, after `age` of them.
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
        let bench = Bench::new();
        bench.fault(fault);
        assert_eq!(bench.read(Ask::default()).err(), Some(error));
        assert!(bench.world.stored.borrow().is_empty());
    }
}

#[test]
fn twenty_readers_of_a_missing_key_share_one_answer() {
    let bench = Bench::new();
    bench.world.set_version(PATH, None);
    let readers: Vec<_> = (0..20).map(|_| bench.start(Ask::default())).collect();
    bench.world.executor.run();
    for slot in readers {
        assert_eq!(slot.take().expect("answered").err(), Some(MISSING));
    }
    assert_eq!(bench.world.fetches_of(PATH), 1);
}

#[test]
fn twenty_readers_of_what_is_not_stored_do_not_wait_for_each_other() {
    let bench = Bench::with_rule(FreshnessRule {
        fresh_seconds: 0,
        ..RULE
    });
    bench.world.longest_fetch.set(0);
    for _ in 0..20 {
        bench.fault(Fault::Slow(500));
    }
    let readers: Vec<_> = (0..20).map(|_| bench.start(Ask::default())).collect();
    bench.pass(1_200);
    for slot in readers {
        let sent = slot.take().expect("answered in time").expect("an answer");
        assert_eq!((sent.status, sent.cache_status()), (200, "MISS"));
        assert_eq!(sent.body, Ok(content(PATH, 1)));
    }
    assert!(bench.world.stored.borrow().is_empty());
}

#[test]
fn twenty_readers_of_what_the_store_does_not_keep_do_not_wait_for_each_other() {
    for seed in 0..20 {
        let bench = Bench::with_seed(seed, RULE);
        bench.world.store_refuses.set(false);
        bench.world.store_is_full.set(true);
        bench.world.longest_fetch.set(0);
        for _ in 0..30 {
            bench.fault(Fault::Slow(500));
        }
        let readers: Vec<_> = (0..20).map(|_| bench.start(Ask::default())).collect();
        bench.pass(1_500);
        for slot in readers {
            let sent = slot.take().expect("answered in time").expect("an answer");
            assert_eq!((sent.status, sent.cache_status()), (200, "MISS"));
            assert_eq!(sent.body, Ok(content(PATH, 1)));
        }
    }
}

#[test]
fn a_remembered_404_has_neither_parts_nor_a_304() {
    let bench = Bench::with_rule(FreshnessRule {
        negative_seconds: 10,
        ..RULE
    });
    bench.world.set_version(PATH, None);
    bench.world.stores_errors.set(true);
    assert_eq!(bench.read(Ask::default()).err(), remembered(0));
    bench.world.executor.run();
    let mut stored = bench.world.stored.borrow_mut();
    let copy = stored.get_mut(PATH).expect("remembered");
    copy.headers.insert(ETAG, value("\"of an error\""));
    copy.headers.insert(CONTENT_LENGTH, value("4"));
    copy.bytes = b"none".to_vec();
    drop(stored);
    for ask in [
        Ask {
            if_none_match: Some("\"of an error\"".to_owned()),
            ..Ask::default()
        },
        Ask {
            range: Some("bytes=0-1".to_owned()),
            ..Ask::default()
        },
        Ask {
            range: Some("bytes=9-".to_owned()),
            ..Ask::default()
        },
    ] {
        assert_eq!(bench.read(ask).err(), remembered(0));
    }
    assert_eq!(bench.world.fetches_of(PATH), 1);
}

#[test]
fn every_reader_of_a_remembered_404_is_told_when_it_ends() {
    let bench = Bench::with_rule(FreshnessRule {
        negative_seconds: 10,
        ..RULE
    });
    bench.world.set_version(PATH, None);
    bench.world.stores_errors.set(true);
    let readers: Vec<_> = (0..5).map(|_| bench.start(Ask::default())).collect();
    bench.world.executor.run();
    for slot in readers {
        assert_eq!(slot.take().expect("answered").err(), remembered(0));
    }
    bench.pass(6_000);
    let Some(OriginError::Missing {
        remembered: Some(told),
        ..
    }) = bench.read(Ask::default()).err()
    else {
        panic!("it is remembered");
    };
    assert!(told.max_age == 10 && (6..9).contains(&told.age), "{told:?}");
}

#[test]
fn a_missing_object_is_remembered_only_where_the_settings_say_so() {
    let forgetful = Bench::new();
    forgetful.world.set_version(PATH, None);
    let mindful = Bench::with_rule(FreshnessRule {
        negative_seconds: 10,
        ..RULE
    });
    mindful.world.set_version(PATH, None);
    mindful.world.stores_errors.set(true);
    for bench in [&forgetful, &mindful] {
        for _ in 0..2 {
            let error = bench.read(Ask::default()).err();
            assert!(
                matches!(error, Some(OriginError::Missing { .. })),
                "{error:?}"
            );
        }
    }
    assert_eq!(forgetful.world.fetches_of(PATH), 2);
    assert_eq!(mindful.world.fetches_of(PATH), 1);
    mindful.pass(10_000);
    mindful.world.set_version(PATH, Some(1));
    mindful.check("MISS", 1, 2);
}

#[test]
fn a_missing_object_takes_its_stale_copy_away_even_where_the_404_cannot_be_stored() {
    let rule = FreshnessRule {
        negative_seconds: 10,
        ..RULE
    };
    for refuses in [false, true] {
        for seed in 0..200 {
            let bench = Bench::with_seed(seed, rule);
            bench.world.stores_errors.set(true);
            bench.check("MISS", 1, 1);
            bench.pass(FRESH);
            bench.world.set_version(PATH, None);
            bench.world.store_refuses.set(refuses);
            let first = bench.read(Ask::default()).err();
            assert_eq!(first, remembered(0));
            bench.world.executor.run();
            bench.world.store_refuses.set(false);
            bench.fault(Fault::Connect);
            let next = bench.read(Ask::default()).err();
            let is_remembered = matches!(next, Some(OriginError::Missing { .. }));
            assert!(
                is_remembered || next == Some(OriginError::Connect),
                "{next:?}"
            );
            assert!(refuses || is_remembered, "the 404 is remembered");
        }
    }
}
