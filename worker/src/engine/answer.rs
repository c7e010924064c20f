//! From a stored copy, or from the origin's answer, to the answer that the reader gets: whole, a part, or
//! only a status.

use super::{Answer, Body, Engine, Found, Origin, Read, Runtime, Store, StoredCopy};
use crate::policy::conditional;
use crate::policy::headers::{self, text, value};
use crate::policy::origin_error::OriginError;
use crate::policy::range::{self, ByteRange};
use crate::policy::shape::{Shape, shape_for};
use crate::policy::status::CacheStatus;
use crate::policy::time::UnixMillis;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, RANGE};
use http::{HeaderMap, StatusCode};

/// The longest distance from the start of a body to the end of a part that is cut out of the body as it
/// passes, in bytes. These bytes go through WebAssembly's memory, which costs processor time for each.
const LONGEST_SLICE: u64 = 4 << 20;

/// The origin's answer, for the reader who asked for it.
pub(super) struct Fetched<B> {
    pub(super) status: StatusCode,
    /// The headers: final, if the answer is sent whole.
    pub(super) headers: HeaderMap,
    /// The body; `None` where the reader takes it from the store, or needs none.
    pub(super) body: Option<B>,
}

impl<S, O, R> Engine<S, O, R>
where
    S: Store,
    O: Origin<Body = S::Body>,
    R: Runtime,
{
    /// The answer from a stored copy, in the shape that the reader wants.
    pub(super) async fn serve_stored(
        &self,
        read: &Read,
        copy: StoredCopy<S::Found>,
        cache_status: CacheStatus,
    ) -> Result<Answer<S::Found>, OriginError> {
        if copy.record.marks_missing() {
            let now = self.runtime.now();
            return Err(OriginError::from_mark(&copy.record, now));
        }
        match copy.found.status() {
            StatusCode::OK if !read.headers.is_empty() => {}
            StatusCode::NOT_MODIFIED => return Ok(Answer::NotModified(copy, cache_status)),
            _ => return Ok(Answer::Stored(copy, cache_status)),
        }
        let whole = copy.found.selected_headers();
        let (range, length) = match shape_for(&read.headers, &whole) {
            Shape::Whole => return Ok(Answer::Stored(copy, cache_status)),
            Shape::NotModified => return Ok(Answer::NotModified(copy, cache_status)),
            Shape::PreconditionFailed => return Ok(precondition_failed()),
            Shape::Unsatisfiable { length } => {
                return Ok(unsatisfiable(length, cache_status, self.runtime.now()));
            }
            Shape::Part { range, length } => (range, length),
        };
        let only_range = HeaderMap::from_iter([(RANGE, value(&range.header()))]);
        let found = self.store.find(&read.cache_key, &only_range).await;
        let part = found.filter(|part| {
            let headers = part.selected_headers();
            part.status() == StatusCode::PARTIAL_CONTENT
                && conditional::same_version(&headers, &whole)
                && text(&headers, CONTENT_RANGE) == Some(&range.content_range(length))
        });
        let copy = match part {
            Some(found) => StoredCopy { found, ..copy },
            // The copy was replaced meanwhile, or the store cannot cut it. The whole is always a right
            // answer.
            None => copy,
        };
        Ok(Answer::Stored(copy, cache_status))
    }

    /// Asks the origin for this reader alone and stores nothing: for the part that the reader wants, where
    /// the origin can cut it.
    ///
    /// The time of the body is not limited. The runtime does not show the progress of a stream that it passes
    /// on without us, and a timer would end with the request, thirty seconds after the answer.
    pub(super) async fn pass_through(&self, read: &Read) -> Result<Answer<S::Found>, OriginError> {
        let only_range = range::single_range_header(&read.headers);
        let mut answer = self.origin.fetch(&read.key, &only_range).await;
        let needs_whole = match &answer {
            // The length in a 416 is that of the whole object.
            Err(error) => *error == OriginError::Refused { status: 416 },
            // Without a length the runtime has decoded the body: the bucket has cut the coded bytes, and the
            // reader would get decoded ones.
            Ok(answer) => {
                answer.status == StatusCode::PARTIAL_CONTENT
                    && (!conditional::if_range_holds(&read.headers, &answer.headers)
                        || !answer.headers.contains_key(CONTENT_LENGTH))
            }
        };
        if !only_range.is_empty() && needs_whole {
            answer = self.origin.fetch(&read.key, &HeaderMap::new()).await;
        }
        let answer = answer.inspect_err(|error| self.runtime.report(&read.key, *error, false))?;
        let (cache_status, now) = (CacheStatus::Miss, self.runtime.now());
        let fetched = Fetched {
            status: answer.status,
            headers: headers::for_client(answer.status, &answer.headers, cache_status, now),
            body: answer.body,
        };
        Ok(self.serve_fetched(read, fetched, cache_status))
    }

    /// The answer from what the origin has sent, in the shape that the reader wants.
    pub(super) fn serve_fetched(
        &self,
        read: &Read,
        fetched: Fetched<S::Body>,
        cache_status: CacheStatus,
    ) -> Answer<S::Found> {
        let Fetched {
            mut status,
            mut headers,
            mut body,
        } = fetched;
        let shape = match status {
            _ if read.headers.is_empty() => Shape::Whole,
            StatusCode::OK => shape_for(&read.headers, &headers),
            StatusCode::PARTIAL_CONTENT => match shape_for(&read.headers, &headers) {
                // The origin has cut it already: only the conditions still count.
                Shape::Part { .. } | Shape::Unsatisfiable { .. } => Shape::Whole,
                shape => shape,
            },
            _ => Shape::Whole,
        };
        match shape {
            Shape::PreconditionFailed => return precondition_failed(),
            Shape::Unsatisfiable { length } => {
                return unsatisfiable(length, cache_status, self.runtime.now());
            }
            Shape::NotModified => {
                status = StatusCode::NOT_MODIFIED;
                headers = headers::for_not_modified(headers);
                body = None;
            }
            Shape::Part { range, length } if read.head || is_sliced(range, length) => {
                status = StatusCode::PARTIAL_CONTENT;
                headers.insert(CONTENT_RANGE, value(&range.content_range(length)));
                headers.insert(CONTENT_LENGTH, value(&range.len().to_string()));
                if range.len() < length {
                    body = body.map(|body| body.slice(range));
                }
            }
            // The whole is always a right answer.
            Shape::Whole | Shape::Part { .. } => {}
        }
        Answer::FromParts {
            status,
            headers,
            body,
        }
    }
}

impl Read {
    /// Whether the reader takes the origin's body as it passes: the whole of it, or a part from its
    /// beginning.
    pub(super) fn takes_body(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        !self.head
            && (status != StatusCode::OK
                || match shape_for(&self.headers, headers) {
                    Shape::Whole => true,
                    Shape::Part { range, length } => is_sliced(range, length),
                    Shape::NotModified
                    | Shape::PreconditionFailed
                    | Shape::Unsatisfiable { .. } => false,
                })
    }

    /// Whether the reader wants a part that is not cut out of the body as it passes, but by the store or the
    /// origin.
    pub(super) fn wants_stored_part(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let is_cut_later =
            |shape| matches!(shape, Shape::Part { range, length } if !is_sliced(range, length));
        !self.head && status == StatusCode::OK && is_cut_later(shape_for(&self.headers, headers))
    }
}

/// Whether a part is cut out of the body as it passes.
const fn is_sliced(range: ByteRange, length: u64) -> bool {
    range.len() == length || range.last() < LONGEST_SLICE
}

/// 412.
fn precondition_failed<F: Found>() -> Answer<F> {
    Answer::FromParts {
        status: StatusCode::PRECONDITION_FAILED,
        headers: headers::security_only(),
        body: None,
    }
}

/// 416 about an object of `length` bytes.
fn unsatisfiable<F: Found>(length: u64, cache_status: CacheStatus, now: UnixMillis) -> Answer<F> {
    Answer::FromParts {
        status: StatusCode::RANGE_NOT_SATISFIABLE,
        headers: headers::for_unsatisfiable(length, cache_status, now),
        body: None,
    }
}
