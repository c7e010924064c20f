//! Byte ranges: what a `Range` header asks of an object of a known length, and cutting it out.
//!
//! As nginx reads them (RFC 9110, section 14, with nginx's answers where the RFC leaves a choice:
//! what cannot be parsed is 416, and an empty object has no ranges). Where nginx gives up on a
//! number too long for it, the number is taken for the greatest there is. Whether `Range` counts
//! at all is [`super::conditional::if_range_holds`]'s question.

/// A satisfiable range: at least one byte, all of them within the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    first: u64,
    last: u64,
}

/// What a `Range` header comes to.
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

/// Reads a `Range` header for an object of `length` bytes (`None`: not known).
#[must_use]
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
            Parsed::NothingThere => return RangePlan::Whole,
        }
    }
    only.map_or(RangePlan::Unsatisfiable, RangePlan::Part)
}

/// Whether a `Range` header asks for one range, written so that every cache reads it alike.
#[must_use]
pub fn is_single(header: &str) -> bool {
    // No number is longer than what 64 bits hold.
    let is_number = |text: &str| text.len() <= 18 && text.bytes().all(|b| b.is_ascii_digit());
    let range = header.strip_prefix("bytes=");
    let numbers = range.and_then(|range| range.split_once('-'));
    numbers.is_some_and(|(first, last)| is_number(first) && is_number(last))
        && matches!(plan(Some(header), Some(u64::MAX)), RangePlan::Part(_))
}

/// What follows `bytes=`, in any case; `None` for another unit, and where nothing follows.
fn after_unit(header: &str) -> Option<&str> {
    let (unit, ranges) = header.split_at_checked("bytes=".len())?;
    (unit.eq_ignore_ascii_case("bytes=") && !ranges.is_empty()).then_some(ranges)
}

/// One of the ranges that a header lists.
enum Parsed {
    Malformed,
    /// Well-formed, and without a byte of the object.
    Beyond,
    /// From the first byte on of an object that has none.
    NothingThere,
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
        Parsed::NothingThere
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
    #[must_use]
    pub const fn first(self) -> u64 {
        self.first
    }

    /// The offset of the last byte.
    #[must_use]
    pub const fn last(self) -> u64 {
        self.last
    }

    /// How many bytes it has: one at least.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
    pub const fn len(self) -> u64 {
        self.last - self.first + 1
    }

    /// The value of a `Range` header that asks for it: `bytes=0-99`.
    #[must_use]
    pub fn header(self) -> String {
        format!("bytes={}-{}", self.first, self.last)
    }

    /// `Content-Range` of a 206: `bytes 0-99/1234`.
    #[must_use]
    pub fn content_range(self, length: u64) -> String {
        format!("bytes {}-{}/{length}", self.first, self.last)
    }
}

/// `Content-Range` of a 416: `bytes */1234`.
#[must_use]
pub fn unsatisfied_content_range(length: u64) -> String {
    format!("bytes */{length}")
}

#[cfg(test)]
mod tests;
