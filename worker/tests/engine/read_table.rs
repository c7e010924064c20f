//! The read table, a test a row: what is stored, whether a fill is under way, and what follows.

use super::bench::{Bench, FRESH, PATH};
use super::simulation::world::{Fault, content, etag, value};
use super::simulation::{Ask, RULE, read};
use edge_worker::policy::freshness::FreshnessRule;
use edge_worker::policy::headers::text;
use edge_worker::policy::origin_error::{OriginError, Remembered};
use edge_worker::policy::time::UnixMillis;
use edge_worker::serve::LONGEST_WAIT_MILLISECONDS;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG};

const MISSING: OriginError = OriginError::Missing {
    status: 404,
    remembered: None,
};

/// What is told of a 404 that is remembered for ten seconds, after `age` of them.
fn remembered(age: u64) -> Option<OriginError> {
    Some(OriginError::Missing {
        status: 404,
        remembered: Some(Remembered { max_age: 10, age }),
    })
}

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
fn a_cold_range_is_read_whole_once_and_answered_in_part() {
    let bench = Bench::new();
    let whole = content(PATH, 1);
    let ask = || Ask {
        range: Some("bytes=5-9".to_owned()),
        ..Ask::default()
    };
    for word in ["MISS", "HIT"] {
        let sent = bench.read(ask()).expect("an answer");
        assert_eq!((sent.status, sent.cache_status()), (206, word));
        let part = format!("bytes 5-9/{}", whole.len());
        assert_eq!(text(&sent.headers, CONTENT_RANGE), Some(part.as_str()));
        assert_eq!(sent.body, Ok(whole[5..10].to_vec()));
    }
    assert_eq!(bench.world.stored.borrow()[PATH].bytes, whole);
    assert_eq!(bench.world.fetches_of(PATH), 1);
}

#[test]
fn a_range_beyond_the_end_is_416_and_asks_nobody_when_stored() {
    let bench = Bench::new();
    for word in ["MISS", "HIT"] {
        let sent = bench
            .read(Ask {
                range: Some("bytes=900-".to_owned()),
                ..Ask::default()
            })
            .expect("an answer");
        assert_eq!((sent.status, sent.cache_status()), (416, word));
        let length = format!("bytes */{}", content(PATH, 1).len());
        assert_eq!(text(&sent.headers, CONTENT_RANGE), Some(length.as_str()));
    }
    assert_eq!(bench.world.fetches_of(PATH), 1);
}

#[test]
fn conditions_are_answered_from_the_store_and_on_a_cold_key() {
    let bench = Bench::new();
    for word in ["MISS", "HIT"] {
        let ask = Ask {
            if_none_match: Some(etag(PATH, 1)),
            ..Ask::default()
        };
        let sent = bench.read(ask).expect("an answer");
        assert_eq!((sent.status, sent.cache_status()), (304, word));
        assert_eq!(sent.body, Ok(Vec::new()));
    }
    bench.check("HIT", 1, 1);
}

#[test]
fn a_304_of_the_store_counts_only_where_the_rules_agree() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    // From here on it says so of other tags as well, or without the record.
    bench.world.store_refuses.set(true);
    for _ in 0..100 {
        for (version, status) in [(1, 304), (2, 200)] {
            let ask = Ask {
                if_none_match: Some(etag(PATH, version)),
                ..Ask::default()
            };
            let sent = bench.read(ask).expect("an answer");
            assert_eq!((sent.status, sent.cache_status()), (status, "HIT"));
        }
    }
    assert_eq!(bench.world.fetches_of(PATH), 1);
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
fn the_age_of_a_hit_counts_from_the_moment_the_bucket_was_asked() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(30_000);
    let stored = bench.world.stored.borrow()[PATH].entry().expect("a record");
    let age = stored.age_seconds(UnixMillis(bench.world.executor.now()));
    assert!((30..34).contains(&age), "{age}");
}

#[test]
fn a_head_of_an_absent_key_stores_the_object() {
    let bench = Bench::new();
    let ask = Ask {
        head: true,
        ..Ask::default()
    };
    let sent = bench.read(ask).expect("an answer");
    assert_eq!((sent.status, sent.cache_status()), (200, "MISS"));
    bench.world.executor.run();
    bench.check("HIT", 1, 1);
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
fn a_stale_copy_that_the_reader_has_is_confirmed_at_the_origin_first() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(FRESH);
    let ask = Ask {
        if_none_match: Some(etag(PATH, 1)),
        ..Ask::default()
    };
    let sent = bench.read(ask).expect("an answer");
    assert_eq!((sent.status, sent.cache_status()), (304, "REVALIDATED"));
    assert_eq!(bench.world.fetches_of(PATH), 2);
}

#[test]
fn a_stale_copy_that_covers_for_the_origin_has_no_304_where_the_rules_disagree() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(FRESH);
    bench.world.store_refuses.set(true);
    for _ in 0..40 {
        bench.fault(Fault::Connect);
        let ask = Ask {
            if_none_match: Some(etag(PATH, 2)),
            ..Ask::default()
        };
        let sent = bench.read(ask).expect("an answer");
        assert_eq!((sent.status, sent.cache_status()), (200, "STALE"));
        assert_eq!(sent.body, Ok(content(PATH, 1)));
    }
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
