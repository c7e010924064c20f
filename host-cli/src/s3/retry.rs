//! When and how often a request is sent again.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// The longest wait that a `Retry-After` is believed.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(120);

/// How long and how often to try.
#[derive(Clone, Copy, Debug)]
pub struct Retry {
    /// Attempts at most, the first included.
    pub attempts: u32,
    /// No new attempt begins when so much was spent on waiting and on attempts that failed.
    pub give_up_after: Duration,
    /// Ceiling of the first wait; it doubles from one attempt to the next.
    pub first_wait: Duration,
    /// Ceiling of every wait.
    pub longest_wait: Duration,
    /// How long a network that is away, after it was there, is waited for; `None`: as long as it takes.
    pub outage: Option<Duration>,
}

impl Default for Retry {
    /// Outlasts Backblaze's usual moments of 503. The time is the bound: with full jitter, fewer attempts would now and then be used up within the minute.
    fn default() -> Self {
        Retry {
            attempts: 60,
            give_up_after: Duration::from_secs(180),
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(20),
            outage: None,
        }
    }
}

impl Retry {
    /// For commands that look at something once and have somebody waiting.
    pub fn impatient() -> Self {
        Retry {
            attempts: 4,
            give_up_after: Duration::from_secs(20),
            first_wait: Duration::from_millis(200),
            longest_wait: Duration::from_secs(2),
            outage: Some(Duration::from_secs(20)),
        }
    }

    pub(super) fn waits(&self) -> ExponentialBackoff {
        ExponentialBuilder::new()
            .with_min_delay(self.first_wait)
            .with_max_delay(self.longest_wait)
            .with_factor(2.0)
            .with_max_times(usize::try_from(self.attempts.saturating_sub(1)).unwrap_or(usize::MAX))
            .build()
    }
}

/// The wait before the next attempt: anything up to `ceiling` (full jitter, so that many clients
/// do not come back at once), and never less than what the service asked for.
pub(super) fn wait(ceiling: Duration, retry_after: Option<Duration>) -> Duration {
    let jitter = ceiling.mul_f64(fastrand::f64());
    match retry_after {
        Some(asked) => asked.min(LONGEST_RETRY_AFTER) + jitter,
        None => jitter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_end_with_the_attempts() {
        let retry = Retry {
            attempts: 5,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(3),
            ..Retry::default()
        };
        let waits: Vec<u64> = retry.waits().map(|wait| wait.as_secs()).collect();
        assert_eq!(waits, [1, 2, 3, 3]);
    }

    #[test]
    fn a_wait_is_jittered_and_never_shorter_than_asked_for() {
        for _ in 0..1000 {
            assert!(wait(Duration::from_secs(1), None) <= Duration::from_secs(1));
            let asked = wait(Duration::from_secs(1), Some(Duration::from_secs(7)));
            assert!((7..=8).contains(&asked.as_secs()));
        }
        let absurd = wait(Duration::from_secs(1), Some(Duration::from_secs(1_000_000)));
        assert!(absurd <= LONGEST_RETRY_AFTER + Duration::from_secs(1));
    }
}
