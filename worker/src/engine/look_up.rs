//! A look-up in the store: what the store is asked for, and whether its answer can be taken.

use super::{Engine, Found, Origin, Read, Runtime, Store, StoredCopy};
use crate::policy::conditional::{self, Evaluated};
use crate::policy::decision::{self, Freshness};
use crate::policy::range;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH, RANGE};
use http::{HeaderMap, HeaderName, StatusCode};

/// What the store has for a read.
pub(super) enum Lookup<F> {
    Fresh(StoredCopy<F>),
    Stale(StoredCopy<F>),
    Absent,
}

impl<S, O, R> Engine<S, O, R>
where
    S: Store,
    O: Origin<Body = S::Body>,
    R: Runtime,
{
    /// What the store has for a read. `found` is the part or the 304 that the reader wants, where the store
    /// gives it at once, else the whole answer.
    pub(super) async fn look_up(&self, read: &Read) -> Lookup<S::Found> {
        let store_headers = store_headers(&read.headers);
        let lookup = self.look_up_with(read, &store_headers).await;
        if store_headers.is_empty() || is_conclusive(read, &lookup) {
            return lookup;
        }
        self.look_up_with(read, &HeaderMap::new()).await
    }

    async fn look_up_with(&self, read: &Read, store_headers: &HeaderMap) -> Lookup<S::Found> {
        let Some(found) = self.store.find(&read.cache_key, store_headers).await else {
            return Lookup::Absent;
        };
        let Some(record) = found.record() else {
            return Lookup::Absent;
        };
        if self.purges.has_overtaken(&read.cache_key, record.asked_at) {
            return Lookup::Absent;
        }
        match decision::freshness_of(&record, self.runtime.now()) {
            Freshness::Fresh => Lookup::Fresh(StoredCopy { found, record }),
            Freshness::Stale => Lookup::Stale(StoredCopy { found, record }),
            Freshness::Absent => Lookup::Absent,
        }
    }
}

/// Those of a reader's headers that the store is asked with: a single range, or one condition on what the
/// reader already has, where the read has no other headers.
fn store_headers(headers: &HeaderMap) -> HeaderMap {
    if headers.len() == 1 && headers.contains_key(RANGE) {
        return range::single_range_header(headers);
    }
    let only = |names: &[HeaderName]| headers.keys().all(|name| names.contains(name));
    // A tag takes the place of a date (RFC 9110, section 13.1.3).
    for (name, beside) in [
        (IF_NONE_MATCH, &[IF_NONE_MATCH, IF_MODIFIED_SINCE][..]),
        (IF_MODIFIED_SINCE, &[IF_MODIFIED_SINCE]),
    ] {
        if let Some(value) = headers.get(&name)
            && only(beside)
        {
            return HeaderMap::from_iter([(name, value.clone())]);
        }
    }
    HeaderMap::new()
}

/// Whether the store's answer to a range or a condition can be taken. The store applies both to whatever is
/// stored, and may compare tags differently. A 304 from a stale copy is not taken: the origin has yet to
/// confirm the copy.
fn is_conclusive<F: Found>(read: &Read, lookup: &Lookup<F>) -> bool {
    let (Lookup::Fresh(copy) | Lookup::Stale(copy)) = lookup else {
        return false;
    };
    if copy.record.marks_missing() {
        return true;
    }
    match copy.found.status() {
        StatusCode::OK | StatusCode::PARTIAL_CONTENT => true,
        StatusCode::NOT_MODIFIED => {
            let stored = copy.found.selected_headers();
            matches!(lookup, Lookup::Fresh(_))
                && conditional::evaluate(&read.headers, &stored) == Evaluated::NotModified
        }
        _ => false,
    }
}
