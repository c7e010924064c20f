//! How often one file is tried again: one bound, whatever the reason.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};

/// Attempts at one file in one run, the first included.
const MAX_ATTEMPTS: usize = 4;

/// The pause before the second attempt; it doubles from one to the next.
const FIRST_PAUSE: Duration = Duration::from_millis(150);

/// The attempts at one file. Every retry of the file counts here: because it changed while it was read or
/// sent, because its bytes arrived damaged, or because it is not known whether its multipart upload was
/// completed.
///
/// Errors of the network or the service are retried within one request ([`crate::s3::Retry`]).
#[derive(Debug)]
pub(super) struct Attempts {
    pauses: ExponentialBackoff,
    earlier: u32,
}

impl Attempts {
    /// The first attempt.
    pub(super) fn new() -> Attempts {
        Attempts {
            pauses: ExponentialBuilder::new()
                .with_min_delay(FIRST_PAUSE)
                .with_factor(2.0)
                .with_max_times(MAX_ATTEMPTS - 1)
                .build(),
            earlier: 0,
        }
    }

    /// Attempts before the present one.
    pub(super) fn earlier(&self) -> u32 {
        self.earlier
    }

    /// Waits, then begins another attempt; false, at once, where there may be no more.
    pub(super) async fn next(&mut self) -> bool {
        let Some(pause) = self.pauses.next() else {
            return false;
        };
        tokio::time::sleep(pause).await;
        self.earlier += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_file_has_four_attempts_in_all_and_pauses_that_double() {
        let begin = Instant::now();
        let mut attempts = Attempts::new();
        let mut made = 1;
        while attempts.next().await {
            made += 1;
            assert_eq!(attempts.earlier(), made - 1);
        }
        assert_eq!(made, 4);
        // The timer has steps of a millisecond.
        let pauses = begin.elapsed().as_millis();
        assert!((1050..1060).contains(&pauses), "{pauses} ms");
        assert!(!attempts.next().await);
        assert_eq!(begin.elapsed().as_millis(), pauses);
    }
}
