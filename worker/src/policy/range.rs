//! Byte ranges: what a `Range` header asks of an object of a known length, and cutting it out.
//!
//! As nginx reads them (RFC 9110, section 14, with nginx's answers where the RFC leaves a choice:
//! what cannot be parsed is 416, and an empty object has no ranges). Where nginx gives up on a
//! number too long for it, the number is taken for the greatest there is. Whether `Range` counts
//! at all is [`super::conditional::if_range_holds`]'s question.

use std::ops::Range;

use super::number::{decimal, push_decimal};

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

    /// `Content-Range` of a 206: `bytes 0-99/1234`.
    #[must_use]
    pub fn content_range(self, length: u64) -> String {
        let mut text = "bytes ".to_owned();
        push_decimal(&mut text, self.first);
        text.push('-');
        push_decimal(&mut text, self.last);
        text.push('/');
        push_decimal(&mut text, length);
        text
    }
}

/// `Content-Range` of a 416: `bytes */1234`.
#[must_use]
pub fn unsatisfied_content_range(length: u64) -> String {
    ["bytes */", &decimal(length)].concat()
}

/// Cuts a range out of a body that passes chunk by chunk.
#[derive(Clone, Copy, Debug)]
pub struct Slice {
    skip: u64,
    take: u64,
}

impl Slice {
    /// For a body that starts at the object's first byte.
    #[must_use]
    pub const fn new(range: ByteRange) -> Self {
        Self {
            skip: range.first,
            take: range.len(),
        }
    }

    /// Which part of the next chunk, of `chunk` bytes, belongs to the range; may be empty.
    pub fn next(&mut self, chunk: usize) -> Range<usize> {
        let whole = u64::try_from(chunk).unwrap_or(u64::MAX);
        let start = self.skip.min(whole);
        let taken = self.take.min(whole - start);
        self.skip -= start;
        self.take -= taken;
        // Both are at most `chunk`, so they fit.
        start as usize..(start + taken) as usize
    }

    /// Whether every byte of the range has passed.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.take == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `expected`: the offsets of the first and last byte, `200` or `416`.
    #[track_caller]
    fn check(header: &str, length: u64, expected: &str) {
        let found = match plan(Some(header), Some(length)) {
            RangePlan::Whole => "200".to_owned(),
            RangePlan::Unsatisfiable => "416".to_owned(),
            RangePlan::Part(range) => range.content_range(length),
        };
        assert_eq!(found, expected, "{header} of {length}");
    }

    #[test]
    fn first_last_suffix_and_open_ranges() {
        check("bytes=0-0", 100, "bytes 0-0/100");
        check("bytes=5-9", 100, "bytes 5-9/100");
        check("bytes=0-", 100, "bytes 0-99/100");
        check("bytes=99-", 100, "bytes 99-99/100");
        check("bytes=-1", 100, "bytes 99-99/100");
        check("bytes=-100", 100, "bytes 0-99/100");
        check("bytes=-1000", 100, "bytes 0-99/100");
        check("bytes=90-1000", 100, "bytes 90-99/100");
        check("Bytes= 0 - 1 ", 100, "bytes 0-1/100");
    }

    #[test]
    fn what_holds_no_byte_is_unsatisfiable() {
        for header in [
            "bytes=100-",
            "bytes=100-200",
            "bytes=-0",
            "bytes=5-2",
            "bytes=200-,300-",
        ] {
            check(header, 100, "416");
        }
    }

    #[test]
    fn what_cannot_be_parsed_is_unsatisfiable() {
        for ranges in [
            "abc", "-", "0-1,", ",0-1", "0-1,abc", "+1-2", "0--1", "0-1;2-3", "\t0-1", "0-1-2",
            "0x1-2", "1", "١-٢",
        ] {
            check(&format!("bytes={ranges}"), 100, "416");
        }
    }

    #[test]
    fn no_bytes_asked_for_is_the_whole() {
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes 0-1",
            "bytes =0-1",
            "items=0-1",
            "é=0-1",
            "bytesé0-1",
        ] {
            check(header, 100, "200");
        }
        assert_eq!(plan(None, Some(100)), RangePlan::Whole);
        assert_eq!(plan(Some("bytes=0-1"), None), RangePlan::Whole);
    }

    #[test]
    fn of_several_ranges_the_only_satisfiable_one_is_served() {
        check("bytes=0-0,200-", 100, "bytes 0-0/100");
        check("bytes=200-,0-0", 100, "bytes 0-0/100");
        check("bytes=1-0, 2-3", 100, "bytes 2-3/100");
        check("bytes=0-0,5-5", 100, "200");
        check("bytes=0-99,0-99", 100, "200");
    }

    #[test]
    fn an_empty_object_has_no_ranges() {
        check("bytes=0-", 0, "200");
        check("bytes=0-0", 0, "200");
        check("bytes=-5", 0, "200");
        check("bytes=1-", 0, "416");
    }

    #[test]
    fn the_edges_of_the_numbers() {
        let most = u64::MAX;
        check("bytes=0-99999999999999999999", 100, "bytes 0-99/100");
        check("bytes=-99999999999999999999", 100, "bytes 0-99/100");
        check("bytes=99999999999999999999-", 100, "416");
        check(
            "bytes=18446744073709551615-18446744073709551615",
            100,
            "416",
        );
        check(
            "bytes=18446744073709551614-18446744073709551615",
            most,
            "bytes 18446744073709551614-18446744073709551614/18446744073709551615",
        );
        check(
            "bytes=-18446744073709551615",
            most,
            "bytes 0-18446744073709551614/18446744073709551615",
        );
    }

    #[test]
    fn ten_thousand_ranges_cost_no_memory_and_get_the_whole() {
        let many = vec!["0-0"; 10_000].join(",");
        check(&format!("bytes={many}"), 100, "200");
        let beyond = vec!["500-"; 10_000].join(",");
        check(&format!("bytes={beyond}"), 100, "416");
        check(&format!("bytes={beyond},7-7"), 100, "bytes 7-7/100");
    }

    #[test]
    fn a_416_tells_the_length() {
        assert_eq!(unsatisfied_content_range(1234), "bytes */1234");
    }

    #[test]
    fn a_slice_is_cut_out_of_whatever_chunks_come() {
        let body: Vec<u8> = (0..100).collect();
        let RangePlan::Part(range) = plan(Some("bytes=13-57"), Some(100)) else {
            panic!("a part")
        };
        for size in [1, 2, 7, 13, 14, 45, 58, 100] {
            let mut slice = Slice::new(range);
            let cut: Vec<u8> = body
                .chunks(size)
                .flat_map(|chunk| chunk[slice.next(chunk.len())].to_vec())
                .collect();
            assert_eq!(cut, body[13..=57], "chunks of {size}");
            assert!(slice.is_done());
        }
    }
}
