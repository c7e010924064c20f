//! Whether an answer may be stored, and how long it may then be served.
//!
//! [`super::decision::freshness_of`] applies the result at a given moment.

use super::headers::{self, text, texts};
use super::record::Record;
use super::time::{UnixMillis, parse_http_date};
use http::header::{AGE, CACHE_CONTROL, EXPIRES, VARY};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Serialize;

/// nginx's own header for the time an answer is kept.
const X_ACCEL_EXPIRES: HeaderName = HeaderName::from_static("x-accel-expires");

/// Whether the bucket's headers about caching count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum OriginCacheControl {
    /// They do not. B2 answers `max-age=0, no-cache, no-store` for every object that was uploaded without a
    /// `Cache-Control`.
    Ignore,
    /// They do: `X-Accel-Expires`, else `Cache-Control`, else `Expires`, as nginx reads them.
    ///
    /// nginx 1.22 takes them in the order of arrival, so an `Expires` can outrank a later `Cache-Control`.
    /// The runtime sorts headers by name, so that order is lost. This one is that of RFC 9111, section 5.3.
    Respect,
}

/// How long answers are kept: the four settings that say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct FreshnessRule {
    /// For how long a 200 is fresh, in seconds (`FRESH_SECONDS`).
    pub fresh_seconds: u64,
    /// For how long after that a stale copy may be served, in seconds (`STALE_SECONDS`).
    pub stale_seconds: u64,
    /// For how long a 404 or 410 is remembered, in seconds; 0: not at all (`NEGATIVE_SECONDS`).
    pub negative_seconds: u64,
    /// Whether the bucket's own headers outrank `fresh_seconds` (`ORIGIN_CACHE_CONTROL`).
    pub origin: OriginCacheControl,
}

/// Why an answer is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncacheable {
    /// Its status is not 200.
    Status(StatusCode),
    /// It has `Vary: *`.
    VaryAny,
    /// The bucket's headers forbid it: `no-store`, `max-age=0`, `Expires` in the past.
    ByOrigin,
    /// `FRESH_SECONDS` is 0.
    NoTime,
}

/// The record with which an answer is stored, or why it is not stored. `asked_at` is when the bucket was
/// asked, `now` when it answered.
///
/// Neither `Set-Cookie` nor a `Vary` that names request headers prevents it: the one never reaches a client,
/// and the bucket is always asked with the same headers.
pub fn record_for(
    status: StatusCode,
    headers: &HeaderMap,
    rule: &FreshnessRule,
    asked_at: UnixMillis,
    now: UnixMillis,
) -> Result<Record, Uncacheable> {
    if status != StatusCode::OK {
        return Err(Uncacheable::Status(status));
    }
    if texts(headers, VARY)
        .flat_map(|value| value.split(','))
        .any(|name| name.trim() == "*")
    {
        return Err(Uncacheable::VaryAny);
    }
    let fresh_until = match stated_freshness(headers, rule, now) {
        StatedFreshness::None if rule.fresh_seconds == 0 => return Err(Uncacheable::NoTime),
        StatedFreshness::None => now.plus_seconds(rule.fresh_seconds),
        StatedFreshness::Until(moment) => moment,
        StatedFreshness::Never => return Err(Uncacheable::ByOrigin),
    };
    Ok(record_until(fresh_until, headers, rule, asked_at, now))
}

/// The record of the mark that an object is missing; `None` where `NEGATIVE_SECONDS` is 0. It is never stale.
pub fn record_for_missing(
    status: u16,
    rule: &FreshnessRule,
    asked_at: UnixMillis,
    now: UnixMillis,
) -> Option<Record> {
    let until = now.plus_seconds(rule.negative_seconds);
    (rule.negative_seconds > 0).then_some(Record {
        status,
        asked_at,
        generated_at: now,
        fresh_until: until,
        stale_until: until,
    })
}

/// The new record of a stored copy that the bucket has confirmed by a 304 with these headers.
///
/// Where the 304 forbids storing, the copy is served once and is then stale again.
pub fn revalidated(
    record: &Record,
    headers: &HeaderMap,
    rule: &FreshnessRule,
    asked_at: UnixMillis,
    now: UnixMillis,
) -> Record {
    let fresh_until = match stated_freshness(headers, rule, now) {
        StatedFreshness::None => now.plus_seconds(rule.fresh_seconds),
        StatedFreshness::Until(moment) => moment,
        StatedFreshness::Never => now,
    };
    Record {
        status: record.status,
        ..record_until(fresh_until, headers, rule, asked_at, now)
    }
}

/// The stale window begins when freshness ends, but not before `now`.
fn record_until(
    fresh_until: UnixMillis,
    headers: &HeaderMap,
    rule: &FreshnessRule,
    asked_at: UnixMillis,
    now: UnixMillis,
) -> Record {
    // A cache behind the worker may have kept the answer until now.
    let age = headers::number(headers, AGE).unwrap_or(0);
    Record {
        status: StatusCode::OK.as_u16(),
        asked_at,
        generated_at: UnixMillis(asked_at.0.saturating_sub(age.saturating_mul(1000))),
        fresh_until,
        stale_until: fresh_until.max(now).plus_seconds(rule.stale_seconds),
    }
}

/// For how long an answer is fresh by the bucket's own headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StatedFreshness {
    /// They do not say, or do not count.
    None,
    /// Until this moment, which may lie in the past.
    Until(UnixMillis),
    /// They forbid to store it.
    Never,
}

fn stated_freshness(headers: &HeaderMap, rule: &FreshnessRule, now: UnixMillis) -> StatedFreshness {
    if rule.origin == OriginCacheControl::Ignore {
        return StatedFreshness::None;
    }
    let stated = [
        x_accel_expires(headers, now),
        cache_control(headers, now),
        expires(headers, now),
    ];
    let first = stated.into_iter().find(|one| *one != StatedFreshness::None);
    first.unwrap_or(StatedFreshness::None)
}

/// Seconds from now, or `@` and seconds since 1970. 0 forbids to store. Anything but a number does not count.
fn x_accel_expires(headers: &HeaderMap, now: UnixMillis) -> StatedFreshness {
    let Some(text) = text(headers, X_ACCEL_EXPIRES).map(str::trim) else {
        return StatedFreshness::None;
    };
    match text.strip_prefix('@') {
        Some(moment) => headers::parse_number(moment).map_or(StatedFreshness::None, |second| {
            StatedFreshness::Until(UnixMillis(0).plus_seconds(second))
        }),
        None => headers::parse_number(text)
            .map_or(StatedFreshness::None, |seconds| for_seconds(seconds, now)),
    }
}

/// `no-cache`, `no-store` and `private` forbid to store. Otherwise `s-maxage` counts, or else `max-age`; of
/// several the shortest. An age that cannot be read counts as 0.
fn cache_control(headers: &HeaderMap, now: UnixMillis) -> StatedFreshness {
    let (mut shared, mut any) = (None, None);
    for directive in texts(headers, CACHE_CONTROL).flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let name = name.trim();
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let shortest =
            |so_far: Option<u64>| Some(so_far.unwrap_or(u64::MAX).min(parse_age(value.trim())));
        if is("no-cache") || is("no-store") || is("private") {
            return StatedFreshness::Never;
        } else if is("s-maxage") {
            shared = shortest(shared);
        } else if is("max-age") {
            any = shortest(any);
        }
    }
    shared
        .or(any)
        .map_or(StatedFreshness::None, |seconds| for_seconds(seconds, now))
}

/// An age in seconds: 0 for a text that is not a number, `u64::MAX` for one that overflows.
fn parse_age(text: &str) -> u64 {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    match is_number {
        true => text.parse().unwrap_or(u64::MAX),
        false => 0,
    }
}

/// A date in the future. Anything else forbids to store, `0` and `-1` for example.
fn expires(headers: &HeaderMap, now: UnixMillis) -> StatedFreshness {
    let Some(text) = text(headers, EXPIRES) else {
        return StatedFreshness::None;
    };
    match parse_http_date(text) {
        Some(second) if second > now.seconds() => {
            StatedFreshness::Until(UnixMillis(0).plus_seconds(second))
        }
        _ => StatedFreshness::Never,
    }
}

fn for_seconds(seconds: u64, now: UnixMillis) -> StatedFreshness {
    match seconds {
        0 => StatedFreshness::Never,
        _ => StatedFreshness::Until(now.plus_seconds(seconds)),
    }
}

#[cfg(test)]
mod tests;
