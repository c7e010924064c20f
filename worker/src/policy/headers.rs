//! Which of the bucket's headers a client sees, and which are added. As data: two tables.

use super::entry::{self, Entry};
use super::fields::Fields;
use super::freshness::{self, FreshnessRule};
use super::number::push_decimal;
use super::range::unsatisfied_content_range;
use super::status::CacheStatus;
use super::time::{UnixMillis, http_date};

/// The header in which the cache says how it came by the answer.
pub const CACHE_STATUS: &str = "X-Cache-Status";

/// For how long clients may keep a file, in seconds: a year, as nginx's `expires 1y`.
pub const CLIENT_SECONDS: u64 = 31_536_000;

/// Added to answers of the statuses in [`is_dressed`], besides `Expires` and [`CACHE_STATUS`].
pub const ADDED: [(&str, &str); 4] = [
    ("Cache-Control", "public, max-age=31536000"),
    ("Access-Control-Allow-Origin", "*"),
    ("X-Content-Type-Options", "nosniff"),
    (
        "Content-Security-Policy",
        "default-src 'none'; form-action 'none'",
    ),
];

/// Removed from every answer of the bucket, by name.
const REMOVED: [&str; 15] = [
    "set-cookie",
    "server",
    "via",
    "x-powered-by",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authentication-info",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "x-cache-status",
];

/// Removed from every answer of the bucket, by the start of the name.
const REMOVED_PREFIXES: [&str; 5] = ["access-control-", "x-accel-", "x-amz-", "x-amzn-", "x-bz-"];

/// Whether answers of this status get the added headers: nginx's list for `add_header` and
/// `expires`, and 416, which nginx sends out of a 200.
#[must_use]
pub const fn is_dressed(status: u16) -> bool {
    matches!(
        status,
        200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308 | 416
    )
}

/// Whether a header of the bucket is kept from the client. `name` in any case.
#[must_use]
pub fn is_removed(name: &str) -> bool {
    let starts = |prefix: &&str| {
        name.as_bytes()
            .get(..prefix.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()))
    };
    REMOVED.iter().any(|other| other.eq_ignore_ascii_case(name))
        || REMOVED_PREFIXES.iter().any(starts)
}

/// The headers with which an answer of the bucket goes to a client: stripped, and dressed where
/// its status wants it. `cache` is left out on statuses that are not dressed.
#[must_use]
pub fn for_client(status: u16, bucket: &Fields, cache: CacheStatus, now: UnixMillis) -> Fields {
    let mut fields = stripped(bucket);
    if is_dressed(status) {
        dress(&mut fields, cache.as_str(), now);
    }
    fields
}

/// The headers with which an answer of the bucket is stored; see [`recorded`].
#[must_use]
pub fn for_store(bucket: &Fields, entry: &Entry, now: UnixMillis) -> Fields {
    let for_client = for_client(entry.status, bucket, CacheStatus::Miss, now);
    recorded(for_client, entry, now)
}

/// The headers of an answer for a client, as [`for_client`] makes them, with the record in the place of
/// the cache status: those with which it is stored.
///
/// An answer that is not dressed (a remembered 404) says for how long it is remembered: no cache
/// would keep it under the `no-store` that B2 sends along. Whoever serves it removes the record.
#[must_use]
pub fn recorded(mut fields: Fields, entry: &Entry, now: UnixMillis) -> Fields {
    if !is_dressed(entry.status) {
        let mut age = "public, max-age=".to_owned();
        push_decimal(
            &mut age,
            entry.fresh_until.0.saturating_sub(now.0).div_ceil(1000),
        );
        fields.remove("expires");
        fields.set("Cache-Control", age);
    }
    fields.set(entry::HEADER, entry.encode());
    fields
}

/// The headers of a 304 made from a stored answer's: those that describe a body are left out.
#[must_use]
pub fn for_not_modified(stored: &Fields) -> Fields {
    let about_the_body = |name: &str| {
        [
            "content-type",
            "content-length",
            "content-encoding",
            "content-range",
            "accept-ranges",
        ]
        .iter()
        .any(|other| other.eq_ignore_ascii_case(name))
    };
    stored
        .iter()
        .filter(|(name, _)| !about_the_body(name))
        .collect()
}

/// The headers of a 416 about an object of `length` bytes.
#[must_use]
pub fn for_unsatisfiable(length: u64, cache: CacheStatus, now: UnixMillis) -> Fields {
    let mut fields = Fields::from_iter([("Content-Range", unsatisfied_content_range(length))]);
    dress(&mut fields, cache.as_str(), now);
    fields
}

/// What to tell the platform's cache in `Cloudflare-CDN-Cache-Control`: the rule for what
/// [`freshness::entry_for`] would store, and `no-store` for everything else. It must always
/// be said: an answer without it is cached for two hours.
#[must_use]
pub fn platform_cache_control(
    status: u16,
    bucket: &Fields,
    rule: &FreshnessRule,
    now: UnixMillis,
) -> String {
    // A 304 speaks of the 200 that the platform has stored.
    let status = if status == 304 { 200 } else { status };
    let Ok(entry) = freshness::entry_for(status, bucket, rule, now) else {
        return "no-store".to_owned();
    };
    let fresh = entry.fresh_until.0.saturating_sub(now.0) / 1000;
    let stale = (entry.stale_until.0 - entry.fresh_until.max(now).0) / 1000;
    let mut text = "public, max-age=".to_owned();
    push_decimal(&mut text, fresh);
    if stale > 0 {
        for directive in [", stale-while-revalidate=", ", stale-if-error="] {
            text.push_str(directive);
            push_decimal(&mut text, stale);
        }
    }
    text
}

/// What of the bucket's headers may go on: neither [`is_removed`] nor named by its `Connection`.
fn stripped(bucket: &Fields) -> Fields {
    let lists = bucket.all("connection");
    let for_this_hop: Vec<&str> = lists
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .collect();
    let is_for_this_hop = |name: &str| {
        for_this_hop
            .iter()
            .any(|other| other.eq_ignore_ascii_case(name))
    };
    bucket
        .iter()
        .filter(|(name, _)| !is_removed(name) && !is_for_this_hop(name))
        .collect()
}

fn dress(fields: &mut Fields, cache_status: &str, now: UnixMillis) {
    for (name, value) in ADDED {
        fields.set(name, value);
    }
    fields.set("Expires", http_date(now.plus_seconds(CLIENT_SECONDS)));
    fields.set(CACHE_STATUS, cache_status);
}

#[cfg(test)]
mod tests;
