//! From an answer, a refusal or an error to a response: the only place that picks statuses for
//! errors. Nothing here tells a client why something failed; the log does.

use crate::admission::Refusal;
use crate::bridge;
use crate::engine::Answer;
use crate::policy::fields::Fields;
use crate::policy::headers;
use crate::policy::plan::Cause;
use crate::store::{CachedResponse, Stream};
use web_sys::Response;

/// An answer of the engine. `head`: without its body.
#[must_use]
pub fn answer(answer: Answer<CachedResponse, Stream>, head: bool) -> Response {
    match answer {
        Answer::Stored(found, cache) => {
            let Some(response) = found.take() else {
                return plain(500);
            };
            // Statuses that get no added header get no cache status either, as in nginx.
            let word = headers::is_dressed(response.status()).then_some(cache.as_str());
            bridge::stored(&response, word, head)
        }
        Answer::NotModified(found, cache) => match found.as_response() {
            Some(response) => bridge::not_modified(response, cache.as_str()),
            None => plain(500),
        },
        Answer::Made {
            status,
            fields,
            body,
        } => {
            // Not taken, the stream is cancelled.
            made(status, fields, body.filter(|_| !head))
        }
    }
}

/// An answer made from its parts. Should the runtime refuse them, the origin's answer is none that can
/// be passed on.
#[must_use]
pub fn made(status: u16, fields: Fields, body: Option<Stream>) -> Response {
    Stream::respond(body, status, fields).unwrap_or_else(|| plain(502))
}

/// A request that is not let in.
#[must_use]
pub fn refusal(refusal: Refusal) -> Response {
    plain(refusal.status())
}

/// Neither the bucket nor the store has an answer: nginx's 504 and 502.
#[must_use]
pub fn failure(cause: Cause) -> Response {
    match cause {
        Cause::Timeout => plain(504),
        Cause::SlowDown(status) | Cause::ServerError(status) => plain(status),
        Cause::Connect | Cause::CapExceeded => plain(502),
    }
}

/// A status and its name, as plain text.
#[must_use]
pub fn plain(status: u16) -> Response {
    bridge::plain_text(status, reason(status))
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "200 OK\n",
        400 => "400 Bad Request\n",
        403 => "403 Forbidden\n",
        404 => "404 Not Found\n",
        414 => "414 URI Too Long\n",
        429 => "429 Too Many Requests\n",
        502 => "502 Bad Gateway\n",
        503 => "503 Service Unavailable\n",
        504 => "504 Gateway Timeout\n",
        _ => "500 Internal Server Error\n",
    }
}
