//! The time limit of a request: it fails once no byte has moved for a minute. A slow connection has no
//! limit.

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::error::ErrorKind;

/// The longest time in which no part of the body is sent and no response comes.
pub(super) const STALL_TIMEOUT: Duration = Duration::from_secs(60);

/// When one request last made progress.
#[derive(Debug)]
pub(super) struct StallTimer(Mutex<Activity>);

#[derive(Clone, Copy, Debug)]
enum Activity {
    /// The last progress.
    ProgressAt(Instant),
    /// The bandwidth limit delays the next part of the body.
    Throttled,
}

impl StallTimer {
    /// Starts now.
    pub(super) fn new() -> Self {
        StallTimer(Mutex::new(Activity::ProgressAt(Instant::now())))
    }

    /// A part of the body was sent.
    pub(super) fn progressed(&self) {
        *self.lock() = Activity::ProgressAt(Instant::now());
    }

    /// The bandwidth limit delays the request, until [`Self::progressed`]: that time does not count.
    pub(super) fn throttled(&self) {
        *self.lock() = Activity::Throttled;
    }

    fn left(&self) -> Duration {
        match *self.lock() {
            Activity::ProgressAt(at) => STALL_TIMEOUT.saturating_sub(at.elapsed()),
            Activity::Throttled => STALL_TIMEOUT,
        }
    }

    /// Runs `work`; fails with [`ErrorKind::Timeout`] after [`STALL_TIMEOUT`] without progress.
    pub(super) async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, ErrorKind> {
        let mut work = pin!(work);
        loop {
            let left = self.left();
            if left.is_zero() {
                return Err(ErrorKind::Timeout);
            }
            if let Ok(done) = tokio::time::timeout(left, work.as_mut()).await {
                return Ok(done);
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Activity> {
        self.0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tokio::time::sleep;

    /// Whether a request that makes progress every `pause` completes after ten times.
    async fn completes(pause: Duration, throttled: bool) -> bool {
        let timer = Arc::new(StallTimer::new());
        let of_body = timer.clone();
        let work = async move {
            for _ in 0..10 {
                if throttled {
                    of_body.throttled();
                }
                sleep(pause).await;
                of_body.progressed();
            }
        };
        timer.run(work).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_request_completes() {
        assert!(completes(STALL_TIMEOUT - Duration::from_secs(1), false).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stalled_request_fails() {
        assert!(!completes(STALL_TIMEOUT + Duration::from_secs(1), false).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_the_bandwidth_limit_delays_completes() {
        assert!(completes(STALL_TIMEOUT * 5, true).await);
    }
}
