//! How many requests came in, for what, and how they were answered.
//!
//! Leaves to others: where requests are seen ([`super::front`]).

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::target::Target;

/// The counts since the start or the last reset, as the control endpoint shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Requests received.
    pub total: u64,
    /// Requests of each S3 operation.
    pub by_operation: BTreeMap<String, u64>,
    /// Requests of each operation for each object key (of whichever bucket).
    pub by_key: BTreeMap<String, BTreeMap<String, u64>>,
    /// Answers of each status.
    pub by_status: BTreeMap<u16, u64>,
    /// Requests that a fault turned away.
    pub refused: u64,
    /// How often each key was stored whole: a put, copy or completed multipart upload answered with 200.
    pub stored: BTreeMap<String, u64>,
    /// Requests under way at once, at most.
    pub most_at_once: u64,
    /// Requests under way now.
    pub under_way: u64,
}

/// Counts requests.
#[derive(Default)]
pub struct Counter(Mutex<State>);

#[derive(Default)]
struct State {
    counts: Counts,
    // Beside the counts, since a reset does not end a request.
    under_way: u64,
}

impl Counter {
    /// Counts a request that came in.
    pub fn received(&self, target: &Target) {
        let mut state = self.lock();
        state.under_way += 1;
        let under_way = state.under_way;
        let counts = &mut state.counts;
        counts.most_at_once = counts.most_at_once.max(under_way);
        counts.total += 1;
        add(&mut counts.by_operation, target.operation);
        if !target.key.is_empty() {
            match counts.by_key.get_mut(&target.key) {
                Some(operations) => add(operations, target.operation),
                None => add(
                    counts.by_key.entry(target.key.clone()).or_default(),
                    target.operation,
                ),
            }
        }
    }

    /// Counts the end of a request: with an answer, or without one if the connection was dropped.
    pub fn ended(&self, target: &Target, answer: Option<StatusCode>, refused: bool) {
        let mut state = self.lock();
        state.under_way = state.under_way.saturating_sub(1);
        let counts = &mut state.counts;
        counts.refused += u64::from(refused);
        if let Some(status) = answer {
            *counts.by_status.entry(status.as_u16()).or_default() += 1;
            let stores = matches!(
                target.operation,
                "PutObject" | "CopyObject" | "CompleteMultipartUpload"
            );
            if stores && status == StatusCode::OK {
                add(&mut counts.stored, &target.key);
            }
        }
    }

    /// The counts so far.
    pub fn snapshot(&self) -> Counts {
        let state = self.lock();
        Counts {
            under_way: state.under_way,
            ..state.counts.clone()
        }
    }

    /// Starts over.
    pub fn reset(&self) {
        self.lock().counts = Counts::default();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(counts: &mut BTreeMap<String, u64>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => {
            counts.insert(name.to_owned(), 1);
        }
    }
}
