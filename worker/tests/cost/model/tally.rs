//! What serving a log has taken.

use serde::Serialize;

/// Milliseconds in a day.
const DAY: u64 = 24 * 60 * 60 * 1000;

/// Counts of one contender.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    /// Requests to the bucket of each day, whatever they are answered with: B2's class B.
    pub(crate) transactions: Vec<u64>,
    /// Bytes of objects that the bucket has sent.
    pub(crate) bytes_from_origin: u64,
    /// Requests that the worker was called for; the platform's calls of the media entry count too.
    pub(crate) worker_requests: u64,
    /// Reads, by what they came to.
    pub(crate) reads: Reads,
}

/// Reads, by what they came to: each read is in one of these.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Reads {
    /// The whole object, without the bucket.
    pub(crate) hit: u64,
    /// A part of it, without the bucket.
    pub(crate) range: u64,
    /// The reader has it already; without the bucket.
    pub(crate) not_modified: u64,
    /// The bucket was asked, and the reader waited for it.
    pub(crate) asked: u64,
}

impl Reads {
    /// All of them.
    #[must_use]
    pub(crate) const fn all(&self) -> u64 {
        self.hit + self.range + self.not_modified + self.asked
    }
}

impl Tally {
    /// Nothing yet, over so many days.
    #[must_use]
    pub(crate) fn over(days: u64) -> Self {
        let days = usize::try_from(days).unwrap_or_default();
        Self {
            transactions: vec![0; days],
            ..Self::default()
        }
    }

    /// Counts a request to the bucket, `at` milliseconds after the log began. What is asked for
    /// after its end belongs to its last day.
    pub(crate) fn ask_origin(&mut self, at: u64, bytes: u64) {
        let day = usize::try_from(at / DAY).unwrap_or(usize::MAX);
        let last = self.transactions.len().saturating_sub(1);
        if let Some(count) = self.transactions.get_mut(day.min(last)) {
            *count += 1;
        }
        self.bytes_from_origin += bytes;
    }

    /// Requests to the bucket over all days.
    #[must_use]
    pub(crate) fn all_transactions(&self) -> u64 {
        self.transactions.iter().sum()
    }
}
