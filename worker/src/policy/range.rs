//! Byte ranges: which part of an object of a known length a `Range` header asks for.
//!
//! RFC 9110, section 14, with nginx's answers where the RFC leaves a choice: what cannot be parsed is 416,
//! and an empty object has no ranges. A number too long for nginx counts as the greatest possible number.
//! [`super::conditional::if_range_holds`] decides whether `Range` counts at all.

use http::header::RANGE;
use http::{HeaderMap, HeaderValue};

/// A satisfiable range: at least one byte, all of them within the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    first: u64,
    last: u64,
}

/// The answer to a `Range` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangePlan {
    /// 200, the whole object: no range, another unit, several satisfiable ranges, an empty object,
    /// or an unknown length.
    Whole,
    /// 206, this part.
    Part(ByteRange),
    /// 416.
    Unsatisfiable,
}

/// The answer to the `Range` header of a request for an object of `length` bytes; `None` where either is not
/// known.
pub fn plan(header: Option<&str>, length: Option<u64>) -> RangePlan {
    let (Some(header), Some(length)) = (header, length) else {
        return RangePlan::Whole;
    };
    let Some(ranges) = after_unit(header.trim_matches(' ')) else {
        return RangePlan::Whole;
    };
    let mut only = None;
    for spec in ranges.split(',') {
        match parse(spec, length) {
            Parsed::Malformed => return RangePlan::Unsatisfiable,
            Parsed::Beyond => {}
            Parsed::Within(_) if only.is_some() => return RangePlan::Whole,
            Parsed::Within(range) => only = Some(range),
            Parsed::OfEmpty => return RangePlan::Whole,
        }
    }
    only.map_or(RangePlan::Unsatisfiable, RangePlan::Part)
}

/// The header `Range` of a request, where it is one range in bytes, and otherwise no header.
pub fn single_range_header(headers: &HeaderMap) -> HeaderMap {
    let is_single = |value: &&HeaderValue| {
        let text = value.as_bytes();
        text.starts_with(b"bytes=") && !text.contains(&b',')
    };
    let range = headers.get(RANGE).filter(is_single);
    range
        .map(|value| (RANGE, value.clone()))
        .into_iter()
        .collect()
}

/// Whether a `Range` header asks for one range, in a form that every cache reads alike.
pub fn is_plain(header: &str) -> bool {
    // 18 digits fit into 64 bits.
    let is_number = |text: &str| text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
    let range = header.strip_prefix("bytes=");
    let numbers = range.and_then(|range| range.split_once('-'));
    numbers.is_some_and(|(first, last)| is_number(first) && is_number(last))
        && matches!(plan(Some(header), Some(u64::MAX)), RangePlan::Part(_))
}

/// The text after `bytes=`, in letters of any case; `None` for another unit, and where there is none.
fn after_unit(header: &str) -> Option<&str> {
    let (unit, ranges) = header.split_at_checked("bytes=".len())?;
    (unit.eq_ignore_ascii_case("bytes=") && !ranges.is_empty()).then_some(ranges)
}

/// One of the ranges in a header.
enum Parsed {
    Malformed,
    /// Well-formed, but without a byte of the object.
    Beyond,
    /// From the first byte of an empty object.
    OfEmpty,
    Within(ByteRange),
}

fn parse(spec: &str, length: u64) -> Parsed {
    let Some((first, last)) = spec.split_once('-') else {
        return Parsed::Malformed;
    };
    let (first, last) = (first.trim_matches(' '), last.trim_matches(' '));
    let (first, end) = match (position(first), position(last)) {
        (Some(first), Some(last)) => (first, last.saturating_add(1).min(length)),
        (Some(first), None) if last.is_empty() => (first, length),
        (None, Some(suffix)) if first.is_empty() => (length.saturating_sub(suffix), length),
        _ => return Parsed::Malformed,
    };
    if first < end {
        Parsed::Within(ByteRange {
            first,
            last: end - 1,
        })
    } else if first == 0 {
        Parsed::OfEmpty
    } else {
        Parsed::Beyond
    }
}

/// A position, saturating; `None` for anything but digits.
fn position(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| {
        text.bytes().fold(0u64, |number, digit| {
            number
                .saturating_mul(10)
                .saturating_add(u64::from(digit - b'0'))
        })
    })
}

impl ByteRange {
    /// The offset of the first byte.
    pub const fn first(self) -> u64 {
        self.first
    }

    /// The offset of the last byte.
    pub const fn last(self) -> u64 {
        self.last
    }

    /// How many bytes it has: at least one.
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub const fn len(self) -> u64 {
        self.last - self.first + 1
    }

    /// The `Range` that asks for it: `bytes=0-99`.
    pub fn header(self) -> String {
        format!("bytes={}-{}", self.first, self.last)
    }

    /// `Content-Range` of a 206: `bytes 0-99/1234`.
    pub fn content_range(self, length: u64) -> String {
        format!("bytes {}-{}/{length}", self.first, self.last)
    }
}

/// `Content-Range` of a 416: `bytes */1234`.
pub fn unsatisfied_content_range(length: u64) -> String {
    format!("bytes */{length}")
}

#[cfg(test)]
mod tests;
