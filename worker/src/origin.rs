//! The origin in both cache modes: the bucket, asked by `fetch`, with a timeout and one retry, and the fallback
//! host, which is asked for what the bucket does not have.

use crate::admission::{ObjectKey, s3_path};
use crate::body::BodyStream;
use crate::engine::{Origin, OriginAnswer};
use crate::policy::conditional;
use crate::policy::headers;
use crate::policy::origin_error::{ERROR_BODY_LIMIT, OriginError};
use crate::policy::time::UnixMillis;
use crate::settings::{OriginAuth, Settings};
use crate::signing;
use crate::{log, runtime, sdk};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, IF_MODIFIED_SINCE, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;
use worker::web_sys::AbortController;
use worker::{AbortSignal, ByteStream, Delay, Fetch};

/// How long the origin may take to send the headers of its answer, in milliseconds. nginx waits 60 s, longer
/// than a reader of media does.
pub const ANSWER_TIMEOUT_MILLISECONDS: u64 = 20_000;

/// The content codings that the runtime decodes.
const DECODED: [&str; 2] = ["gzip", "br"];

/// The pause before the retry, in milliseconds.
const RETRY_PAUSE_MILLISECONDS: u64 = 200;

/// The bucket, and behind it the fallback host. Clones share the bucket's last answer.
#[derive(Clone, Debug)]
pub struct BucketOrigin {
    settings: Rc<Settings>,
    last_answer: Rc<Cell<Option<LastAnswer>>>,
}

/// What is known of the bucket's last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastAnswer {
    /// When the bucket answered.
    pub at: UnixMillis,
    /// Whether the bucket works: it gave the object, or an error about this object only.
    pub is_healthy: bool,
}

impl BucketOrigin {
    pub fn new(settings: Rc<Settings>) -> Self {
        Self {
            settings,
            last_answer: Rc::default(),
        }
    }

    /// The bucket's last answer to this isolate; `None` where it has not asked yet.
    pub fn last_answer(&self) -> Option<LastAnswer> {
        self.last_answer.get()
    }

    /// Asks the bucket once.
    async fn ask(
        &self,
        key: &ObjectKey,
        request_headers: &HeaderMap,
    ) -> Result<OriginAnswer<BodyStream>, OriginError> {
        let url = [self.settings.origin_url.as_str(), &key.s3_path()].concat();
        let mut request_headers = request_headers.clone();
        if let OriginAuth::SigV4 {
            key_id,
            key,
            region,
        } = &self.settings.origin_auth
        {
            request_headers.extend(signing::sign_get(
                &url,
                key_id,
                key.expose(),
                region,
                runtime::now(),
            ));
        }
        let answer = send(&url, &request_headers).await;
        self.last_answer.set(Some(LastAnswer {
            at: runtime::now(),
            is_healthy: !matches!(&answer, Err(error) if error.is_covered_by_stale()),
        }));
        answer
    }

    /// Asks the fallback host. `None` where it does not have the object either. `Err` where it fails.
    async fn ask_fallback(
        &self,
        fallback: &str,
        key: &ObjectKey,
        request_headers: &HeaderMap,
    ) -> Result<Option<OriginAnswer<BodyStream>>, OriginError> {
        let path = s3_path(key.without_prefix(&self.settings.key_prefix));
        match send(&[fallback, &path].concat(), request_headers).await {
            Ok(answer) => Ok(Some(answer)),
            // A redirect, too: after the switch the instance's own server redirects what it does not have to
            // the files domain (docs/migrate.md).
            Err(
                OriginError::Missing { .. }
                | OriginError::WrongBucket
                | OriginError::Denied
                | OriginError::Refused {
                    status: 400..=415 | 417..=499,
                },
            ) => Ok(None),
            // It is not known whether the host has the object. As a 404 this would delete a stored copy, or
            // be remembered.
            Err(error) => {
                log::fallback_failed(key, error);
                Err(error)
            }
        }
    }
}

impl Origin for BucketOrigin {
    type Body = BodyStream;

    async fn fetch(
        &self,
        key: &ObjectKey,
        request_headers: &HeaderMap,
    ) -> Result<OriginAnswer<BodyStream>, OriginError> {
        let mut answer = self.ask(key, request_headers).await;
        // No retry where a stored copy can be served instead: a request has conditions only then.
        let has_copy = [IF_NONE_MATCH, IF_MODIFIED_SINCE]
            .iter()
            .any(|name| request_headers.contains_key(name));
        if answer.as_ref().is_err_and(|error| error.is_worth_a_retry()) && !has_copy {
            Delay::from(Duration::from_millis(RETRY_PAUSE_MILLISECONDS)).await;
            answer = self.ask(key, request_headers).await;
        }
        if let Err(missing @ OriginError::Missing { .. }) = answer
            && let Some(fallback) = &self.settings.fallback_origin
        {
            let found = self.ask_fallback(fallback, key, request_headers).await?;
            return found.ok_or(missing);
        }
        answer
    }
}

/// Sends one request, with these headers only.
async fn send(
    url: &str,
    request_headers: &HeaderMap,
) -> Result<OriginAnswer<BodyStream>, OriginError> {
    let request = sdk::origin_request(url, request_headers).map_err(|_| OriginError::Connect)?;
    let fetch = Fetch::Request(request.into());
    // It ends the wait for the headers here, and the transfer of the body in `store`.
    let transfer = AbortController::new().map_err(|_| OriginError::Connect)?;
    let signal = AbortSignal::from(transfer.signal());
    let answered = pin!(fetch.send_with_signal(&signal));
    let timeout = Delay::from(Duration::from_millis(ANSWER_TIMEOUT_MILLISECONDS));
    let response = match select(answered, timeout).await {
        Either::Left((response, _)) => response.map_err(|_| OriginError::Connect)?,
        Either::Right(_) => {
            transfer.abort();
            return Err(OriginError::Timeout);
        }
    };
    let status = StatusCode::from_u16(response.status_code()).map_err(|_| OriginError::Connect)?;
    let headers = for_decoded_body(sdk::header_map(&response.headers().0));
    let body = BodyStream::of(&response);
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        let body = body.map(|body| body.with_transfer(transfer));
        return Ok(OriginAnswer {
            status,
            headers,
            body,
        });
    }
    let error_body = match body.and_then(BodyStream::take) {
        Some(stream) => start_of(stream.into()).await,
        None => Vec::new(),
    };
    Err(OriginError::of(status, &headers, &error_body).unwrap_or(OriginError::Connect))
}

/// The first [`ERROR_BODY_LIMIT`] bytes of an error's body or more, or less where it ends or breaks off.
async fn start_of(mut body: ByteStream) -> Vec<u8> {
    let mut start = Vec::new();
    let mut timeout = Delay::from(Duration::from_millis(ANSWER_TIMEOUT_MILLISECONDS));
    while start.len() < ERROR_BODY_LIMIT {
        match select(body.next(), &mut timeout).await {
            Either::Left((Some(Ok(chunk)), _)) => start.extend(chunk),
            Either::Left(_) | Either::Right(_) => break,
        }
    }
    start
}

/// The headers as they are right for the body that the worker reads. The runtime decodes a compressed body: its
/// coding, its length and the strong form of its tag are no longer right.
fn for_decoded_body(mut headers: HeaderMap) -> HeaderMap {
    let is_decoded = headers::text(&headers, CONTENT_ENCODING)
        .is_some_and(|coding| DECODED.iter().any(|name| coding.eq_ignore_ascii_case(name)));
    if is_decoded {
        headers.remove(CONTENT_ENCODING);
        headers.remove(CONTENT_LENGTH);
        conditional::weaken(&mut headers);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::ETAG;

    #[test]
    fn what_the_runtime_decodes_has_neither_coding_nor_length_nor_a_strong_tag() {
        let headers = |coding: &'static str| {
            for_decoded_body(HeaderMap::from_iter([
                (CONTENT_ENCODING, HeaderValue::from_static(coding)),
                (CONTENT_LENGTH, HeaderValue::from_static("5")),
                (ETAG, HeaderValue::from_static("\"a\"")),
            ]))
        };
        let weak = HeaderMap::from_iter([(ETAG, HeaderValue::from_static("W/\"a\""))]);
        assert_eq!(headers("GZIP"), weak);
        assert_eq!(
            headers::number(&headers("x-unknown"), CONTENT_LENGTH),
            Some(5)
        );
    }
}
