//! The engine's store over the Cache API, and the bodies that pass through the worker.
//!
//! A body is a stream of the runtime: its bytes do not enter WebAssembly's memory, except where a part is
//! cut out of it.
//!
//! `put` stores whole bodies only: where a body breaks off, the runtime ends the write so that the
//! cache "is able to see that the request was incomplete" (workerd, `src/workerd/api/cache.c++`,
//! `Cache::put`). It does not report that.

use crate::engine::{Body, Found, Store};
use crate::policy::headers::{ABOUT_THE_BODY, CF_CACHE_STATUS, RECORD, number};
use crate::policy::range::ByteRange;
use crate::policy::record::Record;
use crate::{log, sdk};
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};
use std::pin::pin;
use std::time::Duration;
use worker::web_sys::{self, AbortController, ReadableStream};
use worker::{ByteStream, Delay, FixedLengthStream, Response, ResponseBody, worker_sys};

/// The time limit of a body that is stored: a minute, and a millisecond for each 16 bytes. It ends the
/// transfer from an origin that stalls, and from a first reader of less than 16 KB a second: the runtime does
/// not show the progress of a stream, so the two cannot be distinguished.
const BODY_MILLISECONDS: u64 = 60_000;
const BODY_BYTES_PER_MILLISECOND: u64 = 16;

/// The time limit of a body of unknown length that is stored.
const BODY_OF_UNKNOWN_LENGTH_MILLISECONDS: u64 = 600_000;

/// The longest time of the SDK's timer.
const LONGEST_TIMER_MILLISECONDS: u64 = 2_147_483_647;

/// The Cache API of this data centre.
#[derive(Clone, Copy, Debug)]
pub struct EdgeCache;

/// A stream of the runtime. Dropped before [`Stream::take`], it is cancelled.
#[derive(Debug)]
pub struct Stream {
    stream: Option<ReadableStream>,
    /// Ends the transfer from the origin, for both branches of a `tee`.
    transfer: Option<AbortController>,
}

impl Stream {
    const fn new(stream: ReadableStream) -> Self {
        Self {
            stream: Some(stream),
            transfer: None,
        }
    }

    /// The body of a response, if it has one.
    pub fn of(response: &Response) -> Option<Self> {
        match response.body() {
            ResponseBody::Stream(stream) => Some(Self::new(stream.clone())),
            ResponseBody::Empty | ResponseBody::Body(_) => None,
        }
    }

    /// The same stream, with the controller that ends its transfer.
    pub fn with_transfer(mut self, controller: AbortController) -> Self {
        self.transfer = Some(controller);
        self
    }

    /// The stream itself, to be read.
    pub fn take(mut self) -> Option<ReadableStream> {
        self.stream.take()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if let Some(stream) = &self.stream {
            sdk::cancel(stream);
        }
    }
}

impl Body for Stream {
    fn tee(mut self) -> Option<(Self, Self)> {
        let (one, other) = sdk::tee(&self.stream.take()?).ok()?;
        let branch = |stream| Self {
            stream: Some(stream),
            transfer: self.transfer.clone(),
        };
        Some((branch(one), branch(other)))
    }

    fn slice(self, range: ByteRange) -> Self {
        let transfer = self.transfer.clone();
        let stream = self.take().map(|stream| {
            let bytes = sliced(ByteStream::from(stream), range);
            let fixed: worker_sys::FixedLengthStream =
                FixedLengthStream::wrap(bytes, range.len()).into();
            fixed.readable()
        });
        Self { stream, transfer }
    }
}

/// The bytes of `range`. Those after it are not read.
fn sliced(
    bytes: ByteStream,
    range: ByteRange,
) -> impl futures_util::Stream<Item = worker::Result<Vec<u8>>> {
    let start = (bytes, range.first(), range.len());
    futures_util::stream::unfold(start, |(mut bytes, mut skip, mut left)| async move {
        while left > 0 {
            let mut chunk = match bytes.next().await? {
                Ok(chunk) => chunk,
                Err(error) => return Some((Err(error), (bytes, 0, 0))),
            };
            let length = chunk.len() as u64;
            if skip >= length {
                skip -= length;
                continue;
            }
            // `skip` is less than the chunk's length, and a `left` that is too large cuts nothing.
            chunk.drain(..usize::try_from(skip).unwrap_or_default());
            chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            left -= chunk.len() as u64;
            return Some((Ok(chunk), (bytes, 0, left)));
        }
        None
    })
}

/// A response from the Cache API or from the platform's cache. Dropped, its body is cancelled.
#[derive(Debug)]
pub struct CachedResponse {
    response: web_sys::Response,
    is_body_taken: bool,
}

impl CachedResponse {
    pub const fn new(response: web_sys::Response) -> Self {
        Self {
            response,
            is_body_taken: false,
        }
    }

    /// One of its headers, if it is there and not empty.
    pub fn header(&self, name: &str) -> Option<String> {
        sdk::header(&self.response.headers(), name)
    }

    /// The same response, with headers that can be changed. Those of the cache, `CF-Cache-Status` and `Age`,
    /// are still in it.
    pub fn into_response(mut self, with_body: bool) -> web_sys::Response {
        let body = match with_body {
            true => self.take_body().and_then(Stream::take),
            false => None,
        };
        sdk::mutable_copy(&self.response, body.as_ref())
    }

    /// A 304 with the same headers, but those that describe a body.
    pub fn into_not_modified(self) -> web_sys::Response {
        let status = StatusCode::NOT_MODIFIED.as_u16();
        let response = sdk::response(status, &self.response.headers(), None);
        let headers = response.headers();
        for name in ABOUT_THE_BODY {
            _ = headers.delete(name.as_str());
        }
        response
    }

    fn take_body(&mut self) -> Option<Stream> {
        self.is_body_taken = true;
        self.response.body().map(Stream::new)
    }
}

impl Drop for CachedResponse {
    fn drop(&mut self) {
        if !self.is_body_taken {
            drop(self.take_body());
        }
    }
}

impl Found for CachedResponse {
    type Body = Stream;

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.response.status()).unwrap_or_default()
    }

    fn record(&self) -> Option<Record> {
        Record::decode(&self.header(RECORD.as_str())?)
    }

    fn selected_headers(&self) -> HeaderMap {
        let names = [ETAG, LAST_MODIFIED, CONTENT_LENGTH, CONTENT_RANGE];
        sdk::selected_headers(&self.response.headers(), &names)
    }

    fn into_parts(mut self) -> (HeaderMap, Option<Stream>) {
        let mut headers = sdk::header_map(&self.response.headers());
        headers.remove(CF_CACHE_STATUS);
        headers.remove(AGE);
        (headers, self.take_body())
    }
}

impl Store for EdgeCache {
    type Body = Stream;
    type Found = CachedResponse;

    async fn find(&self, cache_key: &str, request: &HeaderMap) -> Option<CachedResponse> {
        let found = sdk::cache_find(cache_key, request).await;
        // A cache that fails is an empty one.
        found.ok().flatten().map(CachedResponse::new)
    }

    async fn put(
        &self,
        cache_key: &str,
        status: StatusCode,
        headers: HeaderMap,
        mut body: Option<Stream>,
    ) -> bool {
        let length = number(&headers, CONTENT_LENGTH);
        let milliseconds = length.map_or(BODY_OF_UNKNOWN_LENGTH_MILLISECONDS, |length| {
            (BODY_MILLISECONDS + length / BODY_BYTES_PER_MILLISECOND)
                .min(LONGEST_TIMER_MILLISECONDS)
        });
        let transfer = body.as_mut().and_then(|body| body.transfer.take());
        let body = body.and_then(Stream::take);
        let response = sdk::response(status.as_u16(), &sdk::headers(&headers).0, body.as_ref());
        let put = pin!(sdk::cache_put(cache_key, &response));
        match select(put, Delay::from(Duration::from_millis(milliseconds))).await {
            Either::Left((Ok(()), _)) => true,
            Either::Left((Err(error), _)) => {
                log::store_failed(cache_key, &sdk::error_text(&error));
                false
            }
            Either::Right(_) => {
                if let Some(transfer) = transfer {
                    transfer.abort();
                }
                false
            }
        }
    }

    async fn delete(&self, cache_key: &str) -> bool {
        sdk::cache_delete(cache_key).await.unwrap_or_default()
    }
}
