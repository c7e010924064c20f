//! Reads with a range or conditions, and HEAD.

use super::fixture::{FRESH, Fixture, PATH};
use super::simulation::world::{Fault, content, etag};
use super::simulation::{RULE, Request};
use edge_worker::policy::headers::text;
use http::header::{CONTENT_RANGE, ETAG};

#[test]
fn a_cold_range_is_read_whole_once_and_answered_in_part() {
    let fixture = Fixture::new();
    let whole = content(PATH, 1);
    let request = || Request {
        range: Some("bytes=5-9".to_owned()),
        ..Request::default()
    };
    for status in ["MISS", "HIT"] {
        let response = fixture.read(request()).expect("an answer");
        assert_eq!((response.status, response.cache_status()), (206, status));
        let part = format!("bytes 5-9/{}", whole.len());
        assert_eq!(text(&response.headers, CONTENT_RANGE), Some(part.as_str()));
        assert_eq!(response.body, Ok(whole[5..10].to_vec()));
    }
    assert_eq!(fixture.world.stored.borrow()[PATH].bytes, whole);
    assert_eq!(fixture.world.fetches_of(PATH), 1);
}

/// Both versions are of one length, so that only the tag distinguishes their parts.
#[test]
fn a_copy_that_is_replaced_between_two_look_ups_gives_no_part_of_the_other_version() {
    let (old, new) = (1, 98);
    let whole = content(PATH, old);
    assert_eq!(content(PATH, new).len(), whole.len());
    let after = Fixture::new();
    after.world.set_version(PATH, Some(new));
    after.check("MISS", new, 1);
    let (mut parts, mut wholes) = (0, 0);
    for moment in 0..400 {
        let fixture = Fixture::with_seed(moment, RULE);
        fixture.check("MISS", old, 1);
        let slot = fixture.start(Request {
            range: Some("bytes=5-9".to_owned()),
            if_range: Some(etag(PATH, old)),
            ..Request::default()
        });
        fixture.advance(moment % 40);
        let replaced = after.world.stored.borrow()[PATH].clone();
        let mut stored = fixture.world.stored.borrow_mut();
        stored.insert(PATH.to_owned(), replaced);
        drop(stored);
        fixture.world.executor.run();
        let response = slot.take().expect("answered").expect("an answer");
        let is_old = text(&response.headers, ETAG) == Some(etag(PATH, old).as_str());
        match response.status {
            206 => {
                assert!(is_old, "a part of a version that was not asked for");
                assert_eq!(response.body, Ok(whole[5..10].to_vec()));
                parts += 1;
            }
            status => {
                assert_eq!(status, 200);
                let version = if is_old { old } else { new };
                assert_eq!(response.body, Ok(content(PATH, version)));
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
    let fixture = Fixture::new();
    for status in ["MISS", "HIT"] {
        let response = fixture
            .read(Request {
                range: Some("bytes=900-".to_owned()),
                ..Request::default()
            })
            .expect("an answer");
        assert_eq!((response.status, response.cache_status()), (416, status));
        let length = format!("bytes */{}", content(PATH, 1).len());
        assert_eq!(
            text(&response.headers, CONTENT_RANGE),
            Some(length.as_str())
        );
    }
    assert_eq!(fixture.world.fetches_of(PATH), 1);
}

#[test]
fn conditions_are_answered_from_the_store_and_on_a_cold_key() {
    let fixture = Fixture::new();
    for status in ["MISS", "HIT"] {
        let request = Request {
            if_none_match: Some(etag(PATH, 1)),
            ..Request::default()
        };
        let response = fixture.read(request).expect("an answer");
        assert_eq!((response.status, response.cache_status()), (304, status));
        assert_eq!(response.body, Ok(Vec::new()));
    }
    fixture.check("HIT", 1, 1);
}

#[test]
fn a_304_of_the_store_counts_only_where_the_rules_agree() {
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    // From here on it may answer 304 to other tags too, or without the record.
    fixture.world.store_is_unreliable.set(true);
    for _ in 0..100 {
        for (version, status) in [(1, 304), (2, 200)] {
            let request = Request {
                if_none_match: Some(etag(PATH, version)),
                ..Request::default()
            };
            let response = fixture.read(request).expect("an answer");
            assert_eq!((response.status, response.cache_status()), (status, "HIT"));
        }
    }
    assert_eq!(fixture.world.fetches_of(PATH), 1);
}

#[test]
fn a_head_of_an_absent_key_stores_the_object() {
    let fixture = Fixture::new();
    let request = Request {
        head: true,
        ..Request::default()
    };
    let response = fixture.read(request).expect("an answer");
    assert_eq!((response.status, response.cache_status()), (200, "MISS"));
    fixture.world.executor.run();
    fixture.check("HIT", 1, 1);
}

#[test]
fn a_stale_copy_that_the_reader_has_is_confirmed_at_the_origin_first() {
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    fixture.advance(FRESH);
    let request = Request {
        if_none_match: Some(etag(PATH, 1)),
        ..Request::default()
    };
    let response = fixture.read(request).expect("an answer");
    assert_eq!(
        (response.status, response.cache_status()),
        (304, "REVALIDATED")
    );
    assert_eq!(fixture.world.fetches_of(PATH), 2);
}

#[test]
fn a_stale_copy_that_covers_for_the_origin_has_no_304_where_the_rules_disagree() {
    let fixture = Fixture::new();
    fixture.check("MISS", 1, 1);
    fixture.advance(FRESH);
    fixture.world.store_is_unreliable.set(true);
    for _ in 0..40 {
        fixture.fault(Fault::Connect);
        let request = Request {
            if_none_match: Some(etag(PATH, 2)),
            ..Request::default()
        };
        let response = fixture.read(request).expect("an answer");
        assert_eq!((response.status, response.cache_status()), (200, "STALE"));
        assert_eq!(response.body, Ok(content(PATH, 1)));
    }
}
