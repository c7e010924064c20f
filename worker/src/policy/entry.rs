//! What is stored beside a body: when it was stored and how long it may be served.
//!
//! The record is the value of one header of the stored response, [`HEADER`], which is the very
//! header that each answer overwrites with its cache status: a hit costs one read and one write
//! of one header, and the record cannot leak.
//!
//! The first word is the version. A record of another version reads as absent, so that a new
//! release (or a rollback) never misreads what an older (or newer) one stored; the object is
//! fetched again.

use super::number::{parse_decimal, push_decimal};
use super::time::UnixMillis;

/// The header of the stored response that holds the record.
pub const HEADER: &str = "X-Cache-Status";

/// The version that [`Entry::encode`] writes, and the only one that [`Entry::decode`] reads.
const VERSION: &str = "medialift-1";

/// What is known of a stored answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The status of the stored answer: 200; 404 or 410 where `NEGATIVE_SECONDS` allows it.
    pub status: u16,
    /// When it was stored, or last confirmed by the bucket.
    pub stored_at: UnixMillis,
    /// The first moment at which it is no longer fresh.
    pub fresh_until: UnixMillis,
    /// The first moment at which it may not be served at all. Never before `fresh_until`.
    pub stale_until: UnixMillis,
}

impl Entry {
    /// The record as a header value: ASCII, no comma, at most 90 characters.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::with_capacity(64);
        text.push_str(VERSION);
        let numbers = [
            u64::from(self.status),
            self.stored_at.0,
            self.fresh_until.0,
            self.stale_until.0,
        ];
        for number in numbers {
            text.push(' ');
            push_decimal(&mut text, number);
        }
        text
    }

    /// Reads a record. `None` for another version, and for anything that [`encode`](Self::encode)
    /// cannot have written.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        if words.next()? != VERSION {
            return None;
        }
        let mut number = || parse_decimal(words.next()?);
        let entry = Self {
            status: u16::try_from(number()?).ok()?,
            stored_at: UnixMillis(number()?),
            fresh_until: UnixMillis(number()?),
            stale_until: UnixMillis(number()?),
        };
        let possible =
            (100..1000).contains(&entry.status) && entry.stale_until >= entry.fresh_until;
        (words.next().is_none() && possible).then_some(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry = Entry {
        status: 200,
        stored_at: UnixMillis(1_790_000_000_123),
        fresh_until: UnixMillis(1_790_172_800_123),
        stale_until: UnixMillis(1_792_764_800_123),
    };

    #[track_caller]
    fn check(text: &str, expected: Option<Entry>) {
        assert_eq!(Entry::decode(text), expected, "{text}");
    }

    /// What release 0.1 wrote. Never change this line: add one for each new version.
    #[test]
    fn the_first_version_is_read() {
        check(
            "medialift-1 200 1790000000123 1790172800123 1792764800123",
            Some(ENTRY),
        );
        check(&ENTRY.encode(), Some(ENTRY));
    }

    #[test]
    fn another_version_is_absent() {
        check(
            "medialift-0 200 1790000000123 1790172800123 1792764800123",
            None,
        );
        check(
            "medialift-2 200 1790000000123 1790172800123 1792764800123",
            None,
        );
        check(
            "medialift-1.1 200 1790000000123 1790172800123 1792764800123",
            None,
        );
    }

    #[test]
    fn what_was_never_written_is_absent() {
        for text in [
            "",
            "HIT",
            "medialift-1",
            "medialift-1 200 1 2",
            "medialift-1 200 1 2 3 4",
            "medialift-1 200 1 2 3, medialift-1 200 1 2 3",
            "medialift-1  200 1 2 3",
            "medialift-1 200 1 3 2",
            "medialift-1 20 1 2 3",
            "medialift-1 70000 1 2 3",
            "medialift-1 200 1 2 99999999999999999999",
            "medialift-1 200 -1 2 3",
        ] {
            check(text, None);
        }
    }
}
