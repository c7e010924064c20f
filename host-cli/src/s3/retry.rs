//! When and how often a request is retried.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// A longer `Retry-After` is cut to this.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// Bounds of the retries of one request.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Attempts at most, the first included.
    pub attempts: u32,
    /// No attempt begins after so much time in pauses and failed attempts.
    pub time_limit: Duration,
    /// Longest first pause; it doubles from one attempt to the next.
    pub first_pause: Duration,
    /// Longest pause.
    pub longest_pause: Duration,
    /// How long an endpoint is tried that was reached before and cannot be reached now; `None`: without
    /// end. That time does not count for `time_limit`.
    pub outage_timeout: Option<Duration>,
}

impl Default for Retry {
    /// Longer than Backblaze's usual phases of 503. The time is the bound: with full jitter, ten
    /// attempts can be used up within a minute.
    fn default() -> Self {
        Retry {
            attempts: 60,
            time_limit: Duration::from_secs(180),
            first_pause: Duration::from_millis(200),
            longest_pause: Duration::from_secs(20),
            outage_timeout: None,
        }
    }
}

impl Retry {
    /// The longest pause before each retry.
    pub(super) fn pauses(&self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_pause)
            .with_factor(2.0)
            .with_max_times(usize::try_from(self.attempts.saturating_sub(1)).unwrap_or(usize::MAX))
            .build()
    }
}

/// The pause before the next attempt: random, up to `longest` (full jitter, so that requests that
/// failed together are not retried together), after what the service asked for.
pub(super) fn jittered_pause(longest: Duration, retry_after: Option<Duration>) -> Duration {
    let jitter = longest.mul_f64(fastrand::f64());
    match retry_after {
        Some(asked) => asked.min(LONGEST_RETRY_AFTER) + jitter,
        None => jitter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_end_with_the_attempts() {
        let retry = Retry {
            attempts: 5,
            first_pause: Duration::from_secs(1),
            longest_pause: Duration::from_secs(3),
            ..Retry::default()
        };
        let pauses: Vec<u64> = retry.pauses().map(|pause| pause.as_secs()).collect();
        assert_eq!(pauses, [1, 2, 3, 3]);
    }

    #[test]
    fn a_pause_is_jittered_and_never_shorter_than_asked_for() {
        for _ in 0..1000 {
            assert!(jittered_pause(Duration::from_secs(1), None) <= Duration::from_secs(1));
            let asked = jittered_pause(Duration::from_secs(1), Some(Duration::from_secs(7)));
            assert!((7..=8).contains(&asked.as_secs()));
        }
        let absurd = jittered_pause(Duration::from_secs(1), Some(Duration::from_secs(1_000_000)));
        assert!(absurd <= LONGEST_RETRY_AFTER + Duration::from_secs(1));
    }
}
