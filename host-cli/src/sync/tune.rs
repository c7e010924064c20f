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

/// A refusal's share must at least be halved by a cut of the rate that it was the reason for.
const SHARE_THAT_REMAINS: f64 = 0.5;

/// Answers after which a cut can be judged.
const ANSWERS_TO_JUDGE_BY: u64 = 20;

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
    /// The part of the answers that asked for fewer requests.
    fn share(self) -> f64 {
        self.slow_downs as f64 / (self.completed + self.slow_downs).max(1) as f64
    }
}

/// A lowering of the rate, until it is known whether it helped.
#[derive(Clone, Copy, Debug)]
struct Cut {
    /// The setting before it.
    before: Setting,
    /// The share of refusals that it answers.
    share: f64,
    /// All that was answered since.
    since: Window,
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
    cut: Option<Cut>,
    /// The share of refusals that comes at any rate: B2 answers some requests with 503 whatever one does.
    background: f64,
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
            cut: None,
            background: 0.0,
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
        let settling = self.rest == REST_AFTER_SLOW_DOWN;
        if !settling {
            self.judge_cut(window);
        }
        // What is seen seldom must not be forgotten soon.
        self.background *= 0.999;
        if window.slow_downs > 0 && window.share() > self.background * 1.5 {
            if settling {
                // These answer requests that were under way before the last change.
                self.rest -= 1;
            } else if self.cut.is_none() {
                self.back_off(throughput, window);
            }
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
        let before = self.setting;
        // A share is steadier than a count in so short a window.
        let borne = 1.0 - window.share();
        let rate = match self.setting.rate {
            Some(rate) => rate * borne.max(0.5),
            None => {
                let offered = (window.completed + window.slow_downs) as f64;
                throughput.max(0.1 * offered / window.seconds.max(0.001))
            }
        };
        self.setting.rate = Some((rate * 0.96).max(1.0));
        if self.rest == 0 {
            let floor = LOWEST_LIMIT.min(self.highest_limit);
            self.setting.limit = (self.setting.limit / 2).max(floor);
        }
        self.trial = None;
        self.rest = REST_AFTER_SLOW_DOWN;
        // Where most is refused, more than one cut may be needed before it shows.
        self.cut = (borne > 0.5).then_some(Cut {
            before,
            share: window.share(),
            since: Window::default(),
        });
    }

    /// Takes back a cut that left the share of refusals as it was: it does not depend on the rate then,
    /// and going on would only bring the run to a standstill.
    fn judge_cut(&mut self, window: Window) {
        let Some(mut cut) = self.cut.take() else {
            return;
        };
        cut.since.completed += window.completed;
        cut.since.slow_downs += window.slow_downs;
        if cut.since.completed + cut.since.slow_downs < ANSWERS_TO_JUDGE_BY {
            self.cut = Some(cut);
        } else if cut.since.share() >= cut.share * SHARE_THAT_REMAINS {
            self.background = cut.since.share();
            self.setting = cut.before;
        }
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

    /// Lets one in `every` answers be a refusal, whatever the rate, and gives the throughput.
    fn simulate_refusals_at_any_rate(tuner: &mut Tuner, windows: u32, every: u64) -> f64 {
        let (mut answers, mut completed) = (0, 0);
        for _ in 0..windows {
            let Setting { limit, rate } = tuner.setting();
            let offered = (limit as f64 / 0.05).min(rate.unwrap_or(f64::INFINITY)) * 0.25;
            let (mut done, mut slow_downs) = (0, 0);
            for _ in 0..(offered as u64).max(1) {
                answers += 1;
                if answers % every == 0 {
                    slow_downs += 1;
                } else {
                    done += 1;
                }
            }
            completed += done;
            tuner.observe(Window {
                seconds: 0.25,
                completed: done,
                slow_downs,
                saturated: true,
            });
        }
        completed as f64 / (f64::from(windows) * 0.25)
    }

    #[test]
    fn refusals_that_come_at_any_rate_do_not_bring_it_to_a_standstill() {
        for every in [3, 5, 20] {
            let mut tuner = Tuner::new(64, None);
            simulate_refusals_at_any_rate(&mut tuner, 40, every);
            let throughput = simulate_refusals_at_any_rate(&mut tuner, 400, every);
            assert!(throughput > 250.0, "one in {every}: {throughput} a second");
        }
    }

    #[test]
    fn a_first_window_in_which_nothing_came_through_is_no_measure() {
        let mut tuner = Tuner::new(256, None);
        let setting = tuner.observe(Window {
            seconds: 0.25,
            completed: 0,
            slow_downs: 30,
            saturated: true,
        });
        assert!(setting.rate.unwrap() > 10.0, "{setting:?}");
    }

    #[test]
    fn it_never_exceeds_the_rate_it_was_given() {
        let mut tuner = Tuner::new(256, Some(50.0));
        simulate(&mut tuner, 10, 0.1, 20.0);
        simulate(&mut tuner, 1000, 0.1, 1000.0);
        assert_eq!(tuner.setting().rate, Some(50.0));
    }
}
