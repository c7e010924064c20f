//! So many requests, or bytes, a second, evenly spread; the rate may change while it is used.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// How far ahead of the even spread a burst may run.
const BURST: Duration = Duration::from_millis(50);

/// Lets `rate` units a second pass.
#[derive(Debug)]
pub struct Pacer {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Units a second; `None` lets everything pass.
    rate: Option<f64>,
    /// When the units reserved so far have passed at this rate.
    free_at: Instant,
}

impl Pacer {
    /// A pacer of `rate` units a second, or of none.
    pub fn new(rate: Option<f64>) -> Self {
        Pacer {
            state: Mutex::new(State {
                rate,
                free_at: Instant::now(),
            }),
        }
    }

    /// Units a second that pass now.
    pub fn rate(&self) -> Option<f64> {
        self.lock().rate
    }

    /// Changes the rate; what was reserved before keeps its time.
    pub fn set_rate(&self, rate: Option<f64>) {
        self.lock().rate = rate;
    }

    /// Waits until `units` may pass.
    pub async fn pass(&self, units: f64) {
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

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
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
        let pacer = Pacer::new(Some(100.0));
        let begin = Instant::now();
        for _ in 0..200 {
            pacer.pass(1.0).await;
        }
        let first = begin.elapsed().as_secs_f64();
        assert!((1.9..2.1).contains(&first), "{first}");
        pacer.set_rate(Some(1000.0));
        for _ in 0..1000 {
            pacer.pass(1.0).await;
        }
        let second = begin.elapsed().as_secs_f64() - first;
        assert!((0.9..1.1).contains(&second), "{second}");
        pacer.set_rate(None);
        let begin = Instant::now();
        pacer.pass(1e9).await;
        assert!(begin.elapsed().is_zero());
    }
}
