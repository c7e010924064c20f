//! The record that is stored with a body: when the bucket was asked for it, and how long it may be served.
//!
//! The record is postcard, in hexadecimal, in one header of the stored response:
//! [`RECORD`](super::headers::RECORD).

use super::time::UnixMillis;
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// The version that [`Record::encode`] writes, and the only one that [`Record::decode`] reads.
///
/// A record of another version reads as absent, so the object is fetched again: no release misreads what
/// another has stored.
const VERSION: u32 = 2;

/// What is known of a stored answer.
///
/// It is written as these fields, in this order, after [`VERSION`]: another field or order needs a new
/// version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The status of the stored answer: 200; 404 or 410 where `NEGATIVE_SECONDS` allows it.
    pub status: u16,
    /// When the bucket was asked for this answer, or last confirmed it. A later purge makes the answer
    /// invalid.
    pub asked_at: UnixMillis,
    /// When the answer was of age 0 (RFC 9111, section 4.2.3): `asked_at`, less the `Age` that a cache
    /// behind the worker has stated.
    pub generated_at: UnixMillis,
    /// The first moment at which it is no longer fresh.
    pub fresh_until: UnixMillis,
    /// The first moment at which it may not be served at all. Never before `fresh_until`.
    pub stale_until: UnixMillis,
}

impl Record {
    /// The record as a header value: visible ASCII.
    pub fn encode(&self) -> String {
        postcard::to_allocvec(&(VERSION, self)).map_or_else(|_| String::new(), hex::encode)
    }

    /// Reads a record. `None` for another version, and for a text that [`encode`](Self::encode) cannot have
    /// written.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = hex::decode(text).ok()?;
        let (version, record): (u32, Self) = postcard::from_bytes(&bytes).ok()?;
        let is_possible =
            (100..1000).contains(&record.status) && record.stale_until >= record.fresh_until;
        (version == VERSION && is_possible).then_some(record)
    }

    /// Whether it is the mark that the bucket does not have the object.
    pub const fn marks_missing(&self) -> bool {
        self.status != StatusCode::OK.as_u16()
    }

    /// The value of `Age` at `now`, in seconds.
    pub fn age_seconds(&self, now: UnixMillis) -> u64 {
        now.0.saturating_sub(self.generated_at.0) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: Record = Record {
        status: 200,
        asked_at: UnixMillis(1_790_000_000_123),
        generated_at: UnixMillis(1_790_000_000_123),
        fresh_until: UnixMillis(1_790_172_800_123),
        stale_until: UnixMillis(1_792_764_800_123),
    };

    /// What release 0.2 writes. Never change this text: add one for each new version.
    const VERSION_2: &str = "02c801fbd8c1a28c34fbd8c1a28c34fbc8f4f48c34fbd8efc89634";

    #[track_caller]
    fn check(text: &str, expected: Option<Record>) {
        assert_eq!(Record::decode(text), expected, "{text}");
    }

    #[test]
    fn the_present_version_is_written_and_read() {
        assert_eq!(RECORD.encode(), VERSION_2);
        check(VERSION_2, Some(RECORD));
    }

    #[test]
    fn another_version_is_absent() {
        check(
            "medialift-1 200 1790000000123 1790172800123 1792764800123",
            None,
        );
        for version in ["00", "01", "03"] {
            check(&[version, &VERSION_2[2..]].concat(), None);
        }
    }

    #[test]
    fn what_was_never_written_is_absent() {
        for text in ["", "HIT", "02", "0", "zz", "02c801"] {
            check(text, None);
        }
        for end in 0..VERSION_2.len() {
            check(&VERSION_2[..end], None);
        }
        let status = Record {
            status: 20,
            ..RECORD
        };
        check(&status.encode(), None);
        let window = Record {
            stale_until: UnixMillis(1),
            ..RECORD
        };
        check(&window.encode(), None);
        check(&format!("{VERSION_2}, {VERSION_2}"), None);
    }

    #[test]
    fn the_age_counts_from_the_moment_of_generation() {
        let record = Record {
            generated_at: UnixMillis(RECORD.asked_at.0 - 10_000),
            ..RECORD
        };
        assert_eq!(record.age_seconds(record.asked_at), 10);
        assert_eq!(
            record.age_seconds(UnixMillis(record.asked_at.0 + 1_999)),
            11
        );
        assert_eq!(record.age_seconds(UnixMillis(0)), 0, "a clock behind");
    }
}
