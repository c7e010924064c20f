//! From a whole 200 to what a reader's conditions and range make of it. Pure.

use super::outside::Body;
use super::{Answer, Read};
use crate::policy::conditional::{self, Evaluated, Validators};
use crate::policy::fields::Fields;
use crate::policy::headers;
use crate::policy::range::{self, ByteRange, RangePlan};
use crate::policy::status::CacheStatus;
use crate::policy::time::UnixMillis;

/// What a reader's conditions and range make of a 200.
pub(super) enum Shape {
    Whole,
    Part(ByteRange, u64),
    NotModified,
    PreconditionFailed,
    Unsatisfiable(u64),
}

/// What the reader's conditions and range come to for a 200 with these fields.
pub(super) fn shape(read: Read<'_>, fields: &Fields) -> Shape {
    let validators = Validators::of(fields);
    match conditional::evaluate(&read.conditions, &validators) {
        Evaluated::Proceed => {}
        Evaluated::NotModified => return Shape::NotModified,
        Evaluated::PreconditionFailed => return Shape::PreconditionFailed,
    }
    let stands = read
        .if_range
        .is_none_or(|if_range| conditional::if_range_holds(if_range, &validators));
    let Some(length) = fields.content_length().filter(|_| stands) else {
        return Shape::Whole;
    };
    match range::plan(read.range, Some(length)) {
        RangePlan::Whole => Shape::Whole,
        RangePlan::Part(range) => Shape::Part(range, length),
        RangePlan::Unsatisfiable => Shape::Unsatisfiable(length),
    }
}

/// Makes an answer of the origin what the reader asked for. `fields` are final, for a 200 whole.
pub(super) fn shape_made<F, B: Body>(
    read: Read<'_>,
    status: u16,
    mut fields: Fields,
    body: Option<B>,
    cache: CacheStatus,
    now: UnixMillis,
) -> Answer<F, B> {
    if status != 200 || read.is_plain() {
        return Answer::Made {
            status,
            fields,
            body,
        };
    }
    match shape(read, &fields) {
        Shape::Whole => Answer::Made {
            status,
            fields,
            body,
        },
        Shape::Part(range, length) => {
            fields.set("Content-Range", range.content_range(length));
            fields.set("Content-Length", range.len().to_string());
            let whole = range.len() == length;
            let body = body.map(|body| if whole { body } else { body.part(range) });
            Answer::Made {
                status: 206,
                fields,
                body,
            }
        }
        Shape::NotModified => Answer::Made {
            status: 304,
            fields: headers::for_not_modified(&fields),
            body: None,
        },
        Shape::PreconditionFailed => Answer::Made {
            status: 412,
            fields: Fields::new(),
            body: None,
        },
        Shape::Unsatisfiable(length) => Answer::Made {
            status: 416,
            fields: headers::for_unsatisfiable(length, cache, now),
            body: None,
        },
    }
}

pub(super) fn range_header(range: ByteRange) -> String {
    format!("bytes={}-{}", range.first(), range.last())
}

/// Whether a part is the right part of the very version that was looked at before.
pub(super) fn is_part_of(part: &Fields, whole: &Fields, range: ByteRange, length: u64) -> bool {
    Validators::of(part) == Validators::of(whole)
        && part.get("content-range") == Some(range.content_range(length).as_str())
}
