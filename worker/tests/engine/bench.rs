//! A world with one object and an engine in front of it, for tests of one question each.

use super::simulation::outside::UnderWay;
use super::simulation::world::{Fault, World, content, etag};
use super::simulation::{Ask, RULE, Sent, SimEngine, engine, read};
use edge_worker::engine::lock::{LOCK_AGE_MILLISECONDS, Permit, Turn};
use edge_worker::policy::freshness::FreshnessRule;
use edge_worker::policy::headers::text;
use edge_worker::policy::origin_error::OriginError;
use edge_worker::policy::time::UnixMillis;
use http::header::ETAG;
use std::cell::RefCell;
use std::rc::Rc;

/// What a reader gets of an object that the bucket does not have.
pub(crate) const MISSING: OriginError = OriginError::Missing {
    status: 404,
    remembered: None,
};

pub(crate) const PATH: &str = "/a.png";
pub(crate) const FRESH: u64 = RULE.fresh_seconds * 1_000;
pub(crate) const STALE: u64 = RULE.stale_seconds * 1_000;

/// Where a reader's answer comes to lie.
pub(crate) type Slot = Rc<RefCell<Option<Result<Sent, OriginError>>>>;

/// A world with version 1 of one object, and an engine in front of it.
pub(crate) struct Bench {
    pub(crate) world: World,
    pub(crate) engine: SimEngine,
}

impl Bench {
    /// The store of these seeds refuses nothing in the first requests.
    pub(crate) fn new() -> Self {
        Self::with_rule(RULE)
    }

    pub(crate) fn with_rule(rule: FreshnessRule) -> Self {
        Self::with_seed(1, rule)
    }

    pub(crate) fn with_seed(seed: u64, rule: FreshnessRule) -> Self {
        let world = World::new(seed);
        world.store_refuses.set(false);
        world.set_version(PATH, Some(1));
        let engine = engine(&world, rule);
        Self { world, engine }
    }

    pub(crate) fn start(&self, ask: Ask) -> Slot {
        self.start_at(PATH, ask)
    }

    pub(crate) fn start_at(&self, path: &str, ask: Ask) -> Slot {
        let slot = Slot::default();
        let (engine, target, path) = (self.engine.clone(), slot.clone(), path.to_owned());
        self.world.executor.spawn(async move {
            let result = read(&engine, &path, &ask).await;
            *target.borrow_mut() = Some(result);
        });
        slot
    }

    #[track_caller]
    pub(crate) fn read(&self, ask: Ask) -> Result<Sent, OriginError> {
        let slot = self.start(ask);
        self.world.executor.run();
        slot.take().expect("the reader has an answer")
    }

    /// Reads for a second of simulated time at most.
    #[track_caller]
    pub(crate) fn read_now(&self) -> Sent {
        let slot = self.start(Ask::default());
        self.pass(1_000);
        slot.take().expect("answered").expect("an answer")
    }

    /// Begins a purge.
    pub(crate) fn purge(&self) {
        let engine = self.engine.clone();
        self.world.executor.spawn(async move {
            UnderWay::purge(&engine, PATH).await;
        });
    }

    /// Takes the lock, as a fill that runs for ever.
    #[track_caller]
    pub(crate) fn take_lock(&self) -> Permit {
        let now = UnixMillis(self.world.executor.now());
        match self.engine.locks.turn(PATH, now, now) {
            Turn::Fill(permit) => permit,
            other => panic!("the key is not free: {other:?}"),
        }
    }

    pub(crate) fn pass(&self, milliseconds: u64) {
        let executor = &self.world.executor;
        executor.run_until(executor.now() + milliseconds);
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.world.faults.borrow_mut().push(fault);
    }

    /// Reads the whole object and checks status, version and requests to the origin so far.
    #[track_caller]
    pub(crate) fn check(&self, word: &str, version: u32, fetches: u32) {
        let sent = self.read(Ask::default()).expect("an answer");
        assert_eq!((sent.status, sent.cache_status()), (200, word));
        assert_eq!(
            text(&sent.headers, ETAG),
            Some(etag(PATH, version).as_str())
        );
        assert_eq!(sent.body, Ok(content(PATH, version)));
        assert_eq!(
            self.world.fetches_of(PATH),
            fetches,
            "requests to the origin"
        );
        self.world.executor.run();
        let later = UnixMillis(self.world.executor.now() + 2 * LOCK_AGE_MILLISECONDS);
        assert!(self.engine.locks.is_empty(later), "the lock is free again");
        assert_eq!(self.world.live_bodies.get(), 0, "no body is left open");
    }
}
