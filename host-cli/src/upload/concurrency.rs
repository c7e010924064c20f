//! How many uploads run at once: additive increase, multiplicative decrease.
//!
//! Pure: fed with one window of observations at a time. A refused request waits before it is retried,
//! so fewer uploads at once also are fewer requests a second.

/// Uploads at once at the beginning.
const FIRST_LIMIT: usize = 64;

/// Uploads at once at least, however many requests are refused.
const LOWEST_LIMIT: usize = 4;

/// Increase after a window without refusals in which the limit was reached: until the first refusals,
/// to reach the endpoint's capacity soon, and after them.
const FIRST_INCREASE: usize = 16;
const INCREASE: usize = 2;

/// A lower share of refusals is ignored: B2 answers some requests with 503 at any rate.
const IGNORED_REFUSALS: f64 = 0.1;

/// Answers, or else seconds, before a decision: a few answers are not a share.
const ENOUGH_ANSWERS: u64 = 20;
const ENOUGH_SECONDS: f64 = 2.0;

/// What happened in one window of time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// Length in seconds.
    pub seconds: f64,
    /// Uploads that succeeded.
    pub completed: u64,
    /// Responses that ask for fewer requests.
    pub slow_downs: u64,
    /// The limit was reached: otherwise a higher one would not have helped.
    pub saturated: bool,
}

/// The limit of uploads at once, adapted to what the endpoint takes.
#[derive(Clone, Debug)]
pub struct Concurrency {
    limit: usize,
    highest: usize,
    increase: usize,
    /// Observed since the last decision.
    observed: Window,
    /// The limit was just cut: the next window still has answers to requests from before.
    ignore_window: bool,
}

impl Concurrency {
    /// Begins at 64 and never exceeds `highest`.
    pub fn new(highest: usize) -> Self {
        let highest = highest.max(1);
        Concurrency {
            limit: FIRST_LIMIT.min(highest),
            highest,
            increase: FIRST_INCREASE,
            observed: Window::default(),
            ignore_window: false,
        }
    }

    /// Uploads at once, now.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Takes one window into account.
    pub fn observe(&mut self, window: Window) {
        self.observed.seconds += window.seconds;
        self.observed.completed += window.completed;
        self.observed.slow_downs += window.slow_downs;
        self.observed.saturated |= window.saturated;
        let answers = self.observed.completed + self.observed.slow_downs;
        if answers < ENOUGH_ANSWERS && self.observed.seconds < ENOUGH_SECONDS {
            return;
        }
        let observed = std::mem::take(&mut self.observed);
        if std::mem::take(&mut self.ignore_window) {
            return;
        }
        let refused = observed.slow_downs as f64 / answers.max(1) as f64;
        if refused > IGNORED_REFUSALS {
            self.limit = (self.limit / 2).max(LOWEST_LIMIT.min(self.highest));
            self.increase = INCREASE;
            self.ignore_window = true;
        } else if observed.saturated && observed.completed > 0 {
            self.limit = (self.limit + self.increase).min(self.highest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `windows` of a quarter of a second against an endpoint of this latency (seconds) that
    /// refuses what is above `capacity` requests a second. A refused request is retried after half a
    /// second. Returns successes and refusals a second.
    fn simulate(
        concurrency: &mut Concurrency,
        windows: u32,
        latency: f64,
        capacity: f64,
    ) -> (f64, f64) {
        let (mut completed, mut refused) = (0, 0);
        for _ in 0..windows {
            let most = (capacity * 0.25) as u64;
            let offered = (concurrency.limit() as f64 / latency * 0.25) as u64;
            let done = offered.min(most);
            let slow_downs = (offered - done).min(concurrency.limit() as u64 / 2);
            completed += done;
            refused += slow_downs;
            concurrency.observe(Window {
                seconds: 0.25,
                completed: done,
                slow_downs,
                saturated: true,
            });
        }
        let seconds = f64::from(windows) * 0.25;
        (completed as f64 / seconds, refused as f64 / seconds)
    }

    #[test]
    fn it_grows_to_the_highest_while_nothing_is_refused() {
        let mut concurrency = Concurrency::new(256);
        simulate(&mut concurrency, 20, 0.1, f64::INFINITY);
        assert_eq!(concurrency.limit(), 256);
        let mut few = Concurrency::new(8);
        simulate(&mut few, 20, 0.1, f64::INFINITY);
        assert_eq!(few.limit(), 8);
    }

    #[test]
    fn it_stays_where_the_limit_is_not_reached() {
        let mut concurrency = Concurrency::new(256);
        for _ in 0..30 {
            concurrency.observe(Window {
                seconds: 0.25,
                completed: 1000,
                slow_downs: 0,
                saturated: false,
            });
        }
        assert_eq!(concurrency.limit(), FIRST_LIMIT);
    }

    #[test]
    fn refusals_halve_it_and_most_of_the_capacity_still_passes() {
        let mut concurrency = Concurrency::new(256);
        simulate(&mut concurrency, 40, 0.02, 200.0);
        let (completed, refused) = simulate(&mut concurrency, 400, 0.02, 200.0);
        assert!(completed > 150.0, "{completed} a second came through");
        assert!(refused < 0.2 * completed, "{refused} a second were refused");
    }

    #[test]
    fn some_refusals_at_any_rate_are_noise_and_many_end_in_no_standstill() {
        for (slow_downs, expected) in [(5, 256), (50, LOWEST_LIMIT)] {
            let mut concurrency = Concurrency::new(256);
            for _ in 0..100 {
                concurrency.observe(Window {
                    seconds: 0.25,
                    completed: 100 - slow_downs,
                    slow_downs,
                    saturated: true,
                });
            }
            assert_eq!(concurrency.limit(), expected, "{slow_downs} of 100 refused");
        }
    }
}
