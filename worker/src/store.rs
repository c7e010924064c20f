//! The engine's store over the Cache API, and the responses that either cache gives.
//!
//! `put` stores whole bodies only: where a body breaks off, the runtime ends the write so that the
//! cache "is able to see that the request was incomplete" (workerd, `src/workerd/api/cache.c++`,
//! `Cache::put`). It does not report that.

use crate::body::BodyStream;
use crate::engine::{Found, Store};
use crate::policy::headers::{ABOUT_THE_BODY, CF_CACHE_STATUS, RECORD, number};
use crate::policy::record::Record;
use crate::{log, sdk};
use futures_util::future::{Either, select};
use http::header::{AGE, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED};
use http::{HeaderMap, StatusCode};
use std::pin::pin;
use std::time::Duration;
use worker::Delay;
use worker::web_sys;

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
            true => self.take_body().and_then(BodyStream::take),
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

    fn take_body(&mut self) -> Option<BodyStream> {
        self.is_body_taken = true;
        self.response.body().map(BodyStream::new)
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
    type Body = BodyStream;

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

    fn into_parts(mut self) -> (HeaderMap, Option<BodyStream>) {
        let mut headers = sdk::header_map(&self.response.headers());
        headers.remove(CF_CACHE_STATUS);
        headers.remove(AGE);
        (headers, self.take_body())
    }
}

impl Store for EdgeCache {
    type Body = BodyStream;
    type Found = CachedResponse;

    async fn find(&self, cache_key: &str, request_headers: &HeaderMap) -> Option<CachedResponse> {
        let found = sdk::cache_find(cache_key, request_headers).await;
        // A cache that fails is an empty one.
        found.ok().flatten().map(CachedResponse::new)
    }

    async fn put(
        &self,
        cache_key: &str,
        status: StatusCode,
        headers: HeaderMap,
        mut body: Option<BodyStream>,
    ) -> bool {
        let length = number(&headers, CONTENT_LENGTH);
        let milliseconds = length.map_or(BODY_OF_UNKNOWN_LENGTH_MILLISECONDS, |length| {
            (BODY_MILLISECONDS + length / BODY_BYTES_PER_MILLISECOND)
                .min(LONGEST_TIMER_MILLISECONDS)
        });
        let transfer = body.as_mut().and_then(BodyStream::take_transfer);
        let body = body.and_then(BodyStream::take);
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
