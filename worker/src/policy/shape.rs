//! What a reader's conditions and range, taken together, make of a 200.

use super::conditional::{self, Evaluated};
use super::headers;
use super::range::{self, ByteRange, RangePlan};
use http::HeaderMap;
use http::header::{CONTENT_LENGTH, RANGE};

/// The form in which an object is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// 200.
    Whole,
    /// 206.
    Part {
        range: ByteRange,
        /// The length of the whole object, in bytes.
        length: u64,
    },
    /// 304.
    NotModified,
    /// 412.
    PreconditionFailed,
    /// 416.
    Unsatisfiable {
        /// The length of the whole object, in bytes.
        length: u64,
    },
}

/// The shape that a reader with the headers `request` gets of a 200 with the headers `stored`. Conditions
/// come before the range (RFC 9110, section 13.2.2).
pub fn shape_for(request: &HeaderMap, stored: &HeaderMap) -> Shape {
    match conditional::evaluate(request, stored) {
        Evaluated::Proceed => {}
        Evaluated::NotModified => return Shape::NotModified,
        Evaluated::PreconditionFailed => return Shape::PreconditionFailed,
    }
    let length = headers::number(stored, CONTENT_LENGTH)
        .filter(|_| conditional::if_range_holds(request, stored));
    let Some(length) = length else {
        return Shape::Whole;
    };
    match range::plan(headers::text(request, RANGE), Some(length)) {
        RangePlan::Whole => Shape::Whole,
        RangePlan::Part(range) => Shape::Part { range, length },
        RangePlan::Unsatisfiable => Shape::Unsatisfiable { length },
    }
}
