//! A limit of requests, or bytes, a second, evenly spread. It can be changed while it is in use.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// Units of this time may pass in one burst.
const BURST: Duration = Duration::from_millis(50);

/// A limit of units a second.
#[derive(Debug)]
pub struct RateLimit {
    state: Mutex<Schedule>,
}

#[derive(Debug)]
struct Schedule {
    /// Units a second; `None` is no limit.
    rate: Option<f64>,
    /// When all units that were acquired so far have passed.
    free_at: Instant,
}

impl RateLimit {
    /// A limit of `rate` units a second, or none.
    pub fn new(rate: Option<f64>) -> Self {
        RateLimit {
            state: Mutex::new(Schedule {
                rate,
                free_at: Instant::now(),
            }),
        }
    }

    /// Changes the rate for units that are acquired from now on.
    pub fn set_rate(&self, rate: Option<f64>) {
        self.lock().rate = rate;
    }

    /// Waits until `units` may pass.
    pub async fn acquire(&self, units: f64) {
        let wait = self.reserve(units, Instant::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
    }

    fn reserve(&self, units: f64, now: Instant) -> Duration {
        let mut state = self.lock();
        let Some(rate) = state.rate else {
            return Duration::ZERO;
        };
        let begin = state.free_at.max(now.checked_sub(BURST).unwrap_or(now));
        state.free_at = begin + Duration::from_secs_f64(units / rate.max(0.001));
        begin.saturating_duration_since(now)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Schedule> {
        self.state
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn units_pass_at_the_rate_and_a_new_rate_holds_at_once() {
        tokio::time::advance(Duration::from_secs(1)).await;
        let limit = RateLimit::new(Some(100.0));
        let begin = Instant::now();
        for _ in 0..200 {
            limit.acquire(1.0).await;
        }
        let first = begin.elapsed().as_secs_f64();
        assert!((1.9..2.1).contains(&first), "{first}");
        limit.set_rate(Some(1000.0));
        for _ in 0..1000 {
            limit.acquire(1.0).await;
        }
        let second = begin.elapsed().as_secs_f64() - first;
        assert!((0.9..1.1).contains(&second), "{second}");
        limit.set_rate(None);
        let begin = Instant::now();
        limit.acquire(1e9).await;
        assert!(begin.elapsed().is_zero());
    }
}
