//! The decisions of a read in engine mode: before the origin is asked, and after it has answered. The
//! decision after the fetch of an absent object is [`freshness::record_for`].

use super::freshness::{self, FreshnessRule, Uncacheable};
use super::origin_error::OriginError;
use super::record::Record;
use super::time::UnixMillis;
use http::{HeaderMap, StatusCode};

/// What a stored copy is good for, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It is the answer.
    Fresh,
    /// It is the answer only if the origin confirms it, or gives none.
    Stale,
    /// It may not be served.
    Absent,
}

/// What to do with the origin's answer about a stale copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterRefresh {
    /// Store the answer under this record in the place of the copy, and serve it.
    Replace(Record),
    /// Serve the copy, and put this record in the place of its own.
    Revalidate(Record),
    /// Serve the answer, store nothing, and keep the copy.
    PassThrough(Uncacheable),
}

/// What to do in the store where the origin has not given an object. The reader gets the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterError {
    /// The object is gone: delete any copy.
    Delete,
    /// As `Delete`, and store this record as the mark that the object is missing.
    Remember(Record),
    /// Keep any copy.
    KeepCopy,
}

/// The decision before the origin is asked.
pub fn freshness_of(record: &Record, now: UnixMillis) -> Freshness {
    if now < record.fresh_until {
        Freshness::Fresh
    } else if now < record.stale_until {
        Freshness::Stale
    } else {
        Freshness::Absent
    }
}

/// The decision after the origin's answer about a stale copy, where that is no [`OriginError`].
///
/// `stale` is the copy's record. `asked_at` is when the origin was asked, `now` when it answered: by then the
/// copy may have become [`Freshness::Absent`].
pub fn after_refresh(
    status: StatusCode,
    headers: &HeaderMap,
    stale: &Record,
    rule: &FreshnessRule,
    asked_at: UnixMillis,
    now: UnixMillis,
) -> AfterRefresh {
    if status == StatusCode::NOT_MODIFIED && now < stale.stale_until {
        let record = freshness::revalidated(stale, headers, rule, asked_at, now);
        return AfterRefresh::Revalidate(record);
    }
    match freshness::record_for(status, headers, rule, asked_at, now) {
        Ok(record) => AfterRefresh::Replace(record),
        Err(reason) => AfterRefresh::PassThrough(reason),
    }
}

/// Whether a stale copy is served instead of an error.
pub fn is_covered(error: OriginError, stale: &Record, now: UnixMillis) -> bool {
    error.is_covered_by_stale() && now < stale.stale_until
}

/// The decision after an error that no stale copy covers. `asked_at` and `now` as in [`after_refresh`].
pub fn after_error(
    error: OriginError,
    rule: &FreshnessRule,
    asked_at: UnixMillis,
    now: UnixMillis,
) -> AfterError {
    match error {
        OriginError::Missing { status, .. } => {
            freshness::record_for_missing(status, rule, asked_at, now)
                .map_or(AfterError::Delete, AfterError::Remember)
        }
        _ => AfterError::KeepCopy,
    }
}

#[cfg(test)]
mod tests;
