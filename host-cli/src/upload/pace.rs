//! How many uploads at once: additive increase, multiplicative decrease.
//!
//! Pure: fed with one window of observations at a time. A refused request waits before it is sent
//! again, so that fewer at once also are fewer a second.

/// Uploads at once at the beginning.
const FIRST_LIMIT: usize = 64;

/// Uploads at once after any number of refusals: the waits before requests are sent again do the rest.
const LOWEST_LIMIT: usize = 4;

/// How many more after a window without trouble in which the limit was reached: before the first
/// refusals, to find the endpoint's bound soon, and after them.
const FIRST_INCREASE: usize = 16;
const INCREASE: usize = 2;

/// A share of refusals that is taken for noise: B2 answers some requests with 503 at any rate.
const SHARE_OF_NOISE: f64 = 0.1;

/// Answers that a judgement needs, or else seconds: a few answers are not a share.
const ANSWERS_TO_JUDGE_BY: u64 = 20;
const SECONDS_TO_JUDGE_BY: f64 = 2.0;

/// What happened in one window of time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    /// Length in seconds.
    pub seconds: f64,
    /// Uploads that ended well.
    pub completed: u64,
    /// Answers that asked for fewer requests.
    pub slow_downs: u64,
    /// Whether the limit was reached: otherwise more would not have helped.
    pub saturated: bool,
}

/// Finds how many uploads at once the endpoint bears.
#[derive(Clone, Debug)]
pub struct Pace {
    limit: usize,
    highest: usize,
    increase: usize,
    /// What was seen since the last judgement.
    seen: Window,
    /// What is seen next still answers requests from before the last cut.
    settling: bool,
}

impl Pace {
    /// Begins at 64 and never goes above `highest`.
    pub fn new(highest: usize) -> Self {
        let highest = highest.max(1);
        Pace {
            limit: FIRST_LIMIT.min(highest),
            highest,
            increase: FIRST_INCREASE,
            seen: Window::default(),
            settling: false,
        }
    }

    /// Uploads at once, now.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Learns from one window.
    pub fn observe(&mut self, window: Window) {
        self.seen.seconds += window.seconds;
        self.seen.completed += window.completed;
        self.seen.slow_downs += window.slow_downs;
        self.seen.saturated |= window.saturated;
        let answers = self.seen.completed + self.seen.slow_downs;
        if answers < ANSWERS_TO_JUDGE_BY && self.seen.seconds < SECONDS_TO_JUDGE_BY {
            return;
        }
        let seen = std::mem::take(&mut self.seen);
        if std::mem::take(&mut self.settling) {
            return;
        }
        let refused = seen.slow_downs as f64 / answers.max(1) as f64;
        if refused > SHARE_OF_NOISE {
            self.limit = (self.limit / 2).max(LOWEST_LIMIT.min(self.highest));
            self.increase = INCREASE;
            self.settling = true;
        } else if seen.saturated && seen.completed > 0 {
            self.limit = (self.limit + self.increase).min(self.highest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `windows` of a quarter of a second against an endpoint of this latency (seconds) that
    /// refuses what is above `capacity` requests a second, with a refused request away for half a
    /// second. Gives answers a second of either kind.
    fn simulate(pace: &mut Pace, windows: u32, latency: f64, capacity: f64) -> (f64, f64) {
        let (mut completed, mut refused) = (0, 0);
        for _ in 0..windows {
            let most = (capacity * 0.25) as u64;
            let offered = (pace.limit() as f64 / latency * 0.25) as u64;
            let done = offered.min(most);
            let slow_downs = (offered - done).min(pace.limit() as u64 / 2);
            completed += done;
            refused += slow_downs;
            pace.observe(Window {
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
        let mut pace = Pace::new(256);
        simulate(&mut pace, 20, 0.1, f64::INFINITY);
        assert_eq!(pace.limit(), 256);
        let mut few = Pace::new(8);
        simulate(&mut few, 20, 0.1, f64::INFINITY);
        assert_eq!(few.limit(), 8);
    }

    #[test]
    fn it_stays_where_the_limit_is_not_reached() {
        let mut pace = Pace::new(256);
        for _ in 0..30 {
            pace.observe(Window {
                seconds: 0.25,
                completed: 1000,
                slow_downs: 0,
                saturated: false,
            });
        }
        assert_eq!(pace.limit(), FIRST_LIMIT);
    }

    #[test]
    fn refusals_halve_it_and_most_of_the_capacity_still_passes() {
        let mut pace = Pace::new(256);
        simulate(&mut pace, 40, 0.02, 200.0);
        let (completed, refused) = simulate(&mut pace, 400, 0.02, 200.0);
        assert!(completed > 150.0, "{completed} a second came through");
        assert!(refused < 0.2 * completed, "{refused} a second were refused");
    }

    #[test]
    fn some_refusals_at_any_rate_are_noise_and_many_end_in_no_standstill() {
        for (slow_downs, expected) in [(5, 256), (50, LOWEST_LIMIT)] {
            let mut pace = Pace::new(256);
            for _ in 0..100 {
                pace.observe(Window {
                    seconds: 0.25,
                    completed: 100 - slow_downs,
                    slow_downs,
                    saturated: true,
                });
            }
            assert_eq!(pace.limit(), expected, "{slow_downs} of 100 refused");
        }
    }
}
