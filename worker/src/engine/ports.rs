//! What the engine needs of the outside: a store, an origin, bodies, and a runtime.
//!
//! The worker implements these over the Cache API, `fetch` and the runtime's timers; the tests over
//! a simulated world.

use crate::admission::ObjectKey;
use crate::policy::entry::Entry;
use crate::policy::origin_error::OriginError;
use crate::policy::range::ByteRange;
use crate::policy::time::UnixMillis;
use http::{HeaderMap, StatusCode};
use std::future::Future;

/// A body that passes by; it is never held as a whole. Dropped, it is cancelled.
pub trait Body: Sized + 'static {
    /// The same bytes for two readers. The slower one sets the pace: nothing is held for it. `None`
    /// where the bytes cannot be had.
    fn tee(self) -> Option<(Self, Self)>;
    /// The part of a whole body that `range` names, cut out of the bytes as they come.
    fn slice(self, range: ByteRange) -> Self;
}

/// A stored answer. Dropped, its body is cancelled.
pub trait Found: Sized + 'static {
    /// The bodies that are stored.
    type Body: Body;
    /// The status of the look-up: the stored one, or 206, 304 or 416 where the look-up asked for a
    /// part or set a condition.
    fn status(&self) -> StatusCode;
    /// Its record; `None` where it has none that this version can read.
    fn entry(&self) -> Option<Entry>;
    /// Of its headers those that conditions and ranges are about: the validators, `Content-Length`
    /// and `Content-Range`.
    fn selected_headers(&self) -> HeaderMap;
    /// All its headers, and its body.
    fn into_parts(self) -> (HeaderMap, Option<Self::Body>);
}

/// Where answers are kept.
pub trait Store: Clone + 'static {
    /// The bodies it takes.
    type Body: Body;
    /// What it gives back.
    type Found: Found<Body = Self::Body>;
    /// The answer stored under `cache_key`. `request` may hold one `Range`, `If-None-Match` or
    /// `If-Modified-Since`, which the store applies to whatever is stored, whatever its status.
    fn find(
        &self,
        cache_key: &str,
        request: &HeaderMap,
    ) -> impl Future<Output = Option<Self::Found>>;
    /// Stores an answer, whole or not at all. False where the store says that it has not; true does not
    /// mean that it is stored, for it may lose an answer without saying so.
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
    /// The bodies it gives.
    type Body: Body;
    /// Asks for an object. `request` holds the conditions and the range that the origin is to heed.
    fn fetch(
        &self,
        key: &ObjectKey,
        request: &HeaderMap,
    ) -> impl Future<Output = Result<OriginAnswer<Self::Body>, OriginError>>;
}

/// An answer of the origin that is no error; its body is still to come.
#[derive(Debug)]
pub struct OriginAnswer<B> {
    /// The status: 200 to 299, or 304.
    pub status: StatusCode,
    /// The headers, as they came.
    pub headers: HeaderMap,
    /// The body, where the answer can have one.
    pub body: Option<B>,
}

/// Time, and work that goes on when the reader who started it has gone.
pub trait Runtime: Clone + 'static {
    /// The present moment.
    fn now(&self) -> UnixMillis;
    /// Waits on this request's own timer.
    fn sleep(&self, milliseconds: u64) -> impl Future<Output = ()>;
    /// Runs `work` to its end, whether or not the reader stays.
    ///
    /// **Invariant:** `work` belongs to the request that starts it. It shares nothing with another
    /// request but the tables of [`super::lock`] and [`super::purges`], which hold plain data.
    fn spawn(&self, work: impl Future<Output = ()> + 'static);
    /// Tells the operator that the origin has failed, and whether a stale copy covered for it.
    fn report(&self, key: &ObjectKey, error: OriginError, covered: bool);
}
