//! From a whole 200 to what a reader's conditions and range make of it.

use super::{Answer, Body, Engine, Found, Origin, Read, Runtime, Store};
use crate::policy::conditional::{self, Evaluated};
use crate::policy::headers::{self, value};
use crate::policy::range::{self, ByteRange, RangePlan};
use crate::policy::status::CacheStatus;
use crate::policy::time::UnixMillis;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::{HeaderMap, StatusCode};

/// How far into a body a part may reach that is cut out of the body as it comes, in bytes. The
/// bytes pass through WebAssembly's memory then, which costs processor time for each.
const LONGEST_SLICE: u64 = 4 << 20;

/// What a reader's conditions and range make of a 200.
pub(crate) enum Shape {
    Whole,
    /// The range, and the length of the whole.
    Part(ByteRange, u64),
    NotModified,
    PreconditionFailed,
    /// The length of the whole.
    Unsatisfiable(u64),
}

/// What the reader's conditions and range come to for a 200 with these headers.
pub(crate) fn shape(request: &HeaderMap, headers: &HeaderMap) -> Shape {
    match conditional::evaluate(request, headers) {
        Evaluated::Proceed => {}
        Evaluated::NotModified => return Shape::NotModified,
        Evaluated::PreconditionFailed => return Shape::PreconditionFailed,
    }
    let length = headers::number(headers, CONTENT_LENGTH)
        .filter(|_| conditional::if_range_holds(request, headers));
    let Some(length) = length else {
        return Shape::Whole;
    };
    match range::plan(headers::text(request, RANGE), Some(length)) {
        RangePlan::Whole => Shape::Whole,
        RangePlan::Part(range) => Shape::Part(range, length),
        RangePlan::Unsatisfiable => Shape::Unsatisfiable(length),
    }
}

/// Whether a part is cut out of the body as it comes.
const fn is_cut_now(range: ByteRange, length: u64) -> bool {
    range.len() == length || range.last() < LONGEST_SLICE
}

impl Shape {
    /// The answer where it needs neither the headers nor the bytes of the object.
    pub(super) fn without_body<F: Found>(self, cache: CacheStatus, now: UnixMillis) -> Answer<F> {
        let (status, headers) = match self {
            Self::Unsatisfiable(length) => (
                StatusCode::RANGE_NOT_SATISFIABLE,
                headers::for_unsatisfiable(length, cache, now),
            ),
            _ => (StatusCode::PRECONDITION_FAILED, headers::secured()),
        };
        Answer::Made {
            status,
            headers,
            body: None,
        }
    }

    /// Whether it is made of the body as it comes, and not of what will be stored.
    const fn takes_body(&self) -> bool {
        match self {
            Self::Whole => true,
            Self::Part(range, length) => is_cut_now(*range, *length),
            Self::NotModified | Self::PreconditionFailed | Self::Unsatisfiable(_) => false,
        }
    }
}

impl Read {
    /// Whether the reader of an answer with these headers takes the body as it comes.
    pub(super) fn takes_body(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        !self.head && (status != StatusCode::OK || shape(&self.headers, headers).takes_body())
    }

    /// Whether the reader wants a part that is not cut out of the body as it comes: the store or the origin
    /// can cut it.
    pub(crate) fn wants_late_part(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        !self.takes_body(status, headers)
            && !self.head
            && matches!(shape(&self.headers, headers), Shape::Part(..))
    }
}

impl<S, O, R> Engine<S, O, R>
where
    S: Store,
    O: Origin<Body = S::Body>,
    R: Runtime,
{
    /// Makes an answer of the origin what the reader has asked for. `headers` are final, for a 200
    /// whole.
    pub(crate) fn answer_now(
        &self,
        read: &Read,
        status: StatusCode,
        mut headers: HeaderMap,
        body: Option<S::Body>,
        cache: CacheStatus,
    ) -> Answer<S::Found> {
        let made = |status, headers, body| Answer::Made {
            status,
            headers,
            body,
        };
        let is_object = matches!(status, StatusCode::OK | StatusCode::PARTIAL_CONTENT);
        if !is_object || read.headers.is_empty() {
            return made(status, headers, body);
        }
        let shape = match shape(&read.headers, &headers) {
            // The origin has cut it; what it comes to is told by the conditions alone.
            Shape::Part(..) | Shape::Unsatisfiable(_) if status != StatusCode::OK => Shape::Whole,
            shape => shape,
        };
        match shape {
            Shape::NotModified => {
                let headers = headers::for_not_modified(headers);
                made(StatusCode::NOT_MODIFIED, headers, None)
            }
            Shape::Part(range, length) if read.head || is_cut_now(range, length) => {
                headers.insert(CONTENT_RANGE, value(&range.content_range(length)));
                headers.insert(CONTENT_LENGTH, value(&range.len().to_string()));
                let is_whole = range.len() == length;
                let body = body.map(|body| if is_whole { body } else { body.slice(range) });
                made(StatusCode::PARTIAL_CONTENT, headers, body)
            }
            // The whole is always a right answer.
            Shape::Whole | Shape::Part(..) => made(status, headers, body),
            other => other.without_body(cache, self.runtime.now()),
        }
    }
}
