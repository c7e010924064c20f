//! Responses, and the statuses of the bucket's errors. No response says why something failed: the log does.

use crate::body::BodyStream;
use crate::engine::{Answer, READ_HEADERS};
use crate::policy::cors;
use crate::policy::headers::{self, CF_CACHE_STATUS, SECURITY, SERVER_TIMING, X_CACHE_STATUS};
use crate::policy::origin_error::OriginError;
use crate::policy::record::Record;
use crate::policy::status::CacheStatus;
use crate::policy::time::UnixMillis;
use crate::runtime;
use crate::sdk;
use crate::store::CachedResponse;
use http::header::{AGE, CONTENT_LENGTH};
use http::{HeaderMap, StatusCode};
use worker::Headers;
use worker::web_sys::{self, Response};

/// The response to a read in engine mode that began at `began`. `head`: without its body.
pub fn answer(
    answer: Result<Answer<CachedResponse>, OriginError>,
    head: bool,
    began: UnixMillis,
) -> Response {
    match answer {
        Ok(Answer::Stored(copy, cache_status)) => {
            let response = copy.found.into_response(!head);
            set_cache_status(&response.headers(), cache_status, &copy.record, began);
            response
        }
        Ok(Answer::NotModified(copy, cache_status)) => {
            let response = copy.found.into_not_modified();
            set_cache_status(&response.headers(), cache_status, &copy.record, began);
            response
        }
        Ok(Answer::FromParts {
            status,
            mut headers,
            body,
        }) => {
            headers::set_server_timing(&mut headers, Some(waited_since(began, runtime::now())));
            from_parts(status, &headers, body.filter(|_| !head))
        }
        Err(error) => origin_error(error),
    }
}

/// A response made from its parts.
pub fn from_parts(status: StatusCode, headers: &HeaderMap, body: Option<BodyStream>) -> Response {
    let body = body.and_then(BodyStream::take);
    sdk::response(status.as_u16(), &sdk::headers(headers).0, body.as_ref())
}

/// The answer to a preflight (fetch.spec.whatwg.org, "CORS protocol"). `requested` is its
/// `Access-Control-Request-Headers`.
pub fn preflight(requested: &str) -> Response {
    let headers = cors::preflight(requested, &READ_HEADERS);
    from_parts(StatusCode::NO_CONTENT, &headers, None)
}

/// The answer where the bucket has not given the object. Nothing of the bucket's own answer is in it but
/// status and `Retry-After`: its text can name key id and bucket.
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
    // The runtime accepts no status above 599.
    let status = StatusCode::from_u16(status).ok();
    let is_error = |status: &StatusCode| status.is_client_error() || status.is_server_error();
    text(
        status.filter(is_error).unwrap_or(StatusCode::BAD_GATEWAY),
        &headers,
    )
}

/// 412: the object does not meet the reader's precondition.
pub fn precondition_failed() -> Response {
    from_parts(
        StatusCode::PRECONDITION_FAILED,
        &headers::security_only(),
        None,
    )
}

/// 503, with `Retry-After` in seconds.
pub fn busy(seconds: u64) -> Response {
    let headers = plain_headers();
    _ = headers.set("Retry-After", &seconds.to_string());
    text(StatusCode::SERVICE_UNAVAILABLE, &headers)
}

/// A JSON document that no cache keeps.
pub fn json(status: StatusCode, json: &str, head: bool) -> Response {
    let headers = plain_headers();
    _ = headers.set("Content-Type", "application/json");
    _ = headers.set("Cache-Control", "no-store");
    match head {
        true => sdk::response(status.as_u16(), &headers.0, None),
        false => sdk::text_response(status.as_u16(), &headers.0, json),
    }
}

/// A status and its name, as plain text, with headers that a HEAD was answered with: the body is made here.
pub fn error_with_headers(status: StatusCode, headers: &web_sys::Headers) -> Response {
    // It is the length of the body that a GET would have had.
    _ = headers.delete(CONTENT_LENGTH.as_str());
    sdk::text_response(status.as_u16(), headers, &format!("{status}\n"))
}

/// A status and its name, as plain text.
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
    // The runtime sets the length itself, but not in answers to HEAD.
    _ = headers.set(CONTENT_LENGTH.as_str(), &line.len().to_string());
    sdk::text_response(status.as_u16(), &headers.0, &line)
}

/// Sets the cache status of a stored answer, in the place of its record, and its age.
fn set_cache_status(
    headers: &web_sys::Headers,
    cache_status: CacheStatus,
    record: &Record,
    began: UnixMillis,
) {
    let now = runtime::now();
    _ = headers.delete(CF_CACHE_STATUS.as_str());
    _ = headers.set(X_CACHE_STATUS.as_str(), cache_status.as_str());
    _ = headers.set(AGE.as_str(), &record.age_seconds(now).to_string());
    // The stored value is that of a hit.
    if cache_status != CacheStatus::Hit {
        let timing = cache_status.server_timing(Some(waited_since(began, now)));
        _ = headers.set(SERVER_TIMING.as_str(), &timing);
    }
}

/// How long the bucket was waited for, in milliseconds. Look-ups in the cache, a millisecond or two, are
/// included.
fn waited_since(began: UnixMillis, now: UnixMillis) -> u64 {
    now.0.saturating_sub(began.0)
}
