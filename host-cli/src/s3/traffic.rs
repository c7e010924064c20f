//! What a client has sent so far, how fast it may send, and whether the endpoint is there.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::pace::Pacer;

/// What passed so far, and how fast it may pass.
#[derive(Debug)]
pub struct Traffic {
    /// Requests a second.
    pub requests: Pacer,
    /// Bytes a second in request bodies.
    pub bytes: Pacer,
    sent_requests: AtomicU64,
    retries: AtomicU64,
    slow_downs: AtomicU64,
    outage: Mutex<Option<Outage>>,
}

/// The endpoint was reached before, and cannot be reached now.
#[derive(Clone, Debug)]
pub struct Outage {
    /// Since when.
    pub since: Instant,
    /// What the network says.
    pub cause: String,
}

impl Traffic {
    pub(super) fn new() -> Self {
        Traffic {
            requests: Pacer::new(None),
            bytes: Pacer::new(None),
            sent_requests: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            slow_downs: AtomicU64::new(0),
            outage: Mutex::new(None),
        }
    }

    /// Requests sent, retries included.
    pub fn sent_requests(&self) -> u64 {
        self.sent_requests.load(Relaxed)
    }

    /// Requests sent again.
    pub fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    /// Answers that asked for fewer requests: 429, 503, SlowDown.
    pub fn slow_downs(&self) -> u64 {
        self.slow_downs.load(Relaxed)
    }

    /// The outage that lasts, if one does.
    pub fn outage(&self) -> Option<Outage> {
        self.lock_outage().clone()
    }

    pub(super) fn count_request(&self) {
        self.sent_requests.fetch_add(1, Relaxed);
    }

    pub(super) fn count_retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    pub(super) fn count_slow_down(&self) {
        self.slow_downs.fetch_add(1, Relaxed);
    }

    /// The endpoint cannot be reached; how long that has lasted by now.
    pub(super) fn is_away(&self, cause: &str) -> Duration {
        let mut outage = self.lock_outage();
        let outage = outage.get_or_insert_with(|| Outage {
            since: Instant::now(),
            cause: cause.to_owned(),
        });
        outage.since.elapsed()
    }

    /// It was reached.
    pub(super) fn is_back(&self) {
        *self.lock_outage() = None;
    }

    fn lock_outage(&self) -> MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
