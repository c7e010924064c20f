//! How long an answer may be served, and whether it may be stored at all.
//!
//! What a stored copy is then good for at a given moment is [`super::plan::lookup`]'s question.

use super::entry::Entry;
use super::fields::Fields;
use super::time::UnixMillis;

/// Whether the bucket's own words on caching count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginCacheControl {
    /// They do not: the rule is ours. B2 answers `max-age=0, no-cache, no-store` for every object
    /// that was given none of its own.
    Ignore,
    /// They do, in nginx's order: `X-Accel-Expires`, then `Cache-Control`, then `Expires`.
    Respect,
}

/// How long answers are kept: the four settings that say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreshnessRule {
    /// For how long a 200 is fresh, in seconds (`FRESH_SECONDS`).
    pub fresh_seconds: u64,
    /// For how long after that it may be served in need, in seconds (`STALE_SECONDS`).
    pub stale_seconds: u64,
    /// For how long a 404 or 410 is remembered, in seconds; 0 for never (`NEGATIVE_SECONDS`).
    pub negative_seconds: u64,
    /// Whether the bucket's own words outrank these (`ORIGIN_CACHE_CONTROL`).
    pub origin: OriginCacheControl,
}

/// Why an answer is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncacheable {
    /// Its status is not one that is stored.
    Status(u16),
    /// It differs with things no cache can know: `Vary: *`.
    VaryAny,
    /// The bucket forbids it, or gives it no time: `no-store`, `max-age=0`, `Expires` in the past.
    ByOrigin,
    /// The rule gives it no time: `FRESH_SECONDS = 0`.
    NoTime,
}

/// The record under which an answer is to be stored, or why it is not stored.
pub fn entry_for(
    status: u16,
    fields: &Fields,
    rule: &FreshnessRule,
    now: UnixMillis,
) -> Result<Entry, Uncacheable> {
    let _ = (status, fields, rule, now);
    Err(Uncacheable::Status(status))
}

/// The record of a stored copy that the bucket has just confirmed with a 304 that carries `fields`.
#[must_use]
pub fn confirmed(entry: &Entry, fields: &Fields, rule: &FreshnessRule, now: UnixMillis) -> Entry {
    let _ = (fields, rule, now);
    *entry
}
