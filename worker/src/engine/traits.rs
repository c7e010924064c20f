//! What the engine is built on: a store, an origin, bodies and a runtime.
//!
//! The worker implements them over the Cache API, `fetch` and the runtime's timers, the tests by a
//! simulation.

use crate::admission::ObjectKey;
use crate::policy::origin_error::OriginError;
use crate::policy::range::ByteRange;
use crate::policy::record::Record;
use crate::policy::time::UnixMillis;
use http::{HeaderMap, StatusCode};
use std::future::Future;

/// A body as a stream; it is never in memory as a whole. Dropped, it is cancelled.
pub trait Body: Sized + 'static {
    /// The same bytes for two readers, at the pace of the slower one: nothing is buffered for it. `None`
    /// where the stream cannot be read.
    fn tee(self) -> Option<(Self, Self)>;
    /// The part `range` of a whole body, cut out of the bytes as they pass.
    fn slice(self, range: ByteRange) -> Self;
}

/// A stored answer. Dropped, its body is cancelled.
pub trait Found: Sized + 'static {
    type Body: Body;
    /// The status: the stored one, or 206, 304 or 416 where the look-up had a range or a condition.
    fn status(&self) -> StatusCode;
    /// Its record; `None` where there is none that this version can read.
    fn record(&self) -> Option<Record>;
    /// The headers that conditions and ranges depend on: the validators, `Content-Length` and
    /// `Content-Range`.
    fn selected_headers(&self) -> HeaderMap;
    fn into_parts(self) -> (HeaderMap, Option<Self::Body>);
}

/// Where answers are kept.
pub trait Store: Clone + 'static {
    type Body: Body;
    type Found: Found<Body = Self::Body>;
    /// The answer stored under `cache_key`. `request_headers` may have one `Range`, `If-None-Match` or
    /// `If-Modified-Since`, which the store applies to a stored answer of any status.
    fn find(
        &self,
        cache_key: &str,
        request_headers: &HeaderMap,
    ) -> impl Future<Output = Option<Self::Found>>;
    /// Stores an answer, whole or not at all. False where the store reports a failure. True does not prove
    /// that it is stored: the store may lose an answer without a report.
    fn put(
        &self,
        cache_key: &str,
        status: StatusCode,
        headers: HeaderMap,
        body: Option<Self::Body>,
    ) -> impl Future<Output = bool>;
    /// Removes an answer. True where there was one.
    fn delete(&self, cache_key: &str) -> impl Future<Output = bool>;
}

/// Where objects come from.
pub trait Origin: Clone + 'static {
    type Body: Body;
    /// Asks for an object. `request_headers` are all that is sent: conditions, or a range.
    fn fetch(
        &self,
        key: &ObjectKey,
        request_headers: &HeaderMap,
    ) -> impl Future<Output = Result<OriginAnswer<Self::Body>, OriginError>>;
}

/// An answer of the origin that is no error.
#[derive(Debug)]
pub struct OriginAnswer<B> {
    /// The status: 200 to 299, or 304.
    pub status: StatusCode,
    /// The headers, as the origin sent them.
    pub headers: HeaderMap,
    /// The body, where there is one. It may still break off.
    pub body: Option<B>,
}

/// Time, and background work.
pub trait Runtime: Clone + 'static {
    fn now(&self) -> UnixMillis;
    /// Waits, by a timer of this request.
    fn sleep(&self, milliseconds: u64) -> impl Future<Output = ()>;
    /// Runs `work` in the background, whether or not the reader stays. The runtime may end it: some thirty
    /// seconds after the answer, or with the isolate.
    ///
    /// **Invariant:** `work` belongs to the request that starts it. It shares nothing with another request
    /// but the plain data in the tables of [`super::lock`] and [`super::purges`].
    fn spawn(&self, work: impl Future<Output = ()> + 'static);
    /// Logs that the origin has failed, and whether a stale copy is served instead.
    fn report(&self, key: &ObjectKey, error: OriginError, covered: bool);
}
