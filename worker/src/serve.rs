//! The way of a read in engine mode, from the admitted request to the response, in the order in which
//! things happen. The single steps are [`crate::engine`]'s; platform mode is [`crate::platform`]'s.

use crate::engine::lock::{Ended, Permit, Turn};
use crate::engine::{
    Answer, Engine, Lookup, Origin, Read, Runtime, Store, StoredCopy, fill::Filled,
};
use crate::origin::Bucket;
use crate::policy::origin_error::OriginError;
use crate::policy::status::CacheStatus;
use crate::policy::time::UnixMillis;
use crate::respond;
use crate::runtime::{self, RequestRuntime};
use crate::site::Site;
use crate::store::EdgeCache;
use futures_util::future::{Either, select};
use std::pin::pin;
use std::rc::Rc;
use worker::Context;
use worker::web_sys::Response;

/// How long a reader waits for another's fill before asking the bucket alone, without storing:
/// nginx's `proxy_cache_lock_timeout`. And how long for its own where a stale copy stands ready. In
/// milliseconds.
pub const LONGEST_WAIT_MILLISECONDS: u64 = 5_000;

/// How long the first reader of an object waits for the end of the storing, where it wants a part
/// that only the store can cut, before it asks the bucket for the part. In milliseconds.
const LONGEST_WAIT_FOR_A_PART_MILLISECONDS: u64 = 1_000;

/// The pauses between a waiter's looks at the table of locks, in milliseconds.
const FIRST_PAUSE_MILLISECONDS: u64 = 10;
const LONGEST_PAUSE_MILLISECONDS: u64 = 100;

/// Answers a read that was admitted.
pub async fn respond(site: &Site, context: Rc<Context>, read: Read) -> Response {
    let read = Rc::new(read);
    let began = runtime::now();
    let answer = engine(site, context).read(&read).await;
    match answer {
        Ok(answer) => {
            // The look-ups beside it take a millisecond or two.
            let waited = runtime::now().0.saturating_sub(began.0);
            respond::answer(answer, read.head, waited)
        }
        Err(error) => respond::origin_error(error),
    }
}

impl<S, O, R> Engine<S, O, R>
where
    S: Store,
    O: Origin<Body = S::Body>,
    R: Runtime,
{
    /// Answers a read. `Err` only where neither store nor origin has the object.
    pub async fn read(&self, read: &Rc<Read>) -> Result<Answer<S::Found>, OriginError> {
        let end = self.runtime.now().plus_millis(LONGEST_WAIT_MILLISECONDS);
        let mut was_stored = false;
        loop {
            let looked_up_at = self.runtime.now();
            let lookup = self.look_up(read).await;
            let turn = |engine: &Self| {
                let now = engine.runtime.now();
                engine.locks.turn(&read.cache_key, looked_up_at, now)
            };
            match lookup {
                Lookup::Fresh(copy) => {
                    return self.serve_stored(read, copy, CacheStatus::Hit).await;
                }
                Lookup::Stale(copy) => match turn(self) {
                    Turn::Fill(permit) => return self.refresh_and_serve(read, permit, copy).await,
                    Turn::LookUpAgain => continue,
                    Turn::Wait | Turn::Bypass => {
                        return self.serve_stored(read, copy, CacheStatus::Updating).await;
                    }
                },
                // The store has lost what it was given: the next fill would be lost as well.
                Lookup::Absent if was_stored => return self.pass_through(read).await,
                Lookup::Absent => match turn(self) {
                    Turn::Fill(permit) => return self.fill_and_serve(read, permit).await,
                    Turn::LookUpAgain => continue,
                    Turn::Bypass => return self.pass_through(read).await,
                    Turn::Wait => {}
                },
            }
            match self.wait(&read.cache_key, looked_up_at, end).await {
                Some(Ended::Stored) => was_stored = true,
                Some(Ended::Abandoned) => {}
                Some(Ended::Failed(error)) => return Err(error),
                Some(Ended::Uncacheable) | None => return self.pass_through(read).await,
            }
        }
    }

    /// Nothing is stored, and it is this reader's turn.
    async fn fill_and_serve(
        &self,
        read: &Rc<Read>,
        permit: Permit,
    ) -> Result<Answer<S::Found>, OriginError> {
        let began = self.runtime.now();
        match self.start_fill(permit, read, None).await {
            Ok(Filled::Fetched {
                status,
                headers,
                body: None,
                ..
            }) if read.wants_late_part(status, &headers) => {
                let end = self
                    .runtime
                    .now()
                    .plus_millis(LONGEST_WAIT_FOR_A_PART_MILLISECONDS);
                self.wait(&read.cache_key, began, end).await;
                match self.look_up(read).await {
                    Lookup::Fresh(copy) => self.serve_stored(read, copy, CacheStatus::Miss).await,
                    _ => self.pass_through(read).await,
                }
            }
            Ok(Filled::Fetched {
                status,
                headers,
                body,
                cache,
            }) => Ok(self.answer_now(read, status, headers, body, cache)),
            Ok(Filled::Failed(error)) => Err(error),
            // The runtime has given the fill up.
            Ok(Filled::Replaced(_) | Filled::Confirmed(_) | Filled::Covered) | Err(_) => {
                Err(OriginError::Connect)
            }
        }
    }

    /// A stale copy is stored, and it is this reader's turn to ask the bucket about it.
    async fn refresh_and_serve(
        &self,
        read: &Rc<Read>,
        permit: Permit,
        copy: StoredCopy<S::Found>,
    ) -> Result<Answer<S::Found>, OriginError> {
        let fill = self.start_fill(permit, read, Some(&copy));
        // No longer than the copy may be served. The fill goes on for those who come later.
        let left = copy
            .entry
            .stale_until
            .0
            .saturating_sub(self.runtime.now().0 + 1);
        let patience = self.runtime.sleep(LONGEST_WAIT_MILLISECONDS.min(left));
        let filled = match select(fill, pin!(patience)).await {
            Either::Left((Ok(filled), _)) => filled,
            Either::Left((Err(_), _)) | Either::Right(_) => Filled::Covered,
        };
        match filled {
            Filled::Fetched {
                status,
                headers,
                body,
                cache,
            } => Ok(self.answer_now(read, status, headers, body, cache)),
            Filled::Replaced(entry) => match self.look_up(read).await {
                Lookup::Fresh(found) | Lookup::Stale(found) => {
                    let cache = match found.entry == entry {
                        true => CacheStatus::Expired,
                        false => CacheStatus::Stale,
                    };
                    self.serve_stored(read, found, cache).await
                }
                Lookup::Absent => self.pass_through(read).await,
            },
            Filled::Confirmed(entry) => {
                let copy = StoredCopy { entry, ..copy };
                self.serve_stored(read, copy, CacheStatus::Revalidated)
                    .await
            }
            Filled::Covered => self.serve_stored(read, copy, CacheStatus::Stale).await,
            Filled::Failed(error) => Err(error),
        }
    }

    /// Waits until the fill of `cache_key` has ended, and says how; `None` where it has not by `end`.
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

/// The engine of one request.
pub fn engine(site: &Site, context: Rc<Context>) -> Engine<EdgeCache, Bucket, RequestRuntime> {
    Engine {
        store: EdgeCache,
        origin: site.bucket.clone(),
        runtime: RequestRuntime::new(context),
        locks: site.locks.clone(),
        purges: site.purges.clone(),
        rule: site.settings.freshness,
    }
}
