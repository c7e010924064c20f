//! The read path of engine mode: nginx's cache rules over three small traits.
//!
//! The same code runs in the worker (over the Cache API, `fetch` and the runtime's timers) and
//! natively in tests (over a simulated store, origin and clock). What may be served and stored is
//! decided in [`crate::policy`]; how an answer becomes a response is `respond.rs`'s.
//!
//! **Architecture Invariant:** no request awaits what another request has started, nor reads from
//! its stream: the runtime forbids both. Requests meet in [`fills`] and in the store only.

pub mod fills;
pub mod outside;
mod shape;

use crate::admission::ObjectKey;
use crate::policy::conditional::{self, Conditions, Validators};
use crate::policy::entry::Entry;
use crate::policy::fields::Fields;
use crate::policy::freshness::FreshnessRule;
use crate::policy::headers;
use crate::policy::plan::{self, Cause, Lookup, Outcome};
use crate::policy::status::CacheStatus;
use crate::policy::time::UnixMillis;
use fills::{FillLock, Fills};
use futures_channel::oneshot;
pub use outside::{Body, Found, NotStored, Origin, OriginAnswer, Runtime, Store};
use shape::{Shape, is_part_of, range_header, shape, shape_made};

/// How long a reader waits for another's fill before it asks the bucket itself, without storing:
/// nginx's `proxy_cache_lock_timeout`.
pub const LONGEST_WAIT_MILLISECONDS: u64 = 5_000;

const FIRST_WAIT_STEP_MILLISECONDS: u64 = 10;
const LONGEST_WAIT_STEP_MILLISECONDS: u64 = 100;

/// A read that was admitted.
#[derive(Clone, Copy, Debug)]
pub struct Read<'a> {
    /// Which object.
    pub key: &'a ObjectKey,
    /// Its name in the store.
    pub path: &'a str,
    /// The reader's `Range`.
    pub range: Option<&'a str>,
    /// The reader's `If-Range`.
    pub if_range: Option<&'a str>,
    /// The reader's other conditions.
    pub conditions: Conditions<'a>,
}

/// What a reader is to be sent.
#[derive(Debug)]
pub enum Answer<F, B> {
    /// A stored answer, just as it is but for its cache status.
    Stored(F, CacheStatus),
    /// An answer made here or at the origin. Its fields are final.
    Made {
        /// The status.
        status: u16,
        /// The header fields.
        fields: Fields,
        /// The body, if any.
        body: Option<B>,
    },
}

/// The engine of one request. Everything in it is a handle.
#[derive(Clone, Debug)]
pub struct Engine<S, O, R> {
    /// Where answers are kept.
    pub store: S,
    /// Where objects come from.
    pub origin: O,
    /// Time and background work.
    pub runtime: R,
    /// The fills under way in this isolate.
    pub fills: Fills,
    /// How long answers are kept.
    pub rule: FreshnessRule,
}

/// How a fill has ended, as far as the reader who started it is concerned.
enum Filled<B> {
    /// The origin's answer is the reader's.
    Fetched {
        status: u16,
        fields: Fields,
        body: Option<B>,
        cache: CacheStatus,
    },
    /// The origin's answer has taken the place of the stale copy and can be read from the store.
    Replaced,
    /// The stale copy holds.
    Confirmed,
    /// The stale copy must do.
    UseStale,
    /// There is nothing to serve.
    Failed(Cause),
}

impl<S, O, R> Engine<S, O, R>
where
    S: Store,
    O: Origin<Body = S::Body>,
    R: Runtime,
{
    /// Answers a read. `Err` only where neither origin nor store has an answer.
    pub async fn read(&self, read: Read<'_>) -> Result<Answer<S::Found, S::Body>, Cause> {
        if self.fills.is_poisoned(read.path, self.runtime.now().0) {
            return self.pass_through(read).await;
        }
        match self.look_settled(read).await {
            Looked::Fresh(found) => Ok(self.serve(read, found, CacheStatus::Hit).await),
            Looked::Stale(found) => match self.fills.take(read.path, self.runtime.now().0) {
                Some(lock) => {
                    drop(found);
                    self.fill_and_serve(read, lock).await
                }
                None => Ok(self.serve(read, found, CacheStatus::Updating).await),
            },
            Looked::Absent => self.fill_or_wait(read).await,
        }
    }

    /// Drops the stored answer. True where there was one. When this returns, no later read is
    /// given what was stored before, nor what a fill that is still under way will have stored.
    pub async fn purge(&self, path: &str) -> bool {
        self.fills.purge(path, self.runtime.now().0);
        self.store.delete(path).await
    }

    /// Nothing is stored: becomes the one who fills, or waits for the one who does.
    async fn fill_or_wait(&self, read: Read<'_>) -> Result<Answer<S::Found, S::Body>, Cause> {
        let end = self.runtime.now().0 + LONGEST_WAIT_MILLISECONDS;
        let mut step = FIRST_WAIT_STEP_MILLISECONDS;
        loop {
            let now = self.runtime.now().0;
            if let Some(lock) = self.fills.take(read.path, now) {
                return self.fill_and_serve(read, lock).await;
            }
            if now >= end || self.fills.is_poisoned(read.path, now) {
                return self.pass_through(read).await;
            }
            self.runtime.sleep(step.min(end - now)).await;
            step = (step * 2).min(LONGEST_WAIT_STEP_MILLISECONDS);
            // While the fill is under way the table says so without a look into the store.
            if self.fills.is_filling(read.path, self.runtime.now().0) {
                continue;
            }
            if let Looked::Fresh(found) = self.look_settled(read).await {
                return Ok(self.serve(read, found, CacheStatus::Hit).await);
            }
        }
    }

    /// Holding the lock: looks once more, for the last holder may have stored just now; then has
    /// the object fetched in the background, so that it is stored even if this reader goes away.
    async fn fill_and_serve(
        &self,
        read: Read<'_>,
        lock: FillLock,
    ) -> Result<Answer<S::Found, S::Body>, Cause> {
        let stale = match self.look(read).await {
            Looked::Fresh(found) => {
                drop(lock);
                return Ok(self.serve(read, found, CacheStatus::Hit).await);
            }
            Looked::Stale(found) => Some(found),
            Looked::Absent => None,
        };
        let known = stale.as_ref().and_then(|found| {
            Some(Known {
                entry: found.entry()?,
                fields: found.fields(),
            })
        });
        let (sender, receiver) = oneshot::channel();
        let fill = self
            .clone()
            .fill(lock, read.key.clone(), read.path.to_owned(), known, sender);
        self.runtime.spawn(fill);
        let filled = receiver.await.unwrap_or(Filled::Failed(Cause::Connect));
        match (filled, stale) {
            (
                Filled::Fetched {
                    status,
                    fields,
                    body,
                    cache,
                },
                _,
            ) => Ok(shape_made(
                read,
                status,
                fields,
                body,
                cache,
                self.runtime.now(),
            )),
            (Filled::Replaced, _) => match self.look(read).await {
                Looked::Fresh(found) | Looked::Stale(found) => {
                    Ok(self.serve(read, found, CacheStatus::Expired).await)
                }
                Looked::Absent => self.pass_through(read).await,
            },
            (Filled::Confirmed, Some(found)) => {
                Ok(self.serve(read, found, CacheStatus::Revalidated).await)
            }
            (Filled::UseStale, Some(found)) => {
                Ok(self.serve(read, found, CacheStatus::Stale).await)
            }
            (Filled::Confirmed | Filled::UseStale, None) => Err(Cause::Connect),
            (Filled::Failed(cause), _) => Err(cause),
        }
    }

    /// One fetch and what follows from it. Runs in the background; holds the lock to its end.
    async fn fill(
        self,
        lock: FillLock,
        key: ObjectKey,
        path: String,
        known: Option<Known>,
        reader: oneshot::Sender<Filled<S::Body>>,
    ) {
        let conditions = known
            .as_ref()
            .map(|known| conditional::revalidation(&Validators::of(&known.fields)));
        let entry = known.as_ref().map(|known| &known.entry);
        let mut answer = self
            .origin
            .fetch(&key, &conditions.unwrap_or_default())
            .await;
        let gone = entry.is_some_and(|entry| self.runtime.now() >= entry.stale_until);
        if gone && answer.as_ref().is_ok_and(|answer| answer.status == 304) {
            // The copy it confirms has passed its window meanwhile.
            answer = self.origin.fetch(&key, &[]).await;
        }
        let mut answer = match answer {
            Ok(answer) => answer,
            Err(cause) => {
                let covered = plan::after_failure(cause, entry, self.runtime.now()).is_some();
                if covered {
                    self.runtime.note_covered(&path, cause);
                }
                _ = reader.send(if covered {
                    Filled::UseStale
                } else {
                    Filled::Failed(cause)
                });
                return;
            }
        };
        let mut start = Vec::new();
        if plan::needs_error_body(answer.status, entry)
            && let Some(body) = answer.body.take()
        {
            let (bytes, body) = body.peek(plan::ERROR_BODY_LIMIT).await;
            start = bytes;
            answer.body = Some(body);
        }
        let now = self.runtime.now();
        let cache = if known.is_some() {
            CacheStatus::Expired
        } else {
            CacheStatus::Miss
        };
        let OriginAnswer {
            status,
            fields,
            body,
        } = answer;
        let to_client = || headers::for_client(status, &fields, cache, now);
        match plan::after_response(status, &fields, &start, entry, &self.rule, now) {
            Outcome::Store(entry) if known.is_some() => {
                // There is a copy to fall back on: the new one must be whole before it is served.
                let to_store = headers::for_store(&fields, &entry, now);
                let stored = self.put(&lock, &path, status, to_store, body).await;
                _ = reader.send(if stored {
                    Filled::Replaced
                } else {
                    Filled::UseStale
                });
            }
            Outcome::Store(entry) => {
                let (for_reader, for_store) = body.map(Body::split).unzip();
                _ = reader.send(Filled::Fetched {
                    status,
                    fields: to_client(),
                    body: for_reader,
                    cache,
                });
                let to_store = headers::for_store(&fields, &entry, now);
                self.put(&lock, &path, status, to_store, for_store).await;
            }
            Outcome::Freshen(entry) => {
                _ = reader.send(Filled::Confirmed);
                drop(body);
                self.freshen(&lock, &path, entry, known.as_ref(), now).await;
            }
            Outcome::ServeStale(cause) => {
                self.runtime.note_covered(&path, cause);
                _ = reader.send(Filled::UseStale);
            }
            Outcome::DeleteAndPass => {
                self.store.delete(&path).await;
                _ = reader.send(Filled::Fetched {
                    status,
                    fields: to_client(),
                    body,
                    cache,
                });
            }
            Outcome::Pass(_) => {
                _ = reader.send(Filled::Fetched {
                    status,
                    fields: to_client(),
                    body,
                    cache,
                })
            }
        }
    }

    /// Stores an answer, unless a purge has overtaken this fill; then takes it back out.
    async fn put(
        &self,
        lock: &FillLock,
        path: &str,
        status: u16,
        fields: Fields,
        body: Option<S::Body>,
    ) -> bool {
        if !lock.is_still_valid() {
            return false;
        }
        let stored = self.store.put(path, status, fields, body).await;
        if stored.is_err() {
            self.fills.count_failure();
        }
        stored.is_ok() && self.keep(lock, path).await
    }

    /// Gives the stored copy a new record, if it is still the one that the origin has confirmed.
    async fn freshen(
        &self,
        lock: &FillLock,
        path: &str,
        entry: Entry,
        known: Option<&Known>,
        now: UnixMillis,
    ) {
        let Some(found) = self.store.find(path, None).await else {
            return;
        };
        let fields = found.fields();
        let same =
            known.is_some_and(|known| Validators::of(&known.fields) == Validators::of(&fields));
        if !same || !lock.is_still_valid() {
            return;
        }
        let fields = headers::for_store(&fields, &entry, now);
        match self.store.restate(path, found, fields).await {
            Ok(()) => _ = self.keep(lock, path).await,
            Err(NotStored) => self.fills.count_failure(),
        }
    }

    /// After a write: whether it may stay. A purge during the write takes it out again.
    async fn keep(&self, lock: &FillLock, path: &str) -> bool {
        let valid = lock.is_still_valid();
        if !valid {
            self.store.delete(path).await;
        }
        valid
    }

    /// Asks the origin without touching the store.
    async fn pass_through(&self, read: Read<'_>) -> Result<Answer<S::Found, S::Body>, Cause> {
        let answer = self.origin.fetch(read.key, &[]).await?;
        let (cache, now) = (CacheStatus::Miss, self.runtime.now());
        let fields = headers::for_client(answer.status, &answer.fields, cache, now);
        Ok(shape_made(
            read,
            answer.status,
            fields,
            answer.body,
            cache,
            now,
        ))
    }

    /// As [`Self::look`], but without a fresh copy that a fill may still take back, or has just taken
    /// back, because it was not whole: there, nothing is stored yet.
    async fn look_settled(&self, read: Read<'_>) -> Looked<S::Found> {
        let is_filling = || self.fills.is_filling(read.path, self.runtime.now().0);
        let (was_filling, failures) = (is_filling(), self.fills.failures());
        match self.look(read).await {
            Looked::Fresh(_)
                if was_filling || is_filling() || self.fills.failures() != failures =>
            {
                Looked::Absent
            }
            looked => looked,
        }
    }

    /// What the store has for this reader: the part he wants, where the store alone can tell it.
    async fn look(&self, read: Read<'_>) -> Looked<S::Found> {
        let part = read.plain_part();
        let mut found = self.store.find(read.path, part).await;
        // A store's own "not satisfiable", in whatever form, says nothing of the copy it is about.
        if part.is_some() && found.as_ref().and_then(Found::entry).is_none() {
            found = self.store.find(read.path, None).await;
        }
        let Some(found) = found else {
            return Looked::Absent;
        };
        match plan::lookup(found.entry().as_ref(), self.runtime.now()) {
            Lookup::Fresh => Looked::Fresh(found),
            Lookup::Stale => Looked::Stale(found),
            Lookup::Absent => Looked::Absent,
        }
    }

    /// Makes a stored answer what the reader asked for.
    async fn serve(
        &self,
        read: Read<'_>,
        found: S::Found,
        cache: CacheStatus,
    ) -> Answer<S::Found, S::Body> {
        if found.status() != 200 || read.is_plain() {
            return Answer::Stored(found, cache);
        }
        let fields = found.fields();
        let (range, length) = match shape(read, &fields) {
            Shape::Whole => return Answer::Stored(found, cache),
            Shape::Part(range, length) => (range, length),
            Shape::NotModified => {
                let mut fields = headers::for_not_modified(&fields);
                fields.set(headers::CACHE_STATUS, cache.as_str());
                return Answer::Made {
                    status: 304,
                    fields,
                    body: None,
                };
            }
            Shape::PreconditionFailed => {
                return Answer::Made {
                    status: 412,
                    fields: Fields::new(),
                    body: None,
                };
            }
            Shape::Unsatisfiable(length) => {
                let fields = headers::for_unsatisfiable(length, cache, self.runtime.now());
                return Answer::Made {
                    status: 416,
                    fields,
                    body: None,
                };
            }
        };
        let asked = range_header(range);
        match self.store.find(read.path, Some(&asked)).await {
            Some(part)
                if part.status() == 206 && is_part_of(&part.fields(), &fields, range, length) =>
            {
                Answer::Stored(part, cache)
            }
            // It changed in between, or the store cannot cut it: the whole is always a right answer.
            _ => Answer::Stored(found, cache),
        }
    }
}

/// What a look into the store has shown.
enum Looked<F> {
    Fresh(F),
    Stale(F),
    Absent,
}

/// What a fill knows of the stale copy.
struct Known {
    entry: Entry,
    fields: Fields,
}

impl<'a> Read<'a> {
    /// No condition and no range.
    fn is_plain(&self) -> bool {
        self.range.is_none() && self.conditions == Conditions::default()
    }

    /// The range, where no condition stands beside it and it is a single one: then the store can
    /// be asked for the part at once.
    fn plain_part(&self) -> Option<&'a str> {
        let range = self
            .range
            .filter(|range| range.starts_with("bytes=") && !range.contains(','))?;
        (self.if_range.is_none() && self.conditions == Conditions::default()).then_some(range)
    }
}
