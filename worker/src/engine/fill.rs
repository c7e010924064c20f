//! One fill: a fetch in the background, and what its answer does to the store.
//!
//! It runs from the moment its permit was taken, whether or not its reader stays. The first reader
//! of an absent object gets its bytes as they come, and so does the store: the runtime's `tee` reads
//! on only when both do. One who stops reading therefore stops the storing; after
//! [`super::lock::LOCK_AGE_MILLISECONDS`] the next reader fills as well.

use super::lock::{Ended, Permit};
use super::{Body, Engine, Found, Origin, OriginAnswer, Read, Runtime, Store, StoredCopy};
use crate::policy::conditional;
use crate::policy::decision::{self, AfterError, Outcome};
use crate::policy::entry::Entry;
use crate::policy::headers;
use crate::policy::origin_error::{OriginError, Remembered};
use crate::policy::status::CacheStatus;
use futures_channel::oneshot;
use http::{HeaderMap, StatusCode};
use std::rc::Rc;

/// How a fill has ended for the reader who started it.
pub(crate) enum Filled<B> {
    /// The origin's answer is the reader's.
    Fetched {
        status: StatusCode,
        headers: HeaderMap,
        /// `None` where the reader takes it from the store, or takes none.
        body: Option<B>,
        cache: CacheStatus,
    },
    /// A new answer has been put in the place of the stale copy, under this record.
    Replaced(Entry),
    /// The stale copy still holds; this is its new record.
    Confirmed(Entry),
    /// The stale copy must do.
    Covered,
    /// There is nothing to serve.
    Failed(OriginError),
}

/// What a fill knows of the stale copy.
struct Stale {
    entry: Entry,
    headers: HeaderMap,
}

impl<S, O, R> Engine<S, O, R>
where
    S: Store,
    O: Origin<Body = S::Body>,
    R: Runtime,
{
    /// Starts a fill. It holds the permit from here on to its end, whatever becomes of the reader.
    pub(crate) fn start_fill(
        &self,
        permit: Permit,
        read: &Rc<Read>,
        stale: Option<&StoredCopy<S::Found>>,
    ) -> oneshot::Receiver<Filled<S::Body>> {
        let stale = stale.map(|copy| Stale {
            entry: copy.entry,
            headers: copy.found.selected_headers(),
        });
        let (sender, receiver) = oneshot::channel();
        self.runtime
            .spawn(self.clone().fill(permit, read.clone(), stale, sender));
        receiver
    }

    /// One fetch and what follows from it. The reader may be gone: nobody minds what is sent then.
    async fn fill(
        self,
        permit: Permit,
        read: Rc<Read>,
        stale: Option<Stale>,
        reader: oneshot::Sender<Filled<S::Body>>,
    ) {
        let entry = stale.as_ref().map(|stale| &stale.entry);
        let request = stale
            .as_ref()
            .map(|stale| conditional::revalidation(&stale.headers));
        let mut asked_at = self.runtime.now();
        let mut fetched = self
            .origin
            .fetch(&read.key, &request.unwrap_or_default())
            .await;
        if let (Some(entry), Ok(answer)) = (entry, &fetched)
            && answer.status == StatusCode::NOT_MODIFIED
            && self.runtime.now() >= entry.stale_until
        {
            // The copy that is confirmed has passed its window meanwhile.
            asked_at = self.runtime.now();
            fetched = self.origin.fetch(&read.key, &HeaderMap::new()).await;
        }
        let now = self.runtime.now();
        let OriginAnswer {
            status,
            headers: from_origin,
            body,
        } = match fetched {
            Ok(answer) => answer,
            Err(error) => {
                let after = decision::after_error(error, entry, &self.rule, asked_at, now);
                let filled = self
                    .settle_error(permit, &read, error, after, stale.is_some())
                    .await;
                _ = reader.send(filled);
                return;
            }
        };
        let cache = match stale {
            Some(_) => CacheStatus::Expired,
            None => CacheStatus::Miss,
        };
        let headers = headers::for_client(status, &from_origin, cache, now);
        match decision::after_fetch(status, &from_origin, entry, &self.rule, asked_at, now) {
            // There is a copy to fall back on: the new one must be whole before it is served.
            Outcome::Store(entry) if stale.is_some() => {
                let to_store = headers::for_store(headers, &entry);
                let ended = self.put(&read, &entry, to_store, body).await;
                permit.end(ended, self.runtime.now());
                _ = reader.send(Filled::Replaced(entry));
            }
            Outcome::Store(entry) => {
                let to_store = headers::for_store(headers.clone(), &entry);
                let (for_reader, for_store) = match body {
                    Some(body) if read.takes_body(status, &headers) => match body.tee() {
                        Some((for_reader, for_store)) => (Some(for_reader), Some(for_store)),
                        None => {
                            _ = reader.send(Filled::Failed(OriginError::Connect));
                            return;
                        }
                    },
                    body => (None, body),
                };
                _ = reader.send(Filled::Fetched {
                    status,
                    headers,
                    body: for_reader,
                    cache,
                });
                let ended = self.put(&read, &entry, to_store, for_store).await;
                permit.end(ended, self.runtime.now());
            }
            Outcome::Freshen(entry) => {
                drop(body);
                _ = reader.send(Filled::Confirmed(entry));
                if let Some(stale) = &stale {
                    self.freshen(&read, &entry, &stale.headers).await;
                }
                permit.end(Ended::Stored, self.runtime.now());
            }
            Outcome::Pass(_) => {
                permit.end(Ended::Uncacheable, now);
                _ = reader.send(Filled::Fetched {
                    status,
                    body: body.filter(|_| read.takes_body(status, &headers)),
                    headers,
                    cache,
                });
            }
        }
    }

    /// Carries the decision after an error out.
    async fn settle_error(
        &self,
        permit: Permit,
        read: &Read,
        error: OriginError,
        after: AfterError,
        has_copy: bool,
    ) -> Filled<S::Body> {
        self.runtime
            .report(&read.key, error, after == AfterError::ServeStale);
        let mut for_readers = error;
        match after {
            // Nothing to tell the others: each of them has the copy.
            AfterError::ServeStale => return Filled::Covered,
            AfterError::Fail => {}
            AfterError::Delete if has_copy => _ = self.store.delete(&read.cache_key).await,
            AfterError::Delete => {}
            AfterError::Remember(entry) => {
                if has_copy {
                    // The store may refuse what is put, and the copy must go.
                    self.store.delete(&read.cache_key).await;
                }
                let to_store = headers::for_missing(&entry, self.runtime.now());
                self.put(read, &entry, to_store, None).await;
                for_readers = OriginError::Missing {
                    status: entry.status,
                    remembered: Some(Remembered {
                        max_age: self.rule.negative_seconds,
                        age: 0,
                    }),
                };
            }
        }
        permit.end(Ended::Failed(for_readers), self.runtime.now());
        Filled::Failed(for_readers)
    }

    /// Stores an answer, unless a purge has overtaken this fill; one that comes during the write
    /// takes the answer out again. How the fill has ended with that.
    async fn put(
        &self,
        read: &Read,
        entry: &Entry,
        headers: HeaderMap,
        body: Option<S::Body>,
    ) -> Ended {
        let is_overtaken = || self.purges.has_overtaken(&read.cache_key, entry.asked_at);
        if is_overtaken() {
            return Ended::Abandoned;
        }
        let status = StatusCode::from_u16(entry.status).unwrap_or_default();
        let is_taken = self.store.put(&read.cache_key, status, headers, body).await;
        if is_overtaken() {
            self.store.delete(&read.cache_key).await;
            return Ended::Abandoned;
        }
        match is_taken {
            true => Ended::Stored,
            false => Ended::Uncacheable,
        }
    }

    /// Gives the stored copy a new record, if it is still the one that the origin has confirmed.
    async fn freshen(&self, read: &Read, entry: &Entry, confirmed: &HeaderMap) {
        let Some(found) = self.store.find(&read.cache_key, &HeaderMap::new()).await else {
            return;
        };
        let (stored, body) = found.into_parts();
        if conditional::same_version(&stored, confirmed) {
            let (cache, now) = (CacheStatus::Revalidated, self.runtime.now());
            let headers = headers::for_client(StatusCode::OK, &stored, cache, now);
            self.put(read, entry, headers::for_store(headers, entry), body)
                .await;
        }
    }
}
