//! From an answer, a refusal or an error to a response: the only place that picks statuses for
//! errors. Nothing here tells a client why something failed; the log does.

use crate::admission::Refusal;
use crate::engine::{Answer, READ_HEADERS};
use crate::policy::cors;
use crate::policy::entry::Entry;
use crate::policy::headers::{self, ABOUT_THE_BODY, SECURITY, SERVER_TIMING, X_CACHE_STATUS};
use crate::policy::origin_error::OriginError;
use crate::policy::status::CacheStatus;
use crate::runtime;
use crate::sdk;
use crate::store::{CachedResponse, OF_THE_CACHE, Stream};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, StatusCode};
use worker::Headers;
use worker::web_sys::{self, Response};

/// An answer of the engine, for which the bucket was waited so many milliseconds, if it was asked.
/// `head`: without its body.
#[must_use]
pub fn answer(answer: Answer<CachedResponse>, head: bool, waited: u64) -> Response {
    match answer {
        Answer::Stored(copy, cache) => {
            let response = copy.found.into_response(!head);
            set_cache_status(&response.headers(), cache, &copy.entry, waited);
            response
        }
        Answer::NotModified(copy, cache) => {
            let response = copy.found.into_not_modified();
            let headers = response.headers();
            for name in ABOUT_THE_BODY {
                _ = headers.delete(name.as_str());
            }
            set_cache_status(&headers, cache, &copy.entry, waited);
            response
        }
        Answer::Made {
            status,
            mut headers,
            body,
        } => {
            headers::set_server_timing(&mut headers, Some(waited));
            made(status, &headers, body.filter(|_| !head))
        }
    }
}

/// An answer made from its parts.
#[must_use]
pub fn made(status: StatusCode, headers: &HeaderMap, body: Option<Stream>) -> Response {
    let body = body.and_then(Stream::take);
    sdk::response(status.as_u16(), &sdk::headers(headers).0, body.as_ref())
}

/// A request that is not let in.
#[must_use]
pub fn refusal(refusal: Refusal) -> Response {
    plain(refusal.status())
}

/// A preflight of a script on another site (fetch.spec.whatwg.org, "CORS protocol").
#[must_use]
pub fn preflight(requested: &str) -> Response {
    made(
        StatusCode::NO_CONTENT,
        &cors::preflight(requested, &READ_HEADERS),
        None,
    )
}

/// The bucket has not given the object. Its own answer never goes on: it can name key id and bucket.
#[must_use]
pub fn origin_error(error: OriginError) -> Response {
    let (status, retry_after) = match error {
        OriginError::Timeout => (504, None),
        OriginError::Connect
        | OriginError::CapExceeded
        | OriginError::Credentials
        | OriginError::WrongBucket => (502, None),
        OriginError::Denied => (403, None),
        OriginError::Server {
            status,
            retry_after,
        }
        | OriginError::SlowDown {
            status,
            retry_after,
        } => (status, retry_after),
        OriginError::Missing { status, .. } | OriginError::Refused { status } => (status, None),
    };
    let headers = plain_headers();
    if let Some(seconds) = retry_after {
        _ = headers.set("Retry-After", &seconds.to_string());
    }
    if let OriginError::Missing {
        remembered: Some(remembered),
        ..
    } = error
    {
        _ = headers.set(
            "Cache-Control",
            &format!("public, max-age={}", remembered.max_age),
        );
        _ = headers.set("Age", &remembered.age.to_string());
    }
    // The runtime makes no response of a status beyond 599.
    let status = StatusCode::from_u16(status).ok();
    let is_error = |status: &StatusCode| status.is_client_error() || status.is_server_error();
    text(
        status.filter(is_error).unwrap_or(StatusCode::BAD_GATEWAY),
        &headers,
    )
}

/// The reader wants another version of the object, or none.
#[must_use]
pub fn precondition_failed() -> Response {
    made(StatusCode::PRECONDITION_FAILED, &headers::secured(), None)
}

/// 503: to be asked again in so many seconds.
#[must_use]
pub fn busy(seconds: u64) -> Response {
    let headers = plain_headers();
    _ = headers.set("Retry-After", &seconds.to_string());
    text(StatusCode::SERVICE_UNAVAILABLE, &headers)
}

/// A document of ours, for programs. Nobody keeps it.
#[must_use]
pub fn json(status: StatusCode, json: &str, head: bool) -> Response {
    let headers = plain_headers();
    _ = headers.set("Content-Type", "application/json");
    _ = headers.set("Cache-Control", "no-store");
    match head {
        true => sdk::response(status.as_u16(), &headers.0, None),
        false => sdk::text_response(status.as_u16(), &headers.0, json),
    }
}

/// A status and its name, as plain text, with these headers of an answer without a body.
#[must_use]
pub fn error_like(status: StatusCode, headers: &web_sys::Headers) -> Response {
    // Of the body that was not sent.
    _ = headers.delete(CONTENT_LENGTH.as_str());
    sdk::text_response(status.as_u16(), headers, &format!("{status}\n"))
}

/// A status and its name, as plain text.
#[must_use]
pub fn plain(status: StatusCode) -> Response {
    text(status, &plain_headers())
}

fn plain_headers() -> Headers {
    let headers = Headers::new();
    for (name, value) in SECURITY {
        _ = headers.set(name.as_str(), value);
    }
    headers
}

fn text(status: StatusCode, headers: &Headers) -> Response {
    let line = format!("{status}\n");
    // The runtime tells it by itself, but not of a HEAD.
    _ = headers.set(CONTENT_LENGTH.as_str(), &line.len().to_string());
    sdk::text_response(status.as_u16(), &headers.0, &line)
}

/// Says how the cache came by a stored answer, in the place of its record.
fn set_cache_status(headers: &web_sys::Headers, cache: CacheStatus, entry: &Entry, waited: u64) {
    // The other one is replaced.
    let [cf_cache_status, age] = OF_THE_CACHE;
    _ = headers.delete(cf_cache_status);
    _ = headers.set(X_CACHE_STATUS.as_str(), cache.as_str());
    _ = headers.set(age, &entry.age_seconds(runtime::now()).to_string());
    // It is stored as a hit's.
    if cache != CacheStatus::Hit {
        let timing = cache.server_timing(Some(waited));
        _ = headers.set(SERVER_TIMING.as_str(), &timing);
    }
}
