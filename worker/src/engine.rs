//! The steps of a read in engine mode: nginx's cache rules over four small traits.
//!
//! The order of the steps stands in [`crate::serve`]. The same code runs in the worker (over the
//! Cache API, `fetch` and the runtime's timers) and natively in tests (over a simulated store,
//! origin and clock). What may be served and stored is decided in [`crate::policy`]; how an answer
//! becomes a response is `respond.rs`'s.
//!
//! **Architecture Invariant:** no request awaits what another request has started, nor reads from
//! its stream: the runtime forbids both. Requests meet in the store, and in the plain data of
//! [`lock`] and [`purges`], only.

pub(crate) mod fill;
pub mod lock;
pub mod ports;
pub mod purges;
pub(crate) mod shape;

use crate::admission::ObjectKey;
use crate::policy::conditional;
use crate::policy::decision::{self, Freshness};
use crate::policy::entry::Entry;
use crate::policy::freshness::FreshnessRule;
use crate::policy::headers::{self, text};
use crate::policy::origin_error::{OriginError, Remembered};
use crate::policy::range;
use crate::policy::status::CacheStatus;
use http::header::{
    CONTENT_LENGTH, CONTENT_RANGE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use lock::Locks;
pub use ports::{Body, Found, Origin, OriginAnswer, Runtime, Store};
use purges::Purges;
use shape::{Shape, shape};

/// When a purge looks whether another isolate has stored old bytes since, in milliseconds after its
/// last look. Within the 30 seconds that the runtime gives to work after an answer
/// (developers.cloudflare.com/workers/runtime-apis/context/#waituntil).
const LOOKS_AFTER_A_PURGE: [u64; 4] = [1_000, 3_000, 7_000, 14_000];

/// A read that was admitted.
#[derive(Clone, Debug)]
pub struct Read {
    /// Which object.
    pub key: ObjectKey,
    /// Its name in the store, and in the tables of the isolate.
    pub cache_key: String,
    /// HEAD: the headers alone.
    pub head: bool,
    /// Of the request's headers those in [`READ_HEADERS`].
    pub headers: HeaderMap,
}

/// The request headers that a read heeds.
pub const READ_HEADERS: [HeaderName; 6] = [
    RANGE,
    IF_RANGE,
    IF_NONE_MATCH,
    IF_MODIFIED_SINCE,
    IF_MATCH,
    IF_UNMODIFIED_SINCE,
];

/// What a reader is to be sent.
#[derive(Debug)]
pub enum Answer<F: Found> {
    /// A stored answer, just as it is but for its cache status and its age.
    Stored(StoredCopy<F>, CacheStatus),
    /// A 304 about a stored answer: its headers but those that describe a body.
    NotModified(StoredCopy<F>, CacheStatus),
    /// An answer made here or at the origin. Its headers are final.
    Made {
        /// The status.
        status: StatusCode,
        /// The headers.
        headers: HeaderMap,
        /// The body, if any.
        body: Option<F::Body>,
    },
}

/// A stored answer and its record.
#[derive(Debug)]
pub struct StoredCopy<F> {
    /// The answer.
    pub found: F,
    /// Its record.
    pub entry: Entry,
}

/// What the store has for a reader.
pub(crate) enum Lookup<F> {
    Fresh(StoredCopy<F>),
    Stale(StoredCopy<F>),
    Absent,
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
    /// What the store has for this reader: as much as is wanted, where the store alone can tell it.
    pub(crate) async fn look_up(&self, read: &Read) -> Lookup<S::Found> {
        let request = read.store_request();
        let lookup = self.look_up_with(read, &request).await;
        if request.is_empty() || self.is_conclusive(read, &lookup) {
            return lookup;
        }
        self.look_up_with(read, &HeaderMap::new()).await
    }

    /// Whether the store's part or 304 can be taken. It applies a `Range` or a condition to whatever
    /// is stored and may compare otherwise, and a stale copy must be there to be served.
    fn is_conclusive(&self, read: &Read, lookup: &Lookup<S::Found>) -> bool {
        let (copy, is_fresh) = match lookup {
            Lookup::Absent => return false,
            Lookup::Fresh(copy) => (copy, true),
            Lookup::Stale(copy) => (copy, false),
        };
        if copy.is_of_missing() {
            return true;
        }
        match copy.found.status() {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => true,
            StatusCode::NOT_MODIFIED => {
                let shape = shape(&read.headers, &copy.found.selected_headers());
                is_fresh && matches!(shape, Shape::NotModified)
            }
            _ => false,
        }
    }

    async fn look_up_with(&self, read: &Read, request: &HeaderMap) -> Lookup<S::Found> {
        let Some(found) = self.store.find(&read.cache_key, request).await else {
            return Lookup::Absent;
        };
        let Some(entry) = found.entry() else {
            return Lookup::Absent;
        };
        if self.purges.has_overtaken(&read.cache_key, entry.asked_at) {
            return Lookup::Absent;
        }
        match decision::freshness_of(Some(&entry), self.runtime.now()) {
            Freshness::Fresh => Lookup::Fresh(StoredCopy { found, entry }),
            Freshness::Stale => Lookup::Stale(StoredCopy { found, entry }),
            Freshness::Absent => Lookup::Absent,
        }
    }

    /// Makes a stored answer what the reader has asked for.
    pub(crate) async fn serve_stored(
        &self,
        read: &Read,
        copy: StoredCopy<S::Found>,
        cache: CacheStatus,
    ) -> Result<Answer<S::Found>, OriginError> {
        if copy.is_of_missing() {
            let remembered = Remembered {
                max_age: copy
                    .entry
                    .fresh_until
                    .0
                    .saturating_sub(copy.entry.generated_at.0)
                    / 1000,
                age: copy.entry.age_seconds(self.runtime.now()),
            };
            return Err(OriginError::Missing {
                status: copy.entry.status,
                remembered: Some(remembered),
            });
        }
        match copy.found.status() {
            StatusCode::OK if !read.headers.is_empty() => {}
            StatusCode::NOT_MODIFIED => return Ok(Answer::NotModified(copy, cache)),
            _ => return Ok(Answer::Stored(copy, cache)),
        }
        let whole = copy.found.selected_headers();
        let range = match shape(&read.headers, &whole) {
            Shape::Whole => return Ok(Answer::Stored(copy, cache)),
            Shape::Part(range, length) => (range, length),
            Shape::NotModified => return Ok(Answer::NotModified(copy, cache)),
            other => return Ok(other.without_body(cache, self.runtime.now())),
        };
        let request = HeaderMap::from_iter([(RANGE, headers::value(&range.0.header()))]);
        let found = self.store.find(&read.cache_key, &request).await;
        match found.filter(|part| {
            let headers = part.selected_headers();
            part.status() == StatusCode::PARTIAL_CONTENT
                && conditional::same_version(&headers, &whole)
                && text(&headers, CONTENT_RANGE) == Some(&range.0.content_range(range.1))
        }) {
            Some(part) => {
                let entry = copy.entry;
                Ok(Answer::Stored(StoredCopy { found: part, entry }, cache))
            }
            // It changed in between, or the store cannot cut it: the whole is always a right answer.
            None => Ok(Answer::Stored(copy, cache)),
        }
    }

    /// Asks the origin without touching the store, for this reader alone: for the part that it wants,
    /// where the origin can tell which that is.
    ///
    /// Nothing here bounds a body that stalls: the runtime shows no progress of a stream that it passes
    /// on by itself, and a timer would end thirty seconds after the answer with the rest of the request.
    pub(crate) async fn pass_through(&self, read: &Read) -> Result<Answer<S::Found>, OriginError> {
        let range = read.single_range();
        let mut fetched = self.origin.fetch(&read.key, &range).await;
        let is_other = match &fetched {
            // The length that a 416 tells is the whole's.
            Err(error) => *error == OriginError::Refused { status: 416 },
            // A body that the runtime decodes has lost its length: the bucket has cut the coded bytes, and
            // the reader is given decoded ones.
            Ok(answer) => {
                answer.status == StatusCode::PARTIAL_CONTENT
                    && (!conditional::if_range_holds(&read.headers, &answer.headers)
                        || !answer.headers.contains_key(CONTENT_LENGTH))
            }
        };
        if !range.is_empty() && is_other {
            fetched = self.origin.fetch(&read.key, &HeaderMap::new()).await;
        }
        let answer = match fetched {
            Ok(answer) => answer,
            Err(error) => {
                self.runtime.report(&read.key, error, false);
                return Err(error);
            }
        };
        let (cache, now) = (CacheStatus::Miss, self.runtime.now());
        let headers = headers::for_client(answer.status, &answer.headers, cache, now);
        Ok(self.answer_now(read, answer.status, headers, answer.body, cache))
    }

    /// Drops the stored answer. True where there was one. When this returns, no later read in this
    /// isolate is given what the bucket was asked for before. What a fill of another isolate of this
    /// data centre stores within the next 25 seconds is removed: this work goes on after the answer.
    pub async fn purge(&self, cache_key: &str) -> bool {
        let purged_at = self.runtime.now();
        self.purges.note(cache_key, purged_at);
        self.locks.release(cache_key);
        let was_there = self.store.delete(cache_key).await;
        let (engine, cache_key) = (self.clone(), cache_key.to_owned());
        self.runtime.spawn(async move {
            for pause in LOOKS_AFTER_A_PURGE {
                engine.runtime.sleep(pause).await;
                let found = engine.store.find(&cache_key, &HeaderMap::new()).await;
                let entry = found.as_ref().and_then(Found::entry);
                drop(found);
                if entry.is_some_and(|entry| entry.asked_at <= purged_at) {
                    engine.store.delete(&cache_key).await;
                }
            }
        });
        was_there
    }
}

impl<F> StoredCopy<F> {
    /// Whether it says that the bucket lacks the object.
    const fn is_of_missing(&self) -> bool {
        self.entry.status != StatusCode::OK.as_u16()
    }
}

impl Read {
    /// What the store can be asked for at once: a single range, or what the reader lacks, where that
    /// alone is asked for.
    fn store_request(&self) -> HeaderMap {
        if self.headers.len() == 1 && self.headers.contains_key(RANGE) {
            return self.single_range();
        }
        let only = |names: &[HeaderName]| self.headers.keys().all(|name| names.contains(name));
        // A tag takes the place of a date (RFC 9110, section 13.1.3).
        for (name, beside) in [
            (IF_NONE_MATCH, &[IF_NONE_MATCH, IF_MODIFIED_SINCE][..]),
            (IF_MODIFIED_SINCE, &[IF_MODIFIED_SINCE]),
        ] {
            if let Some(value) = self.headers.get(&name)
                && only(beside)
            {
                return HeaderMap::from_iter([(name, value.clone())]);
            }
        }
        HeaderMap::new()
    }

    /// Whether the object is wanted as it is, or one part of it that every cache cuts alike.
    pub(crate) fn is_plain(&self) -> bool {
        let range = text(&self.headers, RANGE);
        let is_single = || !self.head && range.is_some_and(range::is_single);
        self.headers.is_empty() || (self.headers.len() == 1 && is_single())
    }

    /// The `Range`, where it is a single one of bytes.
    fn single_range(&self) -> HeaderMap {
        let is_single = |value: &&HeaderValue| {
            let text = value.as_bytes();
            text.starts_with(b"bytes=") && !text.contains(&b',')
        };
        let range = self.headers.get(RANGE).filter(is_single);
        range
            .map(|value| (RANGE, value.clone()))
            .into_iter()
            .collect()
    }
}
