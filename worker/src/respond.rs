//! From an answer, a refusal or an error to a response: the only place that picks statuses for
//! errors. Nothing here tells a client why something failed; the log does.

use crate::admission::Refusal;
use crate::engine::{Answer, Found, READ_HEADERS};
use crate::policy::cors;
use crate::policy::entry::Entry;
use crate::policy::headers::{ABOUT_THE_BODY, SECURITY, X_CACHE_STATUS};
use crate::policy::origin_error::OriginError;
use crate::policy::status::CacheStatus;
use crate::runtime;
use crate::sdk;
use crate::store::{CachedResponse, Stream};
use http::{HeaderMap, StatusCode};
use worker::web_sys::Response;
use worker::{Headers, Response as SdkResponse, ResponseBuilder};

/// An answer of the engine. `head`: without its body.
#[must_use]
pub fn answer(answer: Answer<CachedResponse>, head: bool) -> Response {
    match answer {
        Answer::Stored(copy, cache) => {
            let status = copy.found.status();
            let (headers, body) = copy.found.into_response_parts();
            tell_cache(&headers, cache, &copy.entry);
            response(status, headers, body.filter(|_| !head))
        }
        Answer::NotModified(copy, cache) => {
            let (headers, _) = copy.found.into_response_parts();
            for name in ABOUT_THE_BODY {
                _ = headers.delete(name.as_str());
            }
            tell_cache(&headers, cache, &copy.entry);
            response(StatusCode::NOT_MODIFIED, headers, None)
        }
        Answer::Made {
            status,
            headers,
            body,
        } => made(status, &headers, body.filter(|_| !head)),
    }
}

/// An answer made from its parts.
#[must_use]
pub fn made(status: StatusCode, headers: &HeaderMap, body: Option<Stream>) -> Response {
    response(status, sdk::headers(headers), body)
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
        headers,
    )
}

/// A status and its name, as plain text.
#[must_use]
pub fn plain(status: StatusCode) -> Response {
    text(status, plain_headers())
}

fn plain_headers() -> Headers {
    let headers = Headers::new();
    _ = headers.set("Content-Type", "text/plain;charset=UTF-8");
    for (name, value) in SECURITY {
        _ = headers.set(name.as_str(), value);
    }
    headers
}

fn text(status: StatusCode, headers: Headers) -> Response {
    let text = format!("{status}\n").into_bytes();
    builder(status, headers).fixed(text).into()
}

fn response(status: StatusCode, headers: Headers, body: Option<Stream>) -> Response {
    let builder = builder(status, headers);
    let response: SdkResponse = match body.and_then(Stream::take) {
        Some(stream) => builder.stream(stream),
        None => builder.empty(),
    };
    response.into()
}

fn builder(status: StatusCode, headers: Headers) -> ResponseBuilder {
    SdkResponse::builder()
        .with_status(status.as_u16())
        .with_headers(headers)
}

/// Says how the cache came by a stored answer, in the place of its record.
fn tell_cache(headers: &Headers, cache: CacheStatus, entry: &Entry) {
    _ = headers.set(X_CACHE_STATUS.as_str(), cache.as_str());
    _ = headers.set("Age", &entry.age_seconds(runtime::now()).to_string());
}
