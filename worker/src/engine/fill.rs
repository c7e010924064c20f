//! Background work: the fill of an absent object, and the refresh of a stale copy.
//!
//! Each runs from the moment its permit was taken, whether or not its reader stays. The first reader of an
//! absent object gets the bytes while they are stored: the runtime's `tee` reads on only when both branches
//! do. So a reader who stops reading stops the storing; after [`super::lock::LOCK_AGE_MILLISECONDS`] the next
//! reader fills as well. A reader who has left does not receive what is sent to it, which changes nothing
//! here.

use super::answer::Fetched;
use super::lock::{Ended, Permit};
use super::{Body, Engine, Found, Origin, OriginAnswer, Read, Runtime, Store, StoredCopy};
use crate::policy::conditional;
use crate::policy::decision::{self, AfterError, AfterRefresh};
use crate::policy::freshness;
use crate::policy::headers;
use crate::policy::origin_error::OriginError;
use crate::policy::record::Record;
use crate::policy::status::CacheStatus;
use futures_channel::oneshot;
use http::{HeaderMap, StatusCode};
use std::rc::Rc;

/// The result of a fill, for the reader who started it.
type Filled<B> = Result<Fetched<B>, OriginError>;

/// The result of a refresh, for the reader who started it.
pub(super) enum Refreshed<B> {
    /// A new answer is stored in the place of the copy, under this record.
    Replaced(Record),
    /// The copy still holds; this is its new record.
    Revalidated(Record),
    /// The origin's answer is not one that is stored: it is this reader's alone.
    PassedThrough(Fetched<B>),
    /// The origin has given no answer, or none yet: the copy is served.
    NoAnswer,
    /// There is nothing to serve.
    Failed(OriginError),
}

/// What a refresh needs of the stale copy.
struct Stale {
    record: Record,
    headers: HeaderMap,
}

impl<S, O, R> Engine<S, O, R>
where
    S: Store,
    O: Origin<Body = S::Body>,
    R: Runtime,
{
    /// Starts to fetch and store an absent object. The receiver fails where the runtime ends the fill.
    pub(super) fn start_fill(
        &self,
        permit: Permit,
        read: &Rc<Read>,
    ) -> oneshot::Receiver<Filled<S::Body>> {
        let (reader, receiver) = oneshot::channel();
        self.runtime
            .spawn(self.clone().fill(permit, read.clone(), reader));
        receiver
    }

    /// Starts to ask the origin about a stale copy. The receiver fails where the runtime ends the refresh.
    pub(super) fn start_refresh(
        &self,
        permit: Permit,
        read: &Rc<Read>,
        copy: &StoredCopy<S::Found>,
    ) -> oneshot::Receiver<Refreshed<S::Body>> {
        let stale = Stale {
            record: copy.record,
            headers: copy.found.selected_headers(),
        };
        let (reader, receiver) = oneshot::channel();
        self.runtime
            .spawn(self.clone().refresh(permit, read.clone(), stale, reader));
        receiver
    }

    /// Fetches an absent object and stores it.
    async fn fill(self, permit: Permit, read: Rc<Read>, reader: oneshot::Sender<Filled<S::Body>>) {
        let asked_at = self.runtime.now();
        let answer = self.origin.fetch(&read.key, &HeaderMap::new()).await;
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                self.runtime.report(&read.key, error, false);
                let after = decision::after_error(error, &self.rule, asked_at, self.runtime.now());
                let error = self.store_error(&read, error, after, false).await;
                permit.end(Ended::Failed(error), self.runtime.now());
                _ = reader.send(Err(error));
                return;
            }
        };
        let now = self.runtime.now();
        let OriginAnswer {
            status,
            headers: from_origin,
            body,
        } = answer;
        let headers = headers::for_client(status, &from_origin, CacheStatus::Miss, now);
        let takes_body = read.takes_body(status, &headers);
        match freshness::record_for(status, &from_origin, &self.rule, asked_at, now) {
            Ok(record) => {
                let to_store = headers::for_store(headers.clone(), &record);
                let (body, body_to_store) = match body {
                    Some(body) if takes_body => match body.tee() {
                        Some((body, to_store)) => (Some(body), Some(to_store)),
                        None => {
                            // The permit is dropped: the next reader fills.
                            _ = reader.send(Err(OriginError::Connect));
                            return;
                        }
                    },
                    body => (None, body),
                };
                _ = reader.send(Ok(Fetched {
                    status,
                    headers,
                    body,
                }));
                let ended = self.put(&read, &record, to_store, body_to_store).await;
                permit.end(ended, self.runtime.now());
            }
            Err(_) => {
                permit.end(Ended::Uncacheable, now);
                let body = body.filter(|_| takes_body);
                _ = reader.send(Ok(Fetched {
                    status,
                    headers,
                    body,
                }));
            }
        }
    }

    /// Asks the origin about a stale copy, and replaces it, gives it a new record, or deletes it.
    async fn refresh(
        self,
        permit: Permit,
        read: Rc<Read>,
        stale: Stale,
        reader: oneshot::Sender<Refreshed<S::Body>>,
    ) {
        let conditions = conditional::revalidation(&stale.headers);
        let mut asked_at = self.runtime.now();
        let mut answer = self.origin.fetch(&read.key, &conditions).await;
        if let Ok(confirmation) = &answer
            && confirmation.status == StatusCode::NOT_MODIFIED
            && self.runtime.now() >= stale.record.stale_until
        {
            // The copy holds, but meanwhile it may no longer be served.
            asked_at = self.runtime.now();
            answer = self.origin.fetch(&read.key, &HeaderMap::new()).await;
        }
        let now = self.runtime.now();
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let is_covered = decision::is_covered(error, &stale.record, now);
                self.runtime.report(&read.key, error, is_covered);
                if is_covered {
                    // The permit is dropped: other readers have the copy too.
                    _ = reader.send(Refreshed::NoAnswer);
                    return;
                }
                let after = decision::after_error(error, &self.rule, asked_at, now);
                let error = self.store_error(&read, error, after, true).await;
                permit.end(Ended::Failed(error), self.runtime.now());
                _ = reader.send(Refreshed::Failed(error));
                return;
            }
        };
        let OriginAnswer {
            status,
            headers: from_origin,
            body,
        } = answer;
        let headers = headers::for_client(status, &from_origin, CacheStatus::Expired, now);
        let after = decision::after_refresh(
            status,
            &from_origin,
            &stale.record,
            &self.rule,
            asked_at,
            now,
        );
        match after {
            // Until the new answer is stored whole, the copy is there to be served.
            AfterRefresh::Replace(record) => {
                let to_store = headers::for_store(headers, &record);
                let ended = self.put(&read, &record, to_store, body).await;
                permit.end(ended, self.runtime.now());
                _ = reader.send(Refreshed::Replaced(record));
            }
            AfterRefresh::Revalidate(record) => {
                drop(body);
                _ = reader.send(Refreshed::Revalidated(record));
                self.store_revalidated(&read, &record, &stale.headers).await;
                permit.end(Ended::Stored, self.runtime.now());
            }
            AfterRefresh::PassThrough(_) => {
                permit.end(Ended::Uncacheable, now);
                let body = body.filter(|_| read.takes_body(status, &headers));
                _ = reader.send(Refreshed::PassedThrough(Fetched {
                    status,
                    headers,
                    body,
                }));
            }
        }
    }

    /// Carries out, in the store, the decision after an error of the origin. Returns the error as readers
    /// get it.
    async fn store_error(
        &self,
        read: &Read,
        error: OriginError,
        after: AfterError,
        has_copy: bool,
    ) -> OriginError {
        // Before the mark is stored: the store may refuse that.
        if has_copy && after != AfterError::KeepCopy {
            self.store.delete(&read.cache_key).await;
        }
        let AfterError::Remember(record) = after else {
            return error;
        };
        let to_store = headers::for_missing(&record, self.runtime.now());
        self.put(read, &record, to_store, None).await;
        OriginError::from_mark(&record, record.generated_at)
    }

    /// Stores an answer, unless a purge has overtaken this fill. An answer that a purge overtakes during the
    /// write is removed again. Returns how the fill has ended.
    async fn put(
        &self,
        read: &Read,
        record: &Record,
        headers: HeaderMap,
        body: Option<S::Body>,
    ) -> Ended {
        let is_overtaken = || self.purges.has_overtaken(&read.cache_key, record.asked_at);
        if is_overtaken() {
            return Ended::Abandoned;
        }
        let status = StatusCode::from_u16(record.status).unwrap_or_default();
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

    /// Gives the stored copy a new record, if it is still the version that the origin has confirmed.
    async fn store_revalidated(&self, read: &Read, record: &Record, confirmed: &HeaderMap) {
        let Some(found) = self.store.find(&read.cache_key, &HeaderMap::new()).await else {
            return;
        };
        let (stored, body) = found.into_parts();
        if conditional::same_version(&stored, confirmed) {
            let (cache_status, now) = (CacheStatus::Revalidated, self.runtime.now());
            let headers = headers::for_client(StatusCode::OK, &stored, cache_status, now);
            self.put(read, record, headers::for_store(headers, record), body)
                .await;
        }
    }
}
