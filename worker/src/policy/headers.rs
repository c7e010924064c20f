//! Which of the bucket's headers a client sees, which are added, and how header values are read.

use super::range::unsatisfied_content_range;
use super::record::Record;
use super::status::CacheStatus;
use super::time::{UnixMillis, http_date};
use http::header::{
    ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_ORIGIN, AGE, AsHeaderName, CACHE_CONTROL, CONNECTION,
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    EXPIRES, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// The header with the [`CacheStatus`] of the answer.
pub const X_CACHE_STATUS: HeaderName = HeaderName::from_static("x-cache-status");

/// The header of a stored response that holds its [`Record`]. Every answer overwrites it with the cache status:
/// a hit reads and writes one header, and no client sees the record.
pub const RECORD: HeaderName = X_CACHE_STATUS;

/// The header in which browsers' tools find the cache status, and how long the bucket took
/// (www.w3.org/TR/server-timing).
pub const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

/// The header in which Cloudflare's caches state their own status
/// (developers.cloudflare.com/workers/cache/debugging). Clients never see it.
pub const CF_CACHE_STATUS: HeaderName = HeaderName::from_static("cf-cache-status");

/// For how long clients may keep a file, in seconds: a year, as nginx's `expires 1y`.
pub const CLIENT_SECONDS: u64 = 31_536_000;

/// Headers that keep a browser from guessing a file's type, and from running scripts in it.
pub const SECURITY: [(HeaderName, &str); 2] = [
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; form-action 'none'",
    ),
];

/// Added to answers of the statuses in [`has_added_headers`], besides [`SECURITY`], `Expires` and
/// [`X_CACHE_STATUS`].
pub const ADDED: [(HeaderName, &str); 2] = [
    (CACHE_CONTROL, "public, max-age=31536000"),
    (ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
];

/// Removed from every answer of the bucket, by name.
const REMOVED: [&str; 20] = [
    "set-cookie",
    // It names the bucket or its address.
    "location",
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
    "server-timing",
    // Added by Cloudflare's edge, about the connection to the bucket.
    "alt-svc",
    "nel",
    "report-to",
];

/// Removed from every answer of the bucket, by the start of the name.
const REMOVED_PREFIXES: [&str; 6] = [
    "access-control-",
    "cf-",
    "x-accel-",
    "x-amz-",
    "x-amzn-",
    "x-bz-",
];

/// Removed from a 304: what describes a body (RFC 9110, section 15.4.5).
pub const ABOUT_THE_BODY: [HeaderName; 5] = [
    CONTENT_TYPE,
    CONTENT_LENGTH,
    CONTENT_ENCODING,
    CONTENT_RANGE,
    ACCEPT_RANGES,
];

/// The value of a header as text, of several lines the first. The runtime's values are all text.
pub fn text(headers: &HeaderMap, name: impl AsHeaderName) -> Option<&str> {
    std::str::from_utf8(headers.get(name)?.as_bytes()).ok()
}

/// The values of all lines of a header, in order.
pub fn texts(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter();
    values.filter_map(|value| std::str::from_utf8(value.as_bytes()).ok())
}

/// The value of a header as a number; `None` where it is not one.
pub fn number(headers: &HeaderMap, name: impl AsHeaderName) -> Option<u64> {
    parse_number(text(headers, name)?.trim())
}

/// Reads a number that consists of ASCII digits only, without a sign.
pub fn parse_number(text: &str) -> Option<u64> {
    let all_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits.then(|| text.parse().ok()).flatten()
}

/// A header value from a text of the worker's own: ASCII without control characters.
pub fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

/// Whether answers with this status get the added headers: nginx's list for `add_header` and `expires`, and
/// 416, which nginx makes from a 200.
pub fn has_added_headers(status: StatusCode) -> bool {
    matches!(
        status.as_u16(),
        200 | 201 | 204 | 206 | 301 | 302 | 303 | 304 | 307 | 308 | 416
    )
}

/// Whether a header of the bucket is removed.
pub fn is_removed(name: &HeaderName) -> bool {
    let name = name.as_str();
    REMOVED.contains(&name) || REMOVED_PREFIXES.iter().any(|start| name.starts_with(start))
}

/// The headers of an answer of the bucket as a client gets them: without those that are removed, and with the
/// added ones where [`has_added_headers`].
pub fn for_client(
    status: StatusCode,
    from_origin: &HeaderMap,
    cache_status: CacheStatus,
    now: UnixMillis,
) -> HeaderMap {
    let mut headers = stripped(from_origin);
    if has_added_headers(status) {
        add(&mut headers, cache_status, now);
    }
    headers
}

/// Sets `Server-Timing` where the answer has a cache status. `waited`: how long the bucket was waited for, in
/// milliseconds.
pub fn set_server_timing(headers: &mut HeaderMap, waited: Option<u64>) {
    if let Some(status) = text(headers, X_CACHE_STATUS) {
        let timing = CacheStatus::parse(status).server_timing(waited);
        headers.insert(SERVER_TIMING, value(&timing));
    }
}

/// The headers with which an answer is stored, from those of [`for_client`]: as a client gets them on a hit,
/// with the record in the place of the cache status, and without `Age`, which is computed from the record.
pub fn for_store(mut headers: HeaderMap, record: &Record) -> HeaderMap {
    headers.remove(AGE);
    headers.insert(RECORD, value(&record.encode()));
    // A hit then serves it as it is.
    let timing = CacheStatus::Hit.server_timing(None);
    headers.insert(SERVER_TIMING, value(&timing));
    headers
}

/// The headers of the stored mark that an object is missing: the record, and for how long the store keeps
/// it.
pub fn for_missing(record: &Record, now: UnixMillis) -> HeaderMap {
    let seconds = record.fresh_until.0.saturating_sub(now.0).div_ceil(1000);
    HeaderMap::from_iter([
        (CACHE_CONTROL, value(&format!("public, max-age={seconds}"))),
        (RECORD, value(&record.encode())),
    ])
}

/// The headers of a 304, from those of a 200.
pub fn for_not_modified(mut headers: HeaderMap) -> HeaderMap {
    for name in ABOUT_THE_BODY {
        headers.remove(name);
    }
    headers
}

/// The headers of an answer without a body and without an object's headers.
pub fn security_only() -> HeaderMap {
    let headers = SECURITY.map(|(name, text)| (name, HeaderValue::from_static(text)));
    HeaderMap::from_iter(headers)
}

/// The headers of a 416 about an object of `length` bytes.
pub fn for_unsatisfiable(length: u64, cache_status: CacheStatus, now: UnixMillis) -> HeaderMap {
    let range = value(&unsatisfied_content_range(length));
    let mut headers = HeaderMap::from_iter([(CONTENT_RANGE, range)]);
    add(&mut headers, cache_status, now);
    headers
}

/// The bucket's headers without those that [`is_removed`], or that its `Connection` names.
fn stripped(from_origin: &HeaderMap) -> HeaderMap {
    let named: Vec<&str> = texts(from_origin, CONNECTION)
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .collect();
    let is_for_this_hop = |name: &HeaderName| {
        named
            .iter()
            .any(|other| other.eq_ignore_ascii_case(name.as_str()))
    };
    from_origin
        .iter()
        .filter(|(name, _)| !is_removed(name) && !is_for_this_hop(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn add(headers: &mut HeaderMap, cache_status: CacheStatus, now: UnixMillis) {
    for (name, text) in ADDED.into_iter().chain(SECURITY) {
        headers.insert(name, HeaderValue::from_static(text));
    }
    let expires = http_date(now.plus_seconds(CLIENT_SECONDS));
    headers.insert(EXPIRES, value(&expires));
    headers.insert(
        X_CACHE_STATUS,
        HeaderValue::from_static(cache_status.as_str()),
    );
}

#[cfg(test)]
mod tests;
