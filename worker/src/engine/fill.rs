//! One fill: a fetch in the background, and what its answer does to the store.
//!
//! The first reader of an absent object is given its bytes as they come, and so is the store: the
//! runtime's `tee` reads on only when both branches do. So a first reader who is slow, or stops,
//! slows the storing down to his own pace. The others are not kept: each waits five seconds, then
//! asks the bucket for himself, until the fill has ended or its lease has; then the next reader
//! fills, and the object is stored for all. To free the store of the reader would take holding
//! what he has not read yet, in the worker's memory, or reading every byte in JavaScript.
//! (Measured in `tests/tests/edge/crowds.rs`.)

use super::Engine;
use super::fills::Written;
use super::outside::{Body, Found, NotStored, Origin, OriginAnswer, Runtime, Store, Wanted};
use super::tombstone::Claim;
use crate::admission::ObjectKey;
use crate::policy::conditional::{self, Validators};
use crate::policy::entry::{self, Entry};
use crate::policy::fields::Fields;
use crate::policy::headers;
use crate::policy::plan::{self, Cause, Outcome};
use crate::policy::status::CacheStatus;
use crate::policy::time::UnixMillis;
use futures_channel::oneshot;

/// What the name has at its end, before a number of the fill's own, under which an answer is stored
/// until it is whole. No object's path has a `?` in it.
const BESIDE: &str = "?successor-";

/// For how long the store may keep what a fill that was given up has left there.
const BESIDE_CACHE_CONTROL: &str = "max-age=3600";

/// How a fill has ended, as far as the reader who started it is concerned.
pub(super) enum Filled<B> {
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

/// What a fill knows of the stale copy.
pub(super) struct Known {
    pub(super) entry: Entry,
    pub(super) fields: Fields,
}

impl Written {
    /// What is written with these fields.
    pub(super) fn of(fields: &Fields) -> Self {
        Self {
            entry: fields.get(entry::HEADER).and_then(Entry::decode),
            etag: fields.get("etag").map(str::to_owned),
        }
    }
}

impl<S, O, R> Engine<S, O, R>
where
    S: Store,
    O: Origin<Body = S::Body>,
    R: Runtime,
{
    /// One fetch and what follows from it. Runs in the background; holds the lock to its end.
    pub(super) async fn fill(
        self,
        claim: Claim,
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
            Outcome::Store(entry) if known.is_some() && status == 200 => {
                // There is a copy to fall back on: the new one must be whole before it is served.
                let to_store = headers::for_store(&fields, &entry, now);
                let stored = self
                    .put_when_whole(&claim, &path, status, to_store, body)
                    .await;
                _ = reader.send(if stored {
                    Filled::Replaced
                } else {
                    Filled::UseStale
                });
            }
            Outcome::Store(entry) => {
                if known.is_some() {
                    // The object is gone: whatever comes of the rest, its copy is not served again.
                    self.store.delete(&path).await;
                }
                let (for_reader, for_store) = body.map(Body::split).unzip();
                let fields = to_client();
                let to_store = headers::recorded(fields.clone(), &entry, now);
                _ = reader.send(Filled::Fetched {
                    status,
                    fields,
                    body: for_reader,
                    cache,
                });
                if to_store.content_length().is_some() || for_store.is_none() {
                    self.put(&claim, &path, status, to_store, for_store).await;
                } else {
                    // Nothing but its end tells whether such a body is whole.
                    self.put_when_whole(&claim, &path, status, to_store, for_store)
                        .await;
                }
            }
            Outcome::Freshen(entry) => {
                _ = reader.send(Filled::Confirmed);
                drop(body);
                self.freshen(&claim, &path, entry, known.as_ref(), now)
                    .await;
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
        claim: &Claim,
        path: &str,
        status: u16,
        fields: Fields,
        body: Option<S::Body>,
    ) -> bool {
        if !self.holds(claim, path).await {
            return false;
        }
        claim.lock.set_writing(true);
        let written = Written::of(&fields);
        let stored = self.store.put(path, status, fields, body).await;
        self.keep(claim, path, stored.map(|()| written)).await
    }

    /// Stores an answer beside the stored copy first, since a store may lose the old copy to a new
    /// one that breaks off. What is whole in the store does not break off on the way over.
    async fn put_when_whole(
        &self,
        claim: &Claim,
        path: &str,
        status: u16,
        fields: Fields,
        body: Option<S::Body>,
    ) -> bool {
        let beside = format!("{path}{BESIDE}{}", self.runtime.unique());
        let mut in_between = fields.clone();
        in_between.set("Cache-Control", BESIDE_CACHE_CONTROL);
        let whole = self.store.put(&beside, status, in_between, body).await;
        let stored = whole.is_ok() && self.take_over(claim, path, &beside, fields).await;
        self.store.delete(&beside).await;
        stored
    }

    /// Stores under `path` what is stored under `beside`, if it is what these fields describe.
    async fn take_over(&self, claim: &Claim, path: &str, beside: &str, mut fields: Fields) -> bool {
        let Some(found) = self.store.find(beside, Wanted::Whole).await else {
            return false;
        };
        let of_the_store = found.fields();
        let meant = fields.get(entry::HEADER).and_then(Entry::decode);
        let same =
            found.entry() == meant && Validators::of(&of_the_store) == Validators::of(&fields);
        if !same || !self.holds(claim, path).await {
            return false;
        }
        if fields.content_length().is_none()
            && let Some(length) = of_the_store.get("content-length")
        {
            fields.set("Content-Length", length);
        }
        claim.lock.set_writing(true);
        let written = Written::of(&fields);
        let stored = self.store.restate(path, found, fields).await;
        self.keep(claim, path, stored.map(|()| written)).await
    }

    /// Gives the stored copy a new record, if it is still the one that the origin has confirmed.
    async fn freshen(
        &self,
        claim: &Claim,
        path: &str,
        entry: Entry,
        known: Option<&Known>,
        now: UnixMillis,
    ) {
        let Some(found) = self.store.find(path, Wanted::Whole).await else {
            return;
        };
        let fields = found.fields();
        let same =
            known.is_some_and(|known| Validators::of(&known.fields) == Validators::of(&fields));
        if !same || !self.holds(claim, path).await {
            return;
        }
        let fields = headers::for_store(&fields, &entry, now);
        claim.lock.set_writing(true);
        let written = Written::of(&fields);
        let stored = self.store.restate(path, found, fields).await;
        self.keep(claim, path, stored.map(|()| written)).await;
    }

    /// After a write: whether the answer is stored and may stay. A purge during the write takes it
    /// out again.
    async fn keep(&self, claim: &Claim, path: &str, stored: Result<Written, NotStored>) -> bool {
        let holds = stored.is_ok() && self.holds(claim, path).await;
        match stored {
            Err(NotStored) => self.fills.count_failure(),
            Ok(written) if holds => claim.lock.note_written(&written),
            Ok(_) => _ = self.store.delete(path).await,
        }
        claim.lock.set_writing(false);
        holds
    }
}
