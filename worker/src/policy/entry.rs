//! The record that is stored with a body: when the bucket was asked for it, and how long it may be served.
//!
//! The record is postcard, in hexadecimal, in one header of the stored response, [`HEADER`]. Every answer overwrites that
//! very header with its cache status: a hit reads and writes one header, and the record cannot leak.

use super::time::UnixMillis;
use http::HeaderName;
use serde::{Deserialize, Serialize};

/// The header of the stored response that holds the record.
pub const HEADER: HeaderName = super::headers::X_CACHE_STATUS;

/// The version that [`Entry::encode`] writes, and the only one that [`Entry::decode`] reads.
///
/// A record of another version reads as absent, so that no release misreads what another has
/// stored: the object is fetched again.
const VERSION: u32 = 2;

/// What is known of a stored answer. All moments are milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The status of the stored answer: 200; 404 or 410 where `NEGATIVE_SECONDS` allows it.
    pub status: u16,
    /// When the bucket was asked for this answer, or last confirmed it. A purge that came later
    /// makes the answer invalid.
    pub asked_at: UnixMillis,
    /// When the answer was of age 0 (RFC 9111, section 4.2.3): `asked_at`, less the `Age` of a cache
    /// behind the worker.
    pub generated_at: UnixMillis,
    /// The first moment at which it is no longer fresh.
    pub fresh_until: UnixMillis,
    /// The first moment at which it may not be served at all. Never before `fresh_until`.
    pub stale_until: UnixMillis,
}

/// The record as it is written. Fields are added, and removed, with a new version only.
#[derive(Serialize, Deserialize)]
struct Record {
    v: u32,
    status: u16,
    asked_at: u64,
    generated_at: u64,
    fresh_until: u64,
    stale_until: u64,
}

impl Entry {
    /// The record as a header value: visible ASCII.
    #[must_use]
    pub fn encode(&self) -> String {
        let record = Record {
            v: VERSION,
            status: self.status,
            asked_at: self.asked_at.0,
            generated_at: self.generated_at.0,
            fresh_until: self.fresh_until.0,
            stale_until: self.stale_until.0,
        };
        postcard::to_allocvec(&record).map_or_else(|_| String::new(), hex::encode)
    }

    /// Reads a record. `None` for another version, and for anything that [`encode`](Self::encode)
    /// cannot have written.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let record: Record = postcard::from_bytes(&hex::decode(text).ok()?).ok()?;
        let possible =
            (100..1000).contains(&record.status) && record.stale_until >= record.fresh_until;
        (record.v == VERSION && possible).then_some(Self {
            status: record.status,
            asked_at: UnixMillis(record.asked_at),
            generated_at: UnixMillis(record.generated_at),
            fresh_until: UnixMillis(record.fresh_until),
            stale_until: UnixMillis(record.stale_until),
        })
    }

    /// The value of `Age` at `now`, in seconds.
    #[must_use]
    pub fn age_seconds(&self, now: UnixMillis) -> u64 {
        now.0.saturating_sub(self.generated_at.0) / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Entry = Entry {
        status: 200,
        asked_at: UnixMillis(1_790_000_000_123),
        generated_at: UnixMillis(1_790_000_000_123),
        fresh_until: UnixMillis(1_790_172_800_123),
        stale_until: UnixMillis(1_792_764_800_123),
    };

    /// What release 0.2 writes. Never change this text: add one for each new version.
    const VERSION_2: &str = "02c801fbd8c1a28c34fbd8c1a28c34fbc8f4f48c34fbd8efc89634";

    #[track_caller]
    fn check(text: &str, expected: Option<Entry>) {
        assert_eq!(Entry::decode(text), expected, "{text}");
    }

    #[test]
    fn the_present_version_is_written_and_read() {
        assert_eq!(ENTRY.encode(), VERSION_2);
        check(VERSION_2, Some(ENTRY));
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
        let status = Entry {
            status: 20,
            ..ENTRY
        };
        check(&status.encode(), None);
        let window = Entry {
            stale_until: UnixMillis(1),
            ..ENTRY
        };
        check(&window.encode(), None);
        check(&format!("{VERSION_2}, {VERSION_2}"), None);
    }

    #[test]
    fn the_age_counts_from_the_moment_of_generation() {
        let entry = Entry {
            generated_at: UnixMillis(ENTRY.asked_at.0 - 10_000),
            ..ENTRY
        };
        assert_eq!(entry.age_seconds(entry.asked_at), 10);
        assert_eq!(entry.age_seconds(UnixMillis(entry.asked_at.0 + 1_999)), 11);
        assert_eq!(entry.age_seconds(UnixMillis(0)), 0, "a clock behind");
    }
}
