//! How many uploads at once and how many requests a second: found by trying, not by asking.
//!
//! Pure: fed with one window of observations at a time, it answers with the next setting.

/// Uploads at once at the beginning.
pub const FIRST_LIMIT: usize = 32;

/// Uploads at once after any number of refusals.
const LOWEST_LIMIT: usize = 4;

/// Windows without a change after a refusal.
const REST_AFTER_SLOW_DOWN: u32 = 6;

/// Windows without a change after more uploads at once did not help.
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
        let throughput = window.completed as f64 / window.seconds.max(0.001);
        if window.slow_downs > 0 {
            self.back_off(throughput, window);
        } else {
            self.raise_rate(throughput);
            if self.rest > 0 {
                self.rest -= 1;
            } else if window.saturated {
                self.grow(throughput);
            }
        }
        self.setting
    }

    /// Goes on a little below what was borne, with half as many at once.
    fn back_off(&mut self, throughput: f64, window: Window) {
        if self.rest == REST_AFTER_SLOW_DOWN {
            // These answer requests that were under way before the last change.
            self.rest -= 1;
            return;
        }
        let offered = window.completed + window.slow_downs;
        // A share is steadier than a count in so short a window.
        let borne = window.completed as f64 / offered as f64;
        let rate = match self.setting.rate {
            Some(rate) => rate * borne.max(0.5),
            None => throughput,
        };
        self.setting.rate = Some((rate * 0.96).max(1.0));
        if self.rest == 0 {
            let floor = LOWEST_LIMIT.min(self.highest_limit);
            self.setting.limit = (self.setting.limit / 2).max(floor);
        }
        self.trial = None;
        self.rest = REST_AFTER_SLOW_DOWN;
    }

    /// Raises a rate that was lowered, by little and little, until it is no limit any more.
    fn raise_rate(&mut self, throughput: f64) {
        let Some(rate) = self.setting.rate else {
            return;
        };
        if self.highest_rate.is_some_and(|highest| rate >= highest) {
            return;
        }
        let raised = rate * 1.01;
        self.setting.rate = match self.highest_rate {
            Some(highest) => Some(raised.min(highest)),
            None if self.rest == 0 && raised > 4.0 * throughput.max(25.0) => None,
            None => Some(raised),
        };
    }

    /// Keeps a growth that helped and grows on; takes back one that did not.
    fn grow(&mut self, throughput: f64) {
        if let Some((limit_before, throughput_before)) = self.trial.take()
            && throughput < throughput_before * 1.15
        {
            self.setting.limit = limit_before;
            self.rest = REST_AFTER_NO_GAIN;
            return;
        }
        let limit = self.setting.limit;
        if limit < self.highest_limit {
            self.setting.limit = (limit * 2).min(self.highest_limit);
            self.trial = Some((limit, throughput));
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

    #[test]
    fn it_never_exceeds_the_rate_it_was_given() {
        let mut tuner = Tuner::new(256, Some(50.0));
        simulate(&mut tuner, 10, 0.1, 20.0);
        simulate(&mut tuner, 1000, 0.1, 1000.0);
        assert_eq!(tuner.setting().rate, Some(50.0));
    }
}
