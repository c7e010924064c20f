//! What the engine needs of the outside: bodies, a store, an origin, and a runtime.

use crate::admission::ObjectKey;
use crate::policy::entry::Entry;
use crate::policy::fields::Fields;
use crate::policy::plan::Cause;
use crate::policy::range::ByteRange;
use crate::policy::time::UnixMillis;
use std::future::Future;

/// A body that passes by; it is never held as a whole. Dropped, it is told that nobody will read
/// it, so that nothing is buffered for nobody.
pub trait Body: Sized + 'static {
    /// The same bytes for two readers.
    fn split(self) -> (Self, Self);
    /// The part of a whole body that `range` names.
    fn part(self, range: ByteRange) -> Self;
    /// Up to `limit` of the first bytes, and the body with those bytes still in it.
    fn peek(self, limit: usize) -> impl Future<Output = (Vec<u8>, Self)>;
}

/// A stored answer. Dropped, its body is told that nobody will read it.
pub trait Found: Sized + 'static {
    /// The status it carries: the stored one, or 206 or 304 where that was wanted.
    fn status(&self) -> u16;
    /// Its record; `None` where it has none that this version can read.
    fn entry(&self) -> Option<Entry>;
    /// Its header fields, as stored.
    fn fields(&self) -> Fields;
    /// Of these, those that conditions and ranges are about: the validators, `Content-Length` and
    /// `Content-Range`.
    fn outline(&self) -> Fields;
}

/// Where answers are kept.
pub trait Store: Clone + 'static {
    /// The bodies it takes.
    type Body: Body;
    /// What it gives back.
    type Found: Found;
    /// The answer stored under `path`, or as much of it as is wanted.
    fn find(&self, path: &str, wanted: Wanted<'_>) -> impl Future<Output = Option<Self::Found>>;
    /// Stores an answer, whole or not at all: where its body breaks off, nothing of it is left when
    /// this returns. (It may have shown for a moment: see [`Engine::read`].)
    fn put(
        &self,
        path: &str,
        status: u16,
        fields: Fields,
        body: Option<Self::Body>,
    ) -> impl Future<Output = Result<(), NotStored>>;
    /// Stores what is stored already under other header fields.
    fn restate(
        &self,
        path: &str,
        found: Self::Found,
        fields: Fields,
    ) -> impl Future<Output = Result<(), NotStored>>;
    /// Removes an answer. True where there was one.
    fn delete(&self, path: &str) -> impl Future<Output = bool>;
}

/// What of a stored answer is wanted. A store that cannot tell a part from the rest gives the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted<'a> {
    /// All of it.
    Whole,
    /// The part that this value of a `Range` header names: status 206.
    Part(&'a str),
    /// Nothing but its header fields, status 304, where it has one of the tags in this value of an
    /// `If-None-Match` header.
    UnlessMatch(&'a str),
    /// The same where it has not changed since this value of an `If-Modified-Since` header.
    UnlessModified(&'a str),
}

/// The store has not taken an answer: its body broke off, or the store refused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotStored;

/// Where objects come from.
pub trait Origin: Clone + 'static {
    /// The bodies it gives.
    type Body: Body;
    /// Asks for a whole object, under `conditions` (header name and value) where there are any.
    fn fetch(
        &self,
        key: &ObjectKey,
        conditions: &[(&'static str, String)],
    ) -> impl Future<Output = Result<OriginAnswer<Self::Body>, Cause>>;
}

/// What the origin has answered; its body is still to come.
#[derive(Debug)]
pub struct OriginAnswer<B> {
    /// The status.
    pub status: u16,
    /// The header fields, as they came.
    pub fields: Fields,
    /// The body, where the answer can have one.
    pub body: Option<B>,
}

/// Time, and work that goes on when the reader who started it has gone.
pub trait Runtime: Clone + 'static {
    /// The present moment.
    fn now(&self) -> UnixMillis;
    /// Waits on this request's own timer.
    fn sleep(&self, milliseconds: u64) -> impl Future<Output = ()>;
    /// A number drawn by lot, so that no two fills or purges have the same.
    fn unique(&self) -> u64;
    /// Runs the fill of `path` to its end, whether or not the request still lives.
    fn spawn(&self, path: &str, fill: impl Future<Output = ()> + 'static);
    /// Notes for the operator that the origin failed while a stale copy covers for it.
    fn note_covered(&self, path: &str, cause: Cause);
}
