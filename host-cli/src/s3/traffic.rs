//! Counters and rate limits of a client, and whether the endpoint can be reached.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::rate_limit::RateLimit;

/// Counters and rate limits, shared by all requests of a client.
#[derive(Debug)]
pub struct Traffic {
    /// Limit of requests a second.
    pub requests: RateLimit,
    /// Limit of bytes a second in request bodies.
    pub bytes: RateLimit,
    requests_sent: AtomicU64,
    retries: AtomicU64,
    slow_downs: AtomicU64,
    outage: Mutex<Option<Outage>>,
}

/// The endpoint was reached before and cannot be reached now.
#[derive(Clone, Debug)]
pub struct Outage {
    /// Since when.
    pub since: Instant,
    /// The error of the last attempt to connect.
    pub cause: String,
}

impl Traffic {
    pub(super) fn new() -> Self {
        Traffic {
            requests: RateLimit::new(None),
            bytes: RateLimit::new(None),
            requests_sent: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            slow_downs: AtomicU64::new(0),
            outage: Mutex::new(None),
        }
    }

    /// Requests that were sent, retries included.
    pub fn requests_sent(&self) -> u64 {
        self.requests_sent.load(Relaxed)
    }

    /// Retries.
    pub fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    /// Responses that ask for fewer requests: 429, 503, SlowDown.
    pub fn slow_downs(&self) -> u64 {
        self.slow_downs.load(Relaxed)
    }

    /// The outage, while there is one.
    pub fn outage(&self) -> Option<Outage> {
        self.lock_outage().clone()
    }

    pub(super) fn count_request(&self) {
        self.requests_sent.fetch_add(1, Relaxed);
    }

    pub(super) fn count_retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(super) fn count_slow_down(&self) {
        self.slow_downs.fetch_add(1, Relaxed);
    }

    /// The endpoint cannot be reached. Returns for how long.
    pub(super) fn record_outage(&self, cause: &str) -> Duration {
        let mut outage = self.lock_outage();
        let outage = outage.get_or_insert_with(|| Outage {
            since: Instant::now(),
            cause: cause.to_owned(),
        });
        outage.since.elapsed()
    }

    /// The endpoint was reached.
    pub(super) fn clear_outage(&self) {
        *self.lock_outage() = None;
    }

    fn lock_outage(&self) -> MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
