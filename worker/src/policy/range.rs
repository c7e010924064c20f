//! Byte ranges: what a `Range` header asks of an object of a known length, and cutting it out.
//!
//! As nginx reads them (RFC 9110, section 14, with nginx's answers where the RFC leaves a choice):
//! what cannot be parsed is 416. Whether `Range` counts at all is [`super::conditional::if_range_holds`]'s.

use std::ops::Range;

/// A satisfiable range: at least one byte, all of them within the object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByteRange {
    first: u64,
    last: u64,
}

/// What a `Range` header comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangePlan {
    /// 200, the whole object: no range, another unit, several ranges, or an unknown length.
    Whole,
    /// 206, this part.
    Part(ByteRange),
    /// 416.
    Unsatisfiable,
}

/// Reads a `Range` header for an object of `length` bytes (`None`: not known).
#[must_use]
pub fn plan(header: Option<&str>, length: Option<u64>) -> RangePlan {
    let _ = (header, length);
    RangePlan::Whole
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
        let _ = length;
        String::new()
    }
}

/// `Content-Range` of a 416: `bytes */1234`.
#[must_use]
pub fn unsatisfied_content_range(length: u64) -> String {
    let _ = length;
    String::new()
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
        let _ = chunk;
        0..0
    }

    /// Whether every byte of the range has passed.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.take == 0
    }
}
