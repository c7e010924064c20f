//! How long an answer may be served, and whether it may be stored at all.
//!
//! What a stored copy is then good for at a given moment is [`super::decision::freshness_of`]'s question.

use super::entry::Entry;
use super::headers::{self, text, texts};
use super::time::{UnixMillis, parse_http_date};
use http::header::{AGE, CACHE_CONTROL, EXPIRES, VARY};
use http::{HeaderMap, HeaderName, StatusCode};
use serde::Serialize;

/// nginx's own header for the time an answer is kept.
const X_ACCEL_EXPIRES: HeaderName = HeaderName::from_static("x-accel-expires");

/// Whether the bucket's own words on caching count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum OriginCacheControl {
    /// They do not: the rule is ours. B2 answers `max-age=0, no-cache, no-store` for every object
    /// that was given none of its own.
    Ignore,
    /// They do: `X-Accel-Expires`, else `Cache-Control`, else `Expires`, as nginx reads them.
    ///
    /// nginx 1.22 takes the three in the order in which they arrive, so that an `Expires` may
    /// outrank a `Cache-Control` that comes after it. The runtime hands headers over sorted by
    /// name: that order is lost, and this one, which RFC 9111 (section 5.3) asks for, stands.
    Respect,
}

/// How long answers are kept: the four settings that say so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
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
    Status(StatusCode),
    /// It differs with things no cache can know: `Vary: *`.
    VaryAny,
    /// The bucket forbids it, or gives it no time: `no-store`, `max-age=0`, `Expires` in the past.
    ByOrigin,
    /// The rule gives it no time: `FRESH_SECONDS = 0`.
    NoTime,
}

/// The record under which an answer is to be stored, or why it is not stored. `asked_at` is when the
/// bucket was asked, `now` when it answered.
///
/// `Set-Cookie` does not stand in the way (it never reaches a client), nor does a `Vary` that
/// names request headers: the bucket is always asked with the same ones, so there is one variant.
pub fn entry_for(
    status: StatusCode,
    headers: &HeaderMap,
    rule: &FreshnessRule,
    asked_at: UnixMillis,
    now: UnixMillis,
) -> Result<Entry, Uncacheable> {
    if status != StatusCode::OK {
        return Err(Uncacheable::Status(status));
    }
    if texts(headers, VARY)
        .flat_map(|value| value.split(','))
        .any(|name| name.trim() == "*")
    {
        return Err(Uncacheable::VaryAny);
    }
    let fresh_until = match origin_rule(headers, rule, now) {
        OriginRule::None if rule.fresh_seconds == 0 => return Err(Uncacheable::NoTime),
        OriginRule::None => now.plus_seconds(rule.fresh_seconds),
        OriginRule::Until(moment) => moment,
        OriginRule::Never => return Err(Uncacheable::ByOrigin),
    };
    let generated_at = generated_at(headers, asked_at);
    Ok(entry_until(fresh_until, rule, asked_at, generated_at, now))
}

/// The record of a 404 or 410 that is remembered; `None` where the rule remembers none. It is
/// never stale.
#[must_use]
pub fn entry_for_missing(
    status: u16,
    rule: &FreshnessRule,
    asked_at: UnixMillis,
    now: UnixMillis,
) -> Option<Entry> {
    let until = now.plus_seconds(rule.negative_seconds);
    (rule.negative_seconds > 0).then_some(Entry {
        status,
        asked_at,
        generated_at: now,
        fresh_until: until,
        stale_until: until,
    })
}

/// The record of a stored copy that the bucket has just confirmed with a 304 that carries `headers`.
///
/// A 304 that forbids storing leaves the copy as stale as it was: it is still the right answer
/// now, and the bucket is asked again the next time.
#[must_use]
pub fn confirmed(
    entry: &Entry,
    headers: &HeaderMap,
    rule: &FreshnessRule,
    asked_at: UnixMillis,
    now: UnixMillis,
) -> Entry {
    let fresh_until = match origin_rule(headers, rule, now) {
        OriginRule::None => now.plus_seconds(rule.fresh_seconds),
        OriginRule::Until(moment) => moment,
        OriginRule::Never => now,
    };
    let generated_at = generated_at(headers, asked_at);
    Entry {
        status: entry.status,
        ..entry_until(fresh_until, rule, asked_at, generated_at, now)
    }
}

/// The stale window opens when freshness ends, and not before the copy is stored.
fn entry_until(
    fresh_until: UnixMillis,
    rule: &FreshnessRule,
    asked_at: UnixMillis,
    generated_at: UnixMillis,
    now: UnixMillis,
) -> Entry {
    Entry {
        status: StatusCode::OK.as_u16(),
        asked_at,
        generated_at,
        fresh_until,
        stale_until: fresh_until.max(now).plus_seconds(rule.stale_seconds),
    }
}

/// When an answer was of age 0: a cache behind the worker may have kept it for a while.
fn generated_at(headers: &HeaderMap, asked_at: UnixMillis) -> UnixMillis {
    let age = headers::number(headers, AGE).unwrap_or(0);
    UnixMillis(asked_at.0.saturating_sub(age.saturating_mul(1000)))
}

/// What the bucket says about how long its answer may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OriginRule {
    /// Nothing that counts.
    None,
    /// Fresh before this moment, which may lie in the past.
    Until(UnixMillis),
    /// Not to be kept.
    Never,
}

fn origin_rule(headers: &HeaderMap, rule: &FreshnessRule, now: UnixMillis) -> OriginRule {
    if rule.origin == OriginCacheControl::Ignore {
        return OriginRule::None;
    }
    let rules = [
        x_accel_expires(headers, now),
        cache_control(headers, now),
        expires(headers, now),
    ];
    rules
        .into_iter()
        .find(|rule| *rule != OriginRule::None)
        .unwrap_or(OriginRule::None)
}

/// Seconds from now, or `@` and seconds since 1970; 0 forbids; what is no number does not count.
fn x_accel_expires(headers: &HeaderMap, now: UnixMillis) -> OriginRule {
    let Some(text) = text(headers, X_ACCEL_EXPIRES).map(str::trim) else {
        return OriginRule::None;
    };
    match text.strip_prefix('@') {
        Some(moment) => headers::digits(moment).map_or(OriginRule::None, |second| {
            OriginRule::Until(UnixMillis(0).plus_seconds(second))
        }),
        None => headers::digits(text).map_or(OriginRule::None, |seconds| for_seconds(seconds, now)),
    }
}

/// `no-cache`, `no-store` and `private` forbid; then `s-maxage`, then `max-age`. An age that
/// cannot be read forbids, and of several the shortest counts.
fn cache_control(headers: &HeaderMap, now: UnixMillis) -> OriginRule {
    let (mut shared, mut any) = (None, None);
    for directive in texts(headers, CACHE_CONTROL).flat_map(|value| value.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let name = name.trim();
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let shortest =
            |so_far: Option<u64>| Some(so_far.unwrap_or(u64::MAX).min(age(value.trim())));
        if is("no-cache") || is("no-store") || is("private") {
            return OriginRule::Never;
        } else if is("s-maxage") {
            shared = shortest(shared);
        } else if is("max-age") {
            any = shortest(any);
        }
    }
    shared
        .or(any)
        .map_or(OriginRule::None, |seconds| for_seconds(seconds, now))
}

/// An age in seconds: 0 for what is no number, the longest there is for one that overflows.
fn age(text: &str) -> u64 {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits {
        text.parse().unwrap_or(u64::MAX)
    } else {
        0
    }
}

/// A date ahead; anything else forbids, `0` and `-1` above all.
fn expires(headers: &HeaderMap, now: UnixMillis) -> OriginRule {
    let Some(text) = text(headers, EXPIRES) else {
        return OriginRule::None;
    };
    match parse_http_date(text) {
        Some(second) if second > now.seconds() => {
            OriginRule::Until(UnixMillis(0).plus_seconds(second))
        }
        _ => OriginRule::Never,
    }
}

fn for_seconds(seconds: u64, now: UnixMillis) -> OriginRule {
    if seconds == 0 {
        OriginRule::Never
    } else {
        OriginRule::Until(now.plus_seconds(seconds))
    }
}

#[cfg(test)]
mod tests;
