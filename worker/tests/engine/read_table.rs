//! The read table, a test a row: what is stored, whether a fill is under way, and what follows.

use super::simulation::world::{Fault, World, content, etag};
use super::simulation::{Ask, RULE, Sent, SimEngine, engine, read};
use edge_worker::engine::LONGEST_WAIT_MILLISECONDS;
use edge_worker::policy::freshness::FreshnessRule;
use edge_worker::policy::plan::Cause;
use std::cell::RefCell;
use std::rc::Rc;

const PATH: &str = "/a.png";
const FRESH: u64 = RULE.fresh_seconds * 1_000;
const STALE: u64 = RULE.stale_seconds * 1_000;

/// A world with version 1 of one object, and an engine in front of it.
struct Bench {
    world: World,
    engine: SimEngine,
}

impl Bench {
    /// The store of these seeds refuses nothing in the first requests.
    fn new() -> Self {
        Self::with_rule(RULE)
    }

    fn with_rule(rule: FreshnessRule) -> Self {
        let world = World::new(1);
        world.store_refuses.set(false);
        world.set_version(PATH, Some(1));
        let engine = engine(&world, rule);
        Self { world, engine }
    }

    fn start(&self, ask: Ask) -> Rc<RefCell<Option<Result<Sent, Cause>>>> {
        let slot = Rc::new(RefCell::new(None));
        let (engine, target) = (self.engine.clone(), slot.clone());
        self.world.executor.spawn(async move {
            let result = read(&engine, PATH, &ask).await;
            *target.borrow_mut() = Some(result);
        });
        slot
    }

    #[track_caller]
    fn read(&self, ask: Ask) -> Result<Sent, Cause> {
        let slot = self.start(ask);
        self.world.executor.run();
        slot.take().expect("the reader has an answer")
    }

    /// Reads for a second of simulated time at most.
    #[track_caller]
    fn read_now(&self) -> Sent {
        let slot = self.start(Ask::default());
        self.pass(1_000);
        slot.take().expect("answered").expect("an answer")
    }

    fn pass(&self, milliseconds: u64) {
        let executor = &self.world.executor;
        executor.run_until(executor.now() + milliseconds);
    }

    fn fault(&self, fault: Fault) {
        self.world.faults.borrow_mut().push(fault);
    }

    /// Reads the whole object and checks status, version and requests to the origin so far.
    #[track_caller]
    fn check(&self, word: &str, version: u32, fetches: u32) {
        let sent = self.read(Ask::default()).expect("an answer");
        assert_eq!((sent.status, sent.cache_status()), (200, word));
        assert_eq!(sent.fields.get("etag"), Some(etag(PATH, version).as_str()));
        assert_eq!(sent.body, Ok(content(PATH, version)));
        assert_eq!(
            self.world.fetches_of(PATH),
            fetches,
            "requests to the origin"
        );
        assert!(self.engine.fills.is_empty(), "the lock is free again");
        assert_eq!(self.world.live_bodies.get(), 0, "no body is left open");
    }
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
    let now = bench.world.executor.now();
    let lock = bench.engine.fills.take(PATH, now).expect("free");
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
fn stale_is_served_for_every_fault_of_the_origin() {
    let faults = [
        Fault::Connect,
        Fault::Timeout,
        Fault::Status(500),
        Fault::Status(502),
        Fault::Status(503),
        Fault::Status(504),
        Fault::Status(429),
        Fault::CapExceeded,
    ];
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(FRESH);
    let mut fetches = 1;
    for fault in faults {
        bench.fault(fault);
        fetches += 1;
        bench.check("STALE", 1, fetches);
    }
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
    assert_eq!(
        bench.world.stored.borrow().len(),
        1,
        "nothing is left beside it"
    );
}

#[test]
fn stale_is_served_after_five_seconds_where_the_origin_takes_its_time() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(FRESH);
    bench.world.set_version(PATH, Some(2));
    bench.fault(Fault::Slow(60_000 - 1));
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
fn stale_is_served_to_the_end_of_its_window_and_not_after() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(FRESH + STALE - 10_000);
    bench.fault(Fault::Connect);
    bench.check("STALE", 1, 2);
    bench.pass(10_000);
    bench.fault(Fault::Connect);
    assert_eq!(bench.read(Ask::default()).err(), Some(Cause::Connect));
}

#[test]
fn stale_and_gone_is_deleted() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(FRESH);
    bench.world.set_version(PATH, None);
    let sent = bench.read(Ask::default()).expect("the origin's 404");
    assert_eq!((sent.status, sent.cache_status()), (404, ""));
    assert!(bench.world.stored.borrow().is_empty());
}

#[test]
fn stale_while_another_fetches_is_served_at_once() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    bench.pass(FRESH);
    let now = bench.world.executor.now();
    let lock = bench.engine.fills.take(PATH, now).expect("free");
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
fn errors_are_passed_on_and_not_stored() {
    for status in [403, 500, 503] {
        let bench = Bench::new();
        bench.fault(if status == 403 {
            Fault::CapExceeded
        } else {
            Fault::Status(status)
        });
        let sent = bench.read(Ask::default()).expect("the origin's answer");
        assert_eq!((sent.status, sent.cache_status()), (status, ""));
        assert!(bench.world.stored.borrow().is_empty());
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
fn a_purge_drops_the_copy_and_says_whether_there_was_one() {
    let bench = Bench::new();
    bench.check("MISS", 1, 1);
    let purge = || {
        let outcome = Rc::new(RefCell::new(None));
        let (engine, target) = (bench.engine.clone(), outcome.clone());
        bench.world.executor.spawn(async move {
            let was_there = engine.purge(PATH).await;
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
    let engine = bench.engine.clone();
    bench.world.executor.spawn(async move {
        engine.purge(PATH).await;
    });
    bench.pass(50);
    bench.check("MISS", 2, 2);
    bench.check("MISS", 2, 3);
    bench.check("HIT", 2, 3);
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
        assert_eq!(sent.fields.get("content-range"), Some(part.as_str()));
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
        assert_eq!(sent.fields.get("content-range"), Some(length.as_str()));
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
            assert_eq!(bench.read(Ask::default()).expect("a 404").status, 404);
        }
    }
    assert_eq!(forgetful.world.fetches_of(PATH), 2);
    assert_eq!(mindful.world.fetches_of(PATH), 1);
    mindful.pass(10_000);
    mindful.world.set_version(PATH, Some(1));
    mindful.check("MISS", 1, 2);
}
