//! The bucket, asked with `fetch`: addresses, signatures, timeouts, one more try, and the host that
//! is asked for what the bucket lacks.

use crate::admission::ObjectKey;
use crate::engine::{Origin, OriginAnswer};
use crate::policy::conditional;
use crate::policy::headers;
use crate::policy::origin_error::{ERROR_BODY_LIMIT, OriginError};
use crate::policy::time::UnixMillis;
use crate::settings::{OriginAuth, Settings};
use crate::signing;
use crate::store::Stream;
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

/// How long the origin may take to the headers of its answer, in milliseconds. nginx waits 60 s;
/// a reader of media has given up long before.
pub const ANSWER_TIMEOUT_MILLISECONDS: u64 = 20_000;

/// The codings that the runtime takes off a body.
const DECODED: [&str; 2] = ["gzip", "br"];

/// How long to wait before asking once more, in milliseconds.
const RETRY_PAUSE_MILLISECONDS: u64 = 200;

/// The bucket, and the fallback host behind it. A clone shares what is known of the last answer.
#[derive(Clone, Debug)]
pub struct Bucket {
    settings: Rc<Settings>,
    last: Rc<Cell<Option<LastAnswer>>>,
}

/// How the bucket has answered the last time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastAnswer {
    /// When.
    pub at: UnixMillis,
    /// Whether it could be read, or its answer was about the object alone.
    pub is_well: bool,
}

impl Bucket {
    /// The bucket that the settings name.
    #[must_use]
    pub fn new(settings: Rc<Settings>) -> Self {
        Self {
            settings,
            last: Rc::default(),
        }
    }

    /// How it has answered this isolate the last time; `None` where it was not asked yet.
    #[must_use]
    pub fn last_answer(&self) -> Option<LastAnswer> {
        self.last.get()
    }

    /// Asks the bucket once.
    async fn ask(
        &self,
        key: &ObjectKey,
        request: &HeaderMap,
    ) -> Result<OriginAnswer<Stream>, OriginError> {
        let url = [self.settings.origin_url.as_str(), &key.s3_path()].concat();
        let mut request = request.clone();
        if let OriginAuth::SigV4 {
            key_id,
            key,
            region,
        } = &self.settings.origin_auth
        {
            request.extend(signing::sign_get(
                &url,
                key_id,
                key.expose(),
                region,
                runtime::now(),
            ));
        }
        let answer = fetch(&url, &request).await;
        self.last.set(Some(LastAnswer {
            at: runtime::now(),
            is_well: !matches!(&answer, Err(error) if error.is_covered_by_stale()),
        }));
        answer
    }

    /// Asks the fallback host. `None` where it lacks the object as well, or has no answer that is
    /// better than the bucket's own.
    async fn ask_fallback(
        &self,
        fallback: &str,
        key: &ObjectKey,
        request: &HeaderMap,
    ) -> Result<Option<OriginAnswer<Stream>>, OriginError> {
        let path = key.s3_path();
        let inside = &path[1 + encoded_length(&self.settings.key_prefix)..];
        match fetch(&[fallback, "/", inside].concat(), request).await {
            Ok(answer) => Ok(Some(answer)),
            // After the switch an instance's own server sends what it lacks back to the files domain
            // (docs/migrate.md): a redirect says that it is not here.
            Err(
                OriginError::Missing { .. }
                | OriginError::WrongBucket
                | OriginError::Denied
                | OriginError::Refused {
                    status: 400..=415 | 417..=499,
                },
            ) => Ok(None),
            // A host that cannot answer has not said that it lacks the object: taken for a 404, that
            // would delete a stored copy, or be remembered.
            Err(error) => {
                log::fallback_failed(key, error);
                Err(error)
            }
        }
    }
}

impl Origin for Bucket {
    type Body = Stream;

    async fn fetch(
        &self,
        key: &ObjectKey,
        request: &HeaderMap,
    ) -> Result<OriginAnswer<Stream>, OriginError> {
        let mut answer = self.ask(key, request).await;
        // Once more where there is no stored copy to serve instead: a condition is only sent about one.
        let has_copy = [IF_NONE_MATCH, IF_MODIFIED_SINCE]
            .iter()
            .any(|name| request.contains_key(name));
        if answer.as_ref().is_err_and(|error| error.is_worth_a_retry()) && !has_copy {
            Delay::from(Duration::from_millis(RETRY_PAUSE_MILLISECONDS)).await;
            answer = self.ask(key, request).await;
        }
        if let Err(missing @ OriginError::Missing { .. }) = answer
            && let Some(fallback) = &self.settings.fallback_origin
        {
            let found = self.ask_fallback(fallback, key, request).await?;
            return found.ok_or(missing);
        }
        answer
    }
}

/// How long a prefix of a key is in [`ObjectKey::s3_path`], in bytes.
fn encoded_length(prefix: &str) -> usize {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    prefix
        .bytes()
        .map(|byte| if bare(byte) { 1 } else { 3 })
        .sum()
}

/// One request, with nothing of the reader's own headers.
async fn fetch(url: &str, request: &HeaderMap) -> Result<OriginAnswer<Stream>, OriginError> {
    let asked = sdk::get(url, request, true).map_err(|_| OriginError::Connect)?;
    let fetch = Fetch::Request(asked.into());
    // It stays in force for the body.
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
    let headers = as_read(sdk::header_map(&response.headers().0));
    let body = Stream::of(&response);
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        let body = body.map(|body| body.with_transfer(transfer));
        return Ok(OriginAnswer {
            status,
            headers,
            body,
        });
    }
    let begin = match body {
        Some(body) => beginning(body).await,
        None => Vec::new(),
    };
    Err(OriginError::of(status, &headers, &begin).unwrap_or(OriginError::Connect))
}

/// The beginning of an error's body, or what of it has come before it broke off.
async fn beginning(body: Stream) -> Vec<u8> {
    let mut begin = Vec::new();
    let Some(stream) = body.take() else {
        return begin;
    };
    let mut bytes = ByteStream::from(stream);
    let mut timeout = Delay::from(Duration::from_millis(ANSWER_TIMEOUT_MILLISECONDS));
    while begin.len() < ERROR_BODY_LIMIT {
        match select(bytes.next(), &mut timeout).await {
            Either::Left((Some(Ok(chunk)), _)) => begin.extend(chunk),
            Either::Left(_) | Either::Right(_) => break,
        }
    }
    begin
}

/// The headers of the body as it is read. The runtime decodes what is stored compressed as soon as it
/// is read by anyone but a client, so for us it never was: of that length, in that coding, or the
/// very bytes that the tag is about.
fn as_read(mut headers: HeaderMap) -> HeaderMap {
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
            as_read(HeaderMap::from_iter([
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
