//! The two decisions of a read: before the fetch, and after it.

use super::entry::Entry;
use super::freshness::{self, FreshnessRule, Uncacheable};
use super::origin_error::OriginError;
use super::time::UnixMillis;
use http::{HeaderMap, StatusCode};

/// What the store holds for a key, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// A copy that is the answer.
    Fresh,
    /// A copy that is the answer only where the bucket gives none, or confirms it.
    Stale,
    /// No copy, or one that may no longer be served.
    Absent,
}

/// What to do with the bucket's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Pass the answer on while storing it under this record, in place of any copy.
    Store(Entry),
    /// The stored copy still holds: serve it, and put this record in place of its own.
    Freshen(Entry),
    /// Pass the answer on; store nothing, and leave any copy as it is.
    Pass(Uncacheable),
}

/// What to do where the bucket has given no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterError {
    /// Serve the stored copy; keep it as it is.
    ServeStale,
    /// The object is gone: delete any copy, and give the reader the error.
    Delete,
    /// As `Delete`, and remember under this record that the object is missing.
    Remember(Entry),
    /// Give the reader the error.
    Fail,
}

/// The decision before the fetch.
#[must_use]
pub fn freshness_of(entry: Option<&Entry>, now: UnixMillis) -> Freshness {
    match entry {
        Some(entry) if now < entry.fresh_until => Freshness::Fresh,
        Some(entry) if now < entry.stale_until => Freshness::Stale,
        _ => Freshness::Absent,
    }
}

/// The decision after the bucket has given an answer that is no [`OriginError`].
///
/// `stored` is the copy that [`freshness_of`] found [`Stale`](Freshness::Stale), `None` where there is none;
/// `asked_at` is when the bucket was asked, `now` when it answered.
#[must_use]
pub fn after_fetch(
    status: StatusCode,
    headers: &HeaderMap,
    stored: Option<&Entry>,
    rule: &FreshnessRule,
    asked_at: UnixMillis,
    now: UnixMillis,
) -> Outcome {
    // A copy can pass its window while the bucket is asked, and is then nothing to fall back on.
    let stored = stored.filter(|entry| now < entry.stale_until);
    if let (StatusCode::NOT_MODIFIED, Some(entry)) = (status, stored) {
        return Outcome::Freshen(freshness::confirmed(entry, headers, rule, asked_at, now));
    }
    match freshness::entry_for(status, headers, rule, asked_at, now) {
        Ok(entry) => Outcome::Store(entry),
        Err(reason) => Outcome::Pass(reason),
    }
}

/// The decision after the bucket has not given the object; the parameters as in [`after_fetch`].
#[must_use]
pub fn after_error(
    error: OriginError,
    stored: Option<&Entry>,
    rule: &FreshnessRule,
    asked_at: UnixMillis,
    now: UnixMillis,
) -> AfterError {
    match error {
        OriginError::Missing { status, .. } => {
            freshness::entry_for_missing(status, rule, asked_at, now)
                .map_or(AfterError::Delete, AfterError::Remember)
        }
        _ if error.is_covered_by_stale() && stored.is_some_and(|entry| now < entry.stale_until) => {
            AfterError::ServeStale
        }
        _ => AfterError::Fail,
    }
}

#[cfg(test)]
mod tests;
