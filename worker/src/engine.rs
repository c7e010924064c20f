//! A read in engine mode: nginx's cache rules over four small traits.
//!
//! [`Engine::read`] is the whole way of a read, in the order in which things happen; the modules below
//! have its steps. The same code runs in the worker (over the Cache API, `fetch` and the runtime's timers)
//! and natively in tests (over a simulated store, origin and clock). [`crate::policy`] decides what may be
//! served and stored; `respond.rs` makes the response.
//!
//! **Architecture Invariant:** no request awaits what another request has started, nor reads from
//! its stream: the runtime forbids both. Requests share the store and the plain data of [`lock`] and
//! [`purges`], and nothing else.

pub mod traits;

mod look_up;

pub mod lock;

mod answer;
mod fill;

pub mod purges;

use crate::admission::ObjectKey;
use crate::policy::freshness::FreshnessRule;
use crate::policy::origin_error::OriginError;
use crate::policy::record::Record;
use crate::policy::status::CacheStatus;
use crate::policy::time::UnixMillis;
use fill::Refreshed;
use futures_util::future::{Either, select};
use http::header::{
    IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, HeaderName, StatusCode};
use lock::{Ended, Locks, Permit, Turn};
use look_up::Lookup;
use purges::Purges;
use std::pin::pin;
use std::rc::Rc;
pub use traits::{Body, Found, Origin, OriginAnswer, Runtime, Store};

/// How long a reader waits for another's fill before it asks the origin itself, without storing:
/// nginx's `proxy_cache_lock_timeout`. Also how long it waits for its own refresh of a stale copy before
/// it is served the copy. In milliseconds.
pub const LONGEST_WAIT_MILLISECONDS: u64 = 5_000;

/// How long the first reader of an object waits until the object is stored, where it wants a part that
/// only the store can cut, before it asks the origin for the part. In milliseconds.
const LONGEST_WAIT_FOR_A_PART_MILLISECONDS: u64 = 1_000;

/// The first and the longest pause of a waiting reader between two queries of the lock, in milliseconds.
/// Each pause is twice as long as the one before.
const FIRST_PAUSE_MILLISECONDS: u64 = 10;
const LONGEST_PAUSE_MILLISECONDS: u64 = 100;

/// The request headers that a read depends on.
pub const READ_HEADERS: [HeaderName; 6] = [
    RANGE,
    IF_RANGE,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_MATCH,
    IF_UNMODIFIED_SINCE,
];

/// A read that was admitted.
#[derive(Clone, Debug)]
pub struct Read {
    pub key: ObjectKey,
    /// The object's name in the store, and in the tables of locks and purges.
    pub cache_key: String,
    /// HEAD: the answer has no body.
    pub head: bool,
    /// Those of the request's headers that are in [`READ_HEADERS`].
    pub headers: HeaderMap,
}

/// The answer to a read.
#[derive(Debug)]
pub enum Answer<F: Found> {
    /// A stored answer. Only its cache status and its age are still to be set.
    Stored(StoredCopy<F>, CacheStatus),
    /// A 304 made from a stored answer, without the headers that describe a body.
    NotModified(StoredCopy<F>, CacheStatus),
    /// An answer that is not taken from the store. Its headers are final.
    FromParts {
        status: StatusCode,
        headers: HeaderMap,
        body: Option<F::Body>,
    },
}

/// A stored answer and its record.
#[derive(Debug)]
pub struct StoredCopy<F> {
    pub found: F,
    pub record: Record,
}

/// The engine of one request. A clone shares everything with the original.
#[derive(Clone, Debug)]
pub struct Engine<S, O, R> {
    /// Where answers are kept.
    pub store: S,
    /// Where objects come from.
    pub origin: O,
    /// Time and background work.
    pub runtime: R,
    /// The fills that run in this isolate.
    pub locks: Locks,
    /// The last purges of this isolate.
    pub purges: Purges,
    /// How long answers are kept.
    pub rule: FreshnessRule,
}

impl<S, O, R> Engine<S, O, R>
where
    S: Store,
    O: Origin<Body = S::Body>,
    R: Runtime,
{
    /// Answers a read. `Err` only where neither the store nor the origin has the object.
    pub async fn read(&self, read: &Rc<Read>) -> Result<Answer<S::Found>, OriginError> {
        let end = self.runtime.now().plus_millis(LONGEST_WAIT_MILLISECONDS);
        let mut fills_waited_for = 0;
        loop {
            let looked_up_at = self.runtime.now();
            let lookup = self.look_up(read).await;
            let turn = || {
                let now = self.runtime.now();
                self.locks.turn(&read.cache_key, looked_up_at, now)
            };
            match lookup {
                Lookup::Fresh(copy) => {
                    return self.serve_stored(read, copy, CacheStatus::Hit).await;
                }
                Lookup::Stale(copy) => match turn() {
                    Turn::Fill(permit) => return self.refresh_and_serve(read, permit, copy).await,
                    Turn::LookUpAgain => continue,
                    Turn::Wait | Turn::Bypass => {
                        return self.serve_stored(read, copy, CacheStatus::Updating).await;
                    }
                },
                // One body may have broken off: the store says nothing of it. Two, and it is the store that
                // loses what it is given: the next fill would be lost as well.
                Lookup::Absent if fills_waited_for > 1 => return self.pass_through(read).await,
                Lookup::Absent => match turn() {
                    Turn::Fill(permit) => return self.fill_and_serve(read, permit).await,
                    Turn::LookUpAgain => continue,
                    Turn::Bypass => return self.pass_through(read).await,
                    Turn::Wait => {}
                },
            }
            match self.wait(&read.cache_key, looked_up_at, end).await {
                Some(Ended::Stored) => fills_waited_for += 1,
                Some(Ended::Abandoned) => {}
                Some(Ended::Failed(error)) => return Err(error),
                Some(Ended::Uncacheable) | None => return self.pass_through(read).await,
            }
        }
    }

    /// Nothing is stored, and this reader has the permit: it is served while the object is stored.
    async fn fill_and_serve(
        &self,
        read: &Rc<Read>,
        permit: Permit,
    ) -> Result<Answer<S::Found>, OriginError> {
        let began = self.runtime.now();
        let filled = self.start_fill(permit, read).await;
        // Without a result the runtime has ended the fill.
        let fetched = filled.unwrap_or(Err(OriginError::Connect))?;
        if fetched.body.is_none() && read.wants_stored_part(fetched.status, &fetched.headers) {
            let now = self.runtime.now();
            let end = now.plus_millis(LONGEST_WAIT_FOR_A_PART_MILLISECONDS);
            self.wait(&read.cache_key, began, end).await;
            return match self.look_up(read).await {
                Lookup::Fresh(copy) => self.serve_stored(read, copy, CacheStatus::Miss).await,
                Lookup::Stale(_) | Lookup::Absent => self.pass_through(read).await,
            };
        }
        Ok(self.serve_fetched(read, fetched, CacheStatus::Miss))
    }

    /// A stale copy is stored, and this reader has the permit: the origin is asked whether it still holds.
    async fn refresh_and_serve(
        &self,
        read: &Rc<Read>,
        permit: Permit,
        copy: StoredCopy<S::Found>,
    ) -> Result<Answer<S::Found>, OriginError> {
        let refresh = self.start_refresh(permit, read, &copy);
        // The reader is given the copy while it may still be served. The refresh goes on for later readers.
        let stale_until = copy.record.stale_until.0;
        let left = stale_until.saturating_sub(self.runtime.now().0 + 1);
        let timeout = self.runtime.sleep(LONGEST_WAIT_MILLISECONDS.min(left));
        let refreshed = match select(refresh, pin!(timeout)).await {
            Either::Left((Ok(refreshed), _)) => refreshed,
            Either::Left((Err(_), _)) | Either::Right(_) => Refreshed::NoAnswer,
        };
        match refreshed {
            Refreshed::Replaced(record) => match self.look_up(read).await {
                Lookup::Fresh(found) | Lookup::Stale(found) => {
                    // The store may have kept the old copy.
                    let cache_status = match found.record == record {
                        true => CacheStatus::Expired,
                        false => CacheStatus::Stale,
                    };
                    self.serve_stored(read, found, cache_status).await
                }
                Lookup::Absent => self.pass_through(read).await,
            },
            Refreshed::Revalidated(record) => {
                let copy = StoredCopy { record, ..copy };
                let cache_status = CacheStatus::Revalidated;
                self.serve_stored(read, copy, cache_status).await
            }
            Refreshed::PassedThrough(fetched) => {
                Ok(self.serve_fetched(read, fetched, CacheStatus::Expired))
            }
            Refreshed::NoAnswer => self.serve_stored(read, copy, CacheStatus::Stale).await,
            Refreshed::Failed(error) => Err(error),
        }
    }

    /// Waits until the fill of `cache_key` has ended, and returns how; `None` where it has not by `end`.
    async fn wait(&self, cache_key: &str, since: UnixMillis, end: UnixMillis) -> Option<Ended> {
        let mut pause = FIRST_PAUSE_MILLISECONDS;
        loop {
            let now = self.runtime.now();
            if let Some(ended) = self.locks.ended_since(cache_key, since, now) {
                return Some(ended);
            }
            if now >= end {
                return None;
            }
            self.runtime.sleep(pause.min(end.0 - now.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE_MILLISECONDS);
        }
    }
}
