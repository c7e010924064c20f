//! The read path of engine mode: nginx's cache rules over three small traits.
//!
//! The same code runs in the worker (over the Cache API, `fetch` and the runtime's timers) and
//! natively in tests (over a simulated store, origin and clock). What may be served and stored is
//! decided in [`crate::policy`]; how an answer becomes a response is `respond.rs`'s. The order of
//! the steps stands in [`crate::media`]; the steps are here.
//!
//! **Architecture Invariant:** no request awaits what another request has started, nor reads from
//! its stream: the runtime forbids both. Requests meet in [`fills`] and in the store only.

mod fill;
pub mod fills;
pub mod outside;
mod shape;
pub mod tombstone;

use crate::admission::ObjectKey;
use crate::policy::conditional::Conditions;
use crate::policy::fields::Fields;
use crate::policy::freshness::FreshnessRule;
use crate::policy::headers;
use crate::policy::plan::{self, Cause, Lookup};
use crate::policy::status::CacheStatus;
use fill::{Filled, Known};
use fills::{FillLock, Fills, Trouble, Written};
use futures_channel::oneshot;
use futures_util::future::{Either, join, select};
pub use outside::{Body, Found, NotStored, Origin, OriginAnswer, Runtime, Store, Wanted};
use shape::{Shape, is_part_of, range_header, shape, shape_made};
use std::pin::pin;
use tombstone::Claim;

/// How long a reader waits for another's fill before it asks the bucket itself, without storing:
/// nginx's `proxy_cache_lock_timeout`. And how long one waits for his own where a stale copy stands
/// ready.
pub const LONGEST_WAIT_MILLISECONDS: u64 = 5_000;

/// How often to look for a copy that nothing is wrong with.
const LOOKS_AT_MOST: usize = 3;

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
    /// A 304 about a stored answer: its header fields but those that describe a body.
    NotModified(F, CacheStatus),
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

impl<S, O, R> Engine<S, O, R>
where
    S: Store,
    O: Origin<Body = S::Body>,
    R: Runtime,
{
    /// Drops the stored answer. True where there was one. When this returns, no later read is
    /// given what was stored before, nor what a fill that is still under way will have stored, here
    /// or in another isolate; [`tombstone`] says how, and what cannot be promised. `Err` where the
    /// store has not taken the purge's mark: the purge must be asked for again.
    pub async fn purge(&self, path: &str) -> Result<bool, NotStored> {
        let marked = self.mark_purge(path).await;
        self.fills.purge(path, self.runtime.now().0);
        let was_there = self.store.delete(path).await;
        marked.map(|()| was_there)
    }

    /// Removes what a fill from before a purge may have left when it was given up.
    pub(crate) async fn clear_up(&self, path: &str) {
        // The clock is only asked where something is under way at all.
        if self.fills.is_empty() {
            return;
        }
        let now = self.runtime.now().0;
        if self.fills.trouble(path, now) == Some(Trouble::GivenUp) {
            self.store.delete(path).await;
            self.fills.forget_given_up(path, now);
        }
    }

    /// Holding the lock: looks once more, for the last holder may have stored just now, unless the
    /// caller knows that it `is_absent`; then has the object fetched in the background,
    /// so that it is stored even if this reader goes away.
    pub(crate) async fn fill_and_serve(
        &self,
        read: Read<'_>,
        lock: FillLock,
        is_absent: bool,
    ) -> Result<Answer<S::Found, S::Body>, Cause> {
        let look = async {
            if is_absent {
                Looked::Absent
            } else {
                self.look_after_purges(read).await
            }
        };
        let (looked, before) = join(look, self.last_purge(read.path)).await;
        let claim = Claim { lock, before };
        let stale = match looked {
            Looked::Fresh(found) => {
                drop(claim);
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
            .fill(claim, read.key.clone(), read.path.to_owned(), known, sender);
        self.runtime.spawn(read.path, fill);
        // A fill that was given up has said nothing of the origin: a stale copy covers for it too.
        let given_up = || match stale {
            Some(_) => Filled::UseStale,
            None => Filled::Failed(Cause::Connect),
        };
        let answered = async { receiver.await.unwrap_or_else(|_| given_up()) };
        let filled = if let Some(entry) = stale.as_ref().and_then(Found::entry) {
            // Nor longer than the copy may be served.
            let left = entry.stale_until.0.saturating_sub(self.runtime.now().0 + 1);
            let patience = async {
                self.runtime
                    .sleep(LONGEST_WAIT_MILLISECONDS.min(left))
                    .await;
                // For this reader that is a timeout; the fill goes on for those who come later.
                Filled::UseStale
            };
            match select(pin!(answered), pin!(patience)).await {
                Either::Left((filled, _)) | Either::Right((filled, _)) => filled,
            }
        } else {
            answered.await
        };
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
            (Filled::Replaced, _) => match self.look_after_purges(read).await {
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

    /// Asks the origin without touching the store.
    pub(crate) async fn pass_through(
        &self,
        read: Read<'_>,
    ) -> Result<Answer<S::Found, S::Body>, Cause> {
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

    /// As [`Self::look_after_purges`], but without a fresh copy that a fill may still take back, or
    /// has just taken back, because it was not whole: there, nothing is stored yet.
    pub(crate) async fn look_settled(&self, read: Read<'_>) -> Looked<S::Found> {
        let is_writing =
            || !self.fills.is_empty() && self.fills.is_writing(read.path, self.runtime.now().0);
        // Failures are counted for all keys together: one of another key is a reason to look again.
        for _ in 0..LOOKS_AT_MOST {
            let (was_writing, failures) = (is_writing(), self.fills.failures());
            match self.look_after_purges(read).await {
                Looked::Fresh(_) if was_writing || is_writing() => break,
                Looked::Fresh(_) if self.fills.failures() != failures => {}
                looked => return looked,
            }
        }
        Looked::Absent
    }

    /// As [`Self::look`], but while a fill from before a purge still runs, only what was stored
    /// after that purge.
    async fn look_after_purges(&self, read: Read<'_>) -> Looked<S::Found> {
        let in_trouble = || {
            !self.fills.is_empty()
                && (self.fills.trouble(read.path, self.runtime.now().0)).is_some()
        };
        let was_in_trouble = in_trouble();
        match self.look(read).await {
            Looked::Fresh(found) | Looked::Stale(found)
                if (was_in_trouble || in_trouble())
                    && !self.fills.is_after_purge(read.path, &written(&found)) =>
            {
                Looked::Absent
            }
            looked => looked,
        }
    }

    /// What the store has for this reader: as much as he wants, where the store alone can tell it.
    async fn look(&self, read: Read<'_>) -> Looked<S::Found> {
        let wanted = read.wanted();
        let looked = self.look_for(read, wanted).await;
        let in_doubt = match &looked {
            _ if wanted == Wanted::Whole => false,
            // A store's own "not satisfiable", in whatever form, says nothing of the copy it is about.
            Looked::Absent => true,
            // And its "not modified" counts only where the rules here agree: a store may compare
            // otherwise, conditions are about a 200, and a stale copy must be there to be served.
            Looked::Fresh(found) if found.status() == 304 => {
                found.entry().is_none_or(|entry| entry.status != 200)
                    || !matches!(shape(read, &found.outline()), Shape::NotModified)
            }
            Looked::Stale(found) => found.status() == 304,
            Looked::Fresh(_) => false,
        };
        if in_doubt {
            return self.look_for(read, Wanted::Whole).await;
        }
        looked
    }

    async fn look_for(&self, read: Read<'_>, wanted: Wanted<'_>) -> Looked<S::Found> {
        let Some(found) = self.store.find(read.path, wanted).await else {
            return Looked::Absent;
        };
        match plan::lookup(found.entry().as_ref(), self.runtime.now()) {
            Lookup::Fresh => Looked::Fresh(found),
            Lookup::Stale => Looked::Stale(found),
            Lookup::Absent => Looked::Absent,
        }
    }

    /// Makes a stored answer what the reader asked for.
    pub(crate) async fn serve(
        &self,
        read: Read<'_>,
        found: S::Found,
        cache: CacheStatus,
    ) -> Answer<S::Found, S::Body> {
        match found.status() {
            200 if !read.is_plain() => {}
            304 => return Answer::NotModified(found, cache),
            _ => return Answer::Stored(found, cache),
        }
        let fields = found.outline();
        let (range, length) = match shape(read, &fields) {
            Shape::Whole => return Answer::Stored(found, cache),
            Shape::Part(range, length) => (range, length),
            Shape::NotModified => return Answer::NotModified(found, cache),
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
        match self.store.find(read.path, Wanted::Part(&asked)).await {
            Some(part)
                if part.status() == 206 && is_part_of(&part.outline(), &fields, range, length) =>
            {
                Answer::Stored(part, cache)
            }
            // It changed in between, or the store cannot cut it: the whole is always a right answer.
            _ => Answer::Stored(found, cache),
        }
    }
}

/// What a stored answer is told from others by.
fn written(found: &impl Found) -> Written {
    Written {
        entry: found.entry(),
        ..Written::of(&found.fields())
    }
}

/// What a look into the store has shown.
pub(crate) enum Looked<F> {
    Fresh(F),
    Stale(F),
    Absent,
}

impl<'a> Read<'a> {
    /// No condition and no range.
    fn is_plain(&self) -> bool {
        self.range.is_none() && self.conditions == Conditions::default()
    }

    /// What the store can be asked for at once: a single range, or what the reader lacks, where that
    /// alone is asked for.
    fn wanted(&self) -> Wanted<'a> {
        let only = |conditions| self.conditions == conditions;
        let none = Conditions::default();
        let Conditions {
            if_none_match,
            if_modified_since,
            ..
        } = self.conditions;
        match (self.range, if_none_match, if_modified_since) {
            (Some(range), None, None)
                if range.starts_with("bytes=")
                    && !range.contains(',')
                    && self.if_range.is_none()
                    && only(none) =>
            {
                Wanted::Part(range)
            }
            // A tag takes the place of a date.
            (None, Some(tags), if_modified_since)
                if only(Conditions {
                    if_none_match,
                    if_modified_since,
                    ..none
                }) =>
            {
                Wanted::UnlessMatch(tags)
            }
            (None, None, Some(date))
                if only(Conditions {
                    if_modified_since,
                    ..none
                }) =>
            {
                Wanted::UnlessModified(date)
            }
            _ => Wanted::Whole,
        }
    }
}
