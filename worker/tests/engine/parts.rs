//! Readers who want a part, the headers alone, or only what they lack.

use super::bench::{Bench, FRESH, PATH};
use super::simulation::world::{Fault, content, etag};
use super::simulation::{Ask, RULE};
use edge_worker::policy::headers::text;
use http::header::{CONTENT_RANGE, ETAG};

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

/// Both versions are of one length, so that nothing else tells their parts apart.
#[test]
fn a_copy_that_is_replaced_between_two_looks_gives_no_part_of_the_other_version() {
    let (old, new) = (1, 98);
    let whole = content(PATH, old);
    assert_eq!(content(PATH, new).len(), whole.len());
    let after = Bench::new();
    after.world.set_version(PATH, Some(new));
    after.check("MISS", new, 1);
    let (mut parts, mut wholes) = (0, 0);
    for moment in 0..400 {
        let bench = Bench::with_seed(moment, RULE);
        bench.check("MISS", old, 1);
        let slot = bench.start(Ask {
            range: Some("bytes=5-9".to_owned()),
            if_range: Some(etag(PATH, old)),
            ..Ask::default()
        });
        bench.pass(moment % 40);
        let replaced = after.world.stored.borrow()[PATH].clone();
        let mut stored = bench.world.stored.borrow_mut();
        stored.insert(PATH.to_owned(), replaced);
        drop(stored);
        bench.world.executor.run();
        let sent = slot.take().expect("answered").expect("an answer");
        let is_old = text(&sent.headers, ETAG) == Some(etag(PATH, old).as_str());
        match sent.status {
            206 => {
                assert!(is_old, "a part of a version that was not asked for");
                assert_eq!(sent.body, Ok(whole[5..10].to_vec()));
                parts += 1;
            }
            status => {
                assert_eq!(status, 200);
                let version = if is_old { old } else { new };
                assert_eq!(sent.body, Ok(content(PATH, version)));
                wholes += u32::from(is_old);
            }
        }
    }
    assert!(
        parts > 0 && wholes > 0,
        "{parts} parts, {wholes} replaced between"
    );
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
