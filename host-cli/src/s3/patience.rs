//! How long a request may stand still. A slow line is waited for as long as bytes move; a dead one is not.

use std::future::Future;
use std::pin::pin;
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use super::error::ErrorKind;

/// How long nothing may move: no piece of the body taken, no answer come.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// The last sign of life of one request.
#[derive(Debug)]
pub(super) struct Life(Mutex<Sign>);

#[derive(Clone, Copy, Debug)]
enum Sign {
    /// Something moved at this moment.
    Moved(Instant),
    /// We hold it back ourselves, for the sake of a bandwidth.
    HeldBack,
}

impl Life {
    /// Begins now.
    pub(super) fn new() -> Self {
        Life(Mutex::new(Sign::Moved(Instant::now())))
    }

    /// Something moved.
    pub(super) fn moved(&self) {
        *self.lock() = Sign::Moved(Instant::now());
    }

    /// What comes next is our own doing, until [`Self::moved`].
    pub(super) fn held_back(&self) {
        *self.lock() = Sign::HeldBack;
    }

    /// How much patience is left.
    fn left(&self) -> Duration {
        match *self.lock() {
            Sign::Moved(at) => PATIENCE.saturating_sub(at.elapsed()),
            Sign::HeldBack => PATIENCE,
        }
    }

    /// Waits for `work` until [`PATIENCE`] has passed without a sign of life.
    pub(super) async fn watch<T>(&self, work: impl Future<Output = T>) -> Result<T, ErrorKind> {
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

    fn lock(&self) -> std::sync::MutexGuard<'_, Sign> {
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

    /// Whether a request that gives a sign of life every `pause` lives through ten of them.
    async fn lives(pause: Duration, held_back: bool) -> bool {
        let life = Arc::new(Life::new());
        let signs = life.clone();
        let work = async move {
            for _ in 0..10 {
                if held_back {
                    signs.held_back();
                }
                sleep(pause).await;
                signs.moved();
            }
        };
        life.watch(work).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn what_moves_slowly_is_waited_for() {
        assert!(lives(PATIENCE - Duration::from_secs(1), false).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_stands_still_is_given_up() {
        assert!(!lives(PATIENCE + Duration::from_secs(1), false).await);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_held_back_by_a_bandwidth_is_waited_for() {
        assert!(lives(PATIENCE * 5, true).await);
    }
}
