//! A world with one object, and an engine over it.

use super::simulation::traits::UnderWay;
use super::simulation::world::{Fault, World, content, etag};
use super::simulation::{RULE, Request, Response, SimEngine, engine, read};
use edge_worker::engine::lock::{LOCK_AGE_MILLISECONDS, Permit, Turn};
use edge_worker::policy::freshness::FreshnessRule;
use edge_worker::policy::headers::text;
use edge_worker::policy::origin_error::OriginError;
use edge_worker::policy::time::UnixMillis;
use http::header::ETAG;
use std::cell::RefCell;
use std::rc::Rc;

/// The error of a read of an object that the bucket does not have.
pub(crate) const MISSING: OriginError = OriginError::Missing {
    status: 404,
    remembered: None,
};

pub(crate) const PATH: &str = "/a.png";
pub(crate) const FRESH: u64 = RULE.fresh_seconds * 1_000;
pub(crate) const STALE: u64 = RULE.stale_seconds * 1_000;

/// A reader's result, once there is one.
pub(crate) type Slot = Rc<RefCell<Option<Result<Response, OriginError>>>>;

/// A world with version 1 of one object, and an engine over it.
pub(crate) struct Fixture {
    pub(crate) world: World,
    pub(crate) engine: SimEngine,
}

impl Fixture {
    pub(crate) fn new() -> Self {
        Self::with_rule(RULE)
    }

    pub(crate) fn with_rule(rule: FreshnessRule) -> Self {
        Self::with_seed(1, rule)
    }

    pub(crate) fn with_seed(seed: u64, rule: FreshnessRule) -> Self {
        let world = World::new(seed);
        world.store_is_unreliable.set(false);
        world.set_version(PATH, Some(1));
        let engine = engine(&world, rule);
        Self { world, engine }
    }

    pub(crate) fn start(&self, request: Request) -> Slot {
        self.start_at(PATH, request)
    }

    pub(crate) fn start_at(&self, path: &str, request: Request) -> Slot {
        let slot = Slot::default();
        let (engine, target, path) = (self.engine.clone(), slot.clone(), path.to_owned());
        self.world.executor.spawn(async move {
            let result = read(&engine, &path, &request).await;
            *target.borrow_mut() = Some(result);
        });
        slot
    }

    #[track_caller]
    pub(crate) fn read(&self, request: Request) -> Result<Response, OriginError> {
        let slot = self.start(request);
        self.world.executor.run();
        slot.take().expect("answered")
    }

    /// Reads within a second of simulated time.
    #[track_caller]
    pub(crate) fn read_now(&self) -> Response {
        let slot = self.start(Request::default());
        self.advance(1_000);
        slot.take().expect("answered").expect("an answer")
    }

    /// Starts a purge.
    pub(crate) fn purge(&self) {
        let engine = self.engine.clone();
        self.world.executor.spawn(async move {
            UnderWay::purge(&engine, PATH).await;
        });
    }

    /// Takes the lock, as a fill that never ends.
    #[track_caller]
    pub(crate) fn take_lock(&self) -> Permit {
        let now = UnixMillis(self.world.executor.now());
        match self.engine.locks.turn(PATH, now, now) {
            Turn::Fill(permit) => permit,
            other => panic!("the key is not free: {other:?}"),
        }
    }

    pub(crate) fn advance(&self, milliseconds: u64) {
        let executor = &self.world.executor;
        executor.run_until(executor.now() + milliseconds);
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.world.faults.borrow_mut().push(fault);
    }

    /// Reads the whole object and checks its cache status, its version and the number of requests to the
    /// origin.
    #[track_caller]
    pub(crate) fn check(&self, status: &str, version: u32, fetches: u32) {
        let response = self.read(Request::default()).expect("an answer");
        assert_eq!((response.status, response.cache_status()), (200, status));
        assert_eq!(
            text(&response.headers, ETAG),
            Some(etag(PATH, version).as_str())
        );
        assert_eq!(response.body, Ok(content(PATH, version)));
        assert_eq!(
            self.world.fetches_of(PATH),
            fetches,
            "requests to the origin"
        );
        self.world.executor.run();
        let later = UnixMillis(self.world.executor.now() + 2 * LOCK_AGE_MILLISECONDS);
        assert!(self.engine.locks.is_empty(later), "the lock is free");
        assert_eq!(self.world.live_bodies.get(), 0, "no body is left");
    }
}
