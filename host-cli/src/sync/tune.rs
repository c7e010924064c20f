//! How many uploads at once and how many requests a second: found by trying, not by asking.
//!
//! Pure: fed with one window of observations at a time, it answers with the next setting.

/// Uploads at once at the beginning.
pub const FIRST_LIMIT: usize = 64;

/// Uploads at once after any number of refusals.
const LOWEST_LIMIT: usize = 4;

/// Requests a second after any number of refusals, and the part of the best throughput so far that is
/// never gone below: B2 answers some requests with 503 at any rate, and they must not end in a
/// standstill.
const LOWEST_RATE: f64 = 5.0;
const LOWEST_PART_OF_BEST: f64 = 0.2;

/// A share of refusals that is taken for noise: below it, retries cost less than a lower rate.
const SHARE_OF_NOISE: f64 = 0.1;

/// Answers that a judgement needs, or else seconds: a few answers are not a share.
const ANSWERS_TO_JUDGE_BY: u64 = 40;
const SECONDS_TO_JUDGE_BY: f64 = 5.0;

/// Judgements without a change after more uploads at once did not help.
const REST_AFTER_NO_GAIN: u32 = 40;

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

impl Window {
    fn answers(&self) -> u64 {
        self.completed + self.slow_downs
    }

    /// Uploads a second.
    fn throughput(&self) -> f64 {
        self.completed as f64 / self.seconds.max(0.001)
    }

    /// The part of the answers that asked for fewer requests.
    fn refused(&self) -> f64 {
        self.slow_downs as f64 / self.answers().max(1) as f64
    }

    /// The two as one.
    fn and(self, next: Self) -> Self {
        Window {
            seconds: self.seconds + next.seconds,
            completed: self.completed + next.completed,
            slow_downs: self.slow_downs + next.slow_downs,
            saturated: next.saturated && (self.saturated || self.seconds == 0.0),
        }
    }
}

/// What to do until the next window ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Setting {
    /// Uploads at once.
    pub limit: usize,
    /// Requests a second; `None` for as many as there are.
    pub rate: Option<f64>,
}

/// Finds the setting that the endpoint bears.
#[derive(Clone, Debug)]
pub struct Tuner {
    setting: Setting,
    highest_limit: usize,
    highest_rate: Option<f64>,
    /// What was seen since the last judgement.
    seen: Window,
    /// The best throughput so far.
    best: f64,
    /// Whether what is seen next still answers requests from before the last cut.
    settling: bool,
    /// Limit and throughput before the last growth, while it is on trial.
    trial: Option<(usize, f64)>,
    rest: u32,
}

impl Tuner {
    /// Begins at [`FIRST_LIMIT`] and never goes above the two given.
    pub fn new(highest_limit: usize, highest_rate: Option<f64>) -> Self {
        Tuner {
            setting: Setting {
                limit: FIRST_LIMIT.min(highest_limit).max(1),
                rate: highest_rate,
            },
            highest_limit: highest_limit.max(1),
            highest_rate,
            seen: Window::default(),
            best: 0.0,
            settling: false,
            trial: None,
            rest: 0,
        }
    }

    /// The setting now.
    pub fn setting(&self) -> Setting {
        self.setting
    }

    /// Learns from one window.
    pub fn observe(&mut self, window: Window) -> Setting {
        let seen = self.seen.and(window);
        if seen.answers() < ANSWERS_TO_JUDGE_BY && seen.seconds < SECONDS_TO_JUDGE_BY {
            self.seen = seen;
            return self.setting;
        }
        self.seen = Window::default();
        if !std::mem::take(&mut self.settling) {
            self.best = self.best.max(seen.throughput());
            if seen.refused() > SHARE_OF_NOISE {
                self.back_off(seen);
            } else if self.setting.rate.is_some() && self.setting.rate != self.highest_rate {
                self.raise_rate(seen);
            } else {
                self.grow(seen);
            }
        }
        self.setting
    }

    /// Goes on a little below what was borne; the first time with half as many at once.
    fn back_off(&mut self, seen: Window) {
        let rate = match self.setting.rate {
            Some(rate) => rate * (1.0 - seen.refused()).max(0.7),
            None => {
                let floor = LOWEST_LIMIT.min(self.highest_limit);
                self.setting.limit = (self.setting.limit / 2).max(floor);
                seen.throughput()
            }
        };
        let lowest = LOWEST_RATE.max(self.best * LOWEST_PART_OF_BEST);
        let rate = (rate * 0.96).max(lowest);
        self.setting.rate = Some(self.highest_rate.map_or(rate, |highest| rate.min(highest)));
        self.trial = None;
        self.settling = true;
    }

    /// Raises a rate that was lowered, by little and little, until it is no limit any more.
    fn raise_rate(&mut self, seen: Window) {
        let Some(rate) = self.setting.rate else {
            return;
        };
        let raised = rate * 1.02;
        self.setting.rate = match self.highest_rate {
            Some(highest) => Some(raised.min(highest)),
            None if raised > 4.0 * seen.throughput().max(25.0) => None,
            None => Some(raised),
        };
    }

    /// Keeps a growth that helped and grows on; takes back one that did not.
    fn grow(&mut self, seen: Window) {
        if self.rest > 0 {
            self.rest -= 1;
            return;
        }
        // Where nothing came through there is nothing to compare.
        if !seen.saturated || seen.completed == 0 {
            return;
        }
        if let Some((limit_before, throughput_before)) = self.trial.take()
            && seen.throughput() < throughput_before * 1.15
        {
            self.setting.limit = limit_before;
            self.rest = REST_AFTER_NO_GAIN;
            return;
        }
        let limit = self.setting.limit;
        if limit < self.highest_limit {
            self.setting.limit = (limit * 2).min(self.highest_limit);
            self.trial = Some((limit, seen.throughput()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `windows` of a quarter of a second against an endpoint with this latency (seconds)
    /// that refuses what is above `capacity` requests a second.
    fn simulate(tuner: &mut Tuner, windows: u32, latency: f64, capacity: f64) -> (f64, u64) {
        let (mut completed, mut refused) = (0, 0);
        for _ in 0..windows {
            let Setting { limit, rate } = tuner.setting();
            let offered = (limit as f64 / latency).min(rate.unwrap_or(f64::INFINITY));
            let done = (offered.min(capacity) * 0.25) as u64;
            let slow_downs = ((offered - capacity).max(0.0) * 0.25) as u64;
            completed += done;
            refused += slow_downs;
            tuner.observe(Window {
                seconds: 0.25,
                completed: done,
                slow_downs,
                saturated: rate.is_none_or(|rate| limit as f64 / latency <= rate),
            });
        }
        (completed as f64 / (f64::from(windows) * 0.25), refused)
    }

    #[test]
    fn it_grows_while_that_helps() {
        let mut tuner = Tuner::new(256, None);
        simulate(&mut tuner, 20, 0.1, f64::INFINITY);
        assert_eq!(
            tuner.setting(),
            Setting {
                limit: 256,
                rate: None
            }
        );
    }

    #[test]
    fn it_stays_where_more_does_not_help() {
        let mut tuner = Tuner::new(256, None);
        for _ in 0..30 {
            tuner.observe(Window {
                seconds: 0.25,
                completed: 1000,
                slow_downs: 0,
                saturated: true,
            });
        }
        assert_eq!(tuner.setting().limit, FIRST_LIMIT);
    }

    #[test]
    fn it_finds_the_rate_an_endpoint_bears() {
        let mut tuner = Tuner::new(256, None);
        simulate(&mut tuner, 40, 0.02, 200.0);
        let (throughput, refused) = simulate(&mut tuner, 400, 0.02, 200.0);
        assert!(throughput > 160.0, "{throughput} a second came through");
        assert!(
            (refused as f64) < 0.05 * throughput * 100.0,
            "{refused} were refused"
        );
    }

    /// Uploads `files` files at most at `capacity` a second, where each answer is a refusal with this
    /// chance whatever the rate; gives the seconds it takes.
    fn simulate_refusals_at_any_rate(seed: u64, files: u64, capacity: f64, chance: f64) -> f64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut tuner = Tuner::new(256, None);
        let (mut left, mut windows, mut budget) = (files, 0, 0.0);
        while left > 0 {
            windows += 1;
            let rate = tuner.setting().rate.unwrap_or(f64::INFINITY);
            budget += capacity.min(rate) * 0.25;
            let (mut completed, mut slow_downs) = (0, 0);
            while budget >= 1.0 {
                budget -= 1.0;
                if random.f64() < chance {
                    slow_downs += 1;
                } else {
                    completed += 1;
                }
            }
            left = left.saturating_sub(completed);
            tuner.observe(Window {
                seconds: 0.25,
                completed,
                slow_downs,
                saturated: true,
            });
        }
        f64::from(windows) * 0.25
    }

    #[test]
    fn refusals_that_come_at_any_rate_do_not_bring_it_to_a_standstill() {
        for seed in 0..50 {
            for capacity in [20.0, 80.0, 500.0, 3000.0] {
                for chance in [0.01, 0.05, 0.2] {
                    let files = (capacity * 60.0) as u64;
                    let seconds = simulate_refusals_at_any_rate(seed, files, capacity, chance);
                    // A minute without refusals. Where they are more than noise, about a fifth of the
                    // best rate goes on.
                    let most = if chance > SHARE_OF_NOISE {
                        600.0
                    } else {
                        120.0
                    };
                    assert!(
                        seconds < most,
                        "seed {seed}: {chance} refused at {capacity} a second: {seconds} s"
                    );
                }
            }
        }
    }

    #[test]
    fn a_first_window_in_which_nothing_came_through_is_no_measure() {
        let mut tuner = Tuner::new(256, None);
        let setting = tuner.observe(Window {
            seconds: 0.25,
            completed: 0,
            slow_downs: ANSWERS_TO_JUDGE_BY,
            saturated: true,
        });
        assert!(setting.rate.unwrap() >= LOWEST_RATE, "{setting:?}");
    }

    #[test]
    fn it_never_exceeds_the_rate_it_was_given() {
        let mut tuner = Tuner::new(256, Some(50.0));
        simulate(&mut tuner, 10, 0.1, 20.0);
        simulate(&mut tuner, 1000, 0.1, 1000.0);
        assert_eq!(tuner.setting().rate, Some(50.0));
        let mut slow = Tuner::new(256, Some(0.5));
        simulate(&mut slow, 100, 0.1, 0.2);
        assert_eq!(slow.setting().rate, Some(0.5));
    }
}
