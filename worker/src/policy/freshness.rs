//! How long an answer may be served, and whether it may be stored at all.
//!
//! What a stored copy is then good for at a given moment is [`super::plan::lookup`]'s question.

use super::entry::Entry;
use super::fields::Fields;
use super::number::parse_decimal;
use super::time::{UnixMillis, parse_http_date};

/// Whether the bucket's own words on caching count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
///
/// `Set-Cookie` does not stand in the way (it never reaches a client), nor does a `Vary` that
/// names request headers: the bucket is always asked with the same ones, so there is one variant.
pub fn entry_for(
    status: u16,
    fields: &Fields,
    rule: &FreshnessRule,
    now: UnixMillis,
) -> Result<Entry, Uncacheable> {
    let (seconds, stale_seconds) = match status {
        200 => (rule.fresh_seconds, rule.stale_seconds),
        404 | 410 if rule.negative_seconds > 0 => (rule.negative_seconds, 0),
        _ => return Err(Uncacheable::Status(status)),
    };
    if fields
        .all("vary")
        .flat_map(|value| value.split(','))
        .any(|name| name.trim() == "*")
    {
        return Err(Uncacheable::VaryAny);
    }
    let fresh_until = match word_of_origin(fields, rule, now) {
        Word::Silent if seconds == 0 => return Err(Uncacheable::NoTime),
        Word::Silent => now.plus_seconds(seconds),
        Word::Until(moment) => moment,
        Word::Never => return Err(Uncacheable::ByOrigin),
    };
    Ok(entry_until(status, fresh_until, stale_seconds, now))
}

/// The record of a stored copy that the bucket has just confirmed with a 304 that carries `fields`.
///
/// A 304 that forbids storing leaves the copy as stale as it was: it is still the right answer
/// now, and the bucket is asked again the next time.
#[must_use]
pub fn confirmed(entry: &Entry, fields: &Fields, rule: &FreshnessRule, now: UnixMillis) -> Entry {
    let fresh_until = match word_of_origin(fields, rule, now) {
        Word::Silent => now.plus_seconds(rule.fresh_seconds),
        Word::Until(moment) => moment,
        Word::Never => now,
    };
    entry_until(entry.status, fresh_until, rule.stale_seconds, now)
}

/// The stale window opens when freshness ends, and not before the copy is stored.
fn entry_until(status: u16, fresh_until: UnixMillis, stale_seconds: u64, now: UnixMillis) -> Entry {
    let stale_until = fresh_until.max(now).plus_seconds(stale_seconds);
    Entry {
        status,
        stored_at: now,
        fresh_until,
        stale_until,
    }
}

/// What the bucket says about how long its answer may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Word {
    /// Nothing that counts.
    Silent,
    /// Fresh before this moment, which may lie in the past.
    Until(UnixMillis),
    /// Not to be kept.
    Never,
}

fn word_of_origin(fields: &Fields, rule: &FreshnessRule, now: UnixMillis) -> Word {
    if rule.origin == OriginCacheControl::Ignore {
        return Word::Silent;
    }
    let words = [
        x_accel_expires(fields, now),
        cache_control(fields, now),
        expires(fields, now),
    ];
    words
        .into_iter()
        .find(|word| *word != Word::Silent)
        .unwrap_or(Word::Silent)
}

/// Seconds from now, or `@` and seconds since 1970; 0 forbids; what is no number does not count.
fn x_accel_expires(fields: &Fields, now: UnixMillis) -> Word {
    let Some(text) = fields.get("x-accel-expires").map(str::trim) else {
        return Word::Silent;
    };
    match text.strip_prefix('@') {
        Some(moment) => parse_decimal(moment).map_or(Word::Silent, |second| {
            Word::Until(UnixMillis(0).plus_seconds(second))
        }),
        None => parse_decimal(text).map_or(Word::Silent, |seconds| for_seconds(seconds, now)),
    }
}

/// `no-cache`, `no-store` and `private` forbid; then `s-maxage`, then `max-age`. An age that
/// cannot be read forbids, and of several the shortest counts.
fn cache_control(fields: &Fields, now: UnixMillis) -> Word {
    let (mut shared, mut any) = (None, None);
    for directive in fields
        .all("cache-control")
        .flat_map(|value| value.split(','))
    {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let name = name.trim();
        let is = |other: &str| name.eq_ignore_ascii_case(other);
        let shortest =
            |so_far: Option<u64>| Some(so_far.unwrap_or(u64::MAX).min(age(value.trim())));
        if is("no-cache") || is("no-store") || is("private") {
            return Word::Never;
        } else if is("s-maxage") {
            shared = shortest(shared);
        } else if is("max-age") {
            any = shortest(any);
        }
    }
    shared
        .or(any)
        .map_or(Word::Silent, |seconds| for_seconds(seconds, now))
}

/// An age in seconds: 0 for what is no number, the longest there is for one that overflows.
fn age(text: &str) -> u64 {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits {
        parse_decimal(text).unwrap_or(u64::MAX)
    } else {
        0
    }
}

/// A date ahead; anything else forbids, `0` and `-1` above all.
fn expires(fields: &Fields, now: UnixMillis) -> Word {
    let Some(text) = fields.get("expires") else {
        return Word::Silent;
    };
    match parse_http_date(text) {
        Some(second) if second > now.seconds() => Word::Until(UnixMillis(0).plus_seconds(second)),
        _ => Word::Never,
    }
}

fn for_seconds(seconds: u64, now: UnixMillis) -> Word {
    if seconds == 0 {
        Word::Never
    } else {
        Word::Until(now.plus_seconds(seconds))
    }
}

#[cfg(test)]
mod tests;
