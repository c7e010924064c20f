//! Puts every scenario's questions to both proxies, all scenarios at the same time.
//!
//! Those with crowds of readers or large bodies come one after the other when the rest is done: what
//! a crowd measures is the lock, not how long a busy machine lets it wait. And what did not come out
//! as it should can be put to fresh proxies a second time, alone: [`Pace::Alone`].
//!
//! Scenarios that stop the origin wait at that step until all others have ended, but those that say
//! they need it no more; then the origin is stopped once, for good, and they go on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::exchange::exchange;
use super::outcome::{ABSENT, Outcome, of_many, of_reply, of_silence};
use super::scenario::{Scenario, Step};
use crate::scripted::{ScriptedOrigin, Side};

/// Between the starts of two scenarios: all at once would measure the machine, not the proxies.
const BETWEEN_STARTS: Duration = Duration::from_millis(40);

/// How many scenarios run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// All.
    SideBySide,
    /// One after the other.
    Alone,
}

/// A proxy to put questions to.
#[derive(Debug, Clone, Copy)]
pub struct Proxy {
    /// Which one it is.
    pub side: Side,
    /// Where it listens.
    pub address: SocketAddr,
}

/// What was seen of one scenario through one proxy: an outcome for every step.
#[derive(Debug)]
pub struct Observed {
    /// The scenario's place in the list.
    pub scenario: usize,
    /// Through which proxy.
    pub side: Side,
    /// By step; steps that ask nothing have empty outcomes.
    pub outcomes: Vec<Outcome>,
    /// Why questions got no answer: step and error.
    pub silences: Vec<String>,
}

/// Runs all scenarios through all proxies.
///
/// # Errors
/// When a task of the runner itself fails; what a proxy does is an outcome, never an error.
pub async fn run(
    scenarios: &[Scenario],
    proxies: &[Proxy],
    origin: Arc<ScriptedOrigin>,
    pace: Pace,
) -> Result<Vec<Observed>> {
    let (stopped, is_stopped) = watch::channel(false);
    let (arrive, mut arrived) = mpsc::unbounded_channel();
    let (mut ordinary, mut lasting, mut stopping) =
        (JoinSet::new(), JoinSet::new(), JoinSet::new());
    let mut one_by_one = Vec::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        for proxy in proxies {
            let one = One {
                number,
                scenario: scenario.clone(),
                proxy: *proxy,
                origin: Arc::clone(&origin),
                arrive: arrive.clone(),
                is_stopped: is_stopped.clone(),
            };
            let tasks = if scenario.stops_origin() {
                &mut stopping
            } else if scenario.outlasts_the_origin {
                &mut lasting
            } else if pace == Pace::Alone || scenario.needs_the_machine() {
                one_by_one.push(one);
                continue;
            } else {
                &mut ordinary
            };
            tasks.spawn(one.run());
        }
        tokio::time::sleep(BETWEEN_STARTS).await;
    }
    let mut observed = ordinary.join_all().await;
    for one in one_by_one {
        observed.push(one.run().await);
    }
    for _ in 0..stopping.len() {
        arrived
            .recv()
            .await
            .context("a scenario ended before its origin was stopped")?;
    }
    origin.stop().await?;
    stopped.send_replace(true);
    observed.extend(stopping.join_all().await);
    observed.extend(lasting.join_all().await);
    Ok(observed)
}

/// One scenario through one proxy.
struct One {
    number: usize,
    scenario: Scenario,
    proxy: Proxy,
    origin: Arc<ScriptedOrigin>,
    arrive: mpsc::UnboundedSender<()>,
    is_stopped: watch::Receiver<bool>,
}

impl One {
    async fn run(mut self) -> Observed {
        let (mut outcomes, mut silences) = (Vec::new(), Vec::new());
        for (number, step) in (1..).zip(self.scenario.steps.clone()) {
            tokio::time::sleep(Duration::from_secs_f64(step.pause)).await;
            if step.stop_origin {
                // Both fail only when the runner itself is gone.
                let _ = self.arrive.send(());
                let _ = self.is_stopped.wait_for(|stopped| *stopped).await;
                outcomes.push(Outcome::new());
                continue;
            }
            let before = self.asked().len();
            let (mut outcome, errors) = self.ask(&step).await;
            silences.extend(errors.iter().map(|error| format!("step {number}: {error}")));
            let asked = self.asked();
            let mut requests = asked[before.min(asked.len())..].iter();
            outcome.insert("origin_requests".to_owned(), requests.len().to_string());
            if let Some(last) = requests.next_back() {
                for name in &self.scenario.watch {
                    let value = last.header(name).unwrap_or(ABSENT);
                    outcome.insert(format!("upstream {name}"), value.to_owned());
                }
            }
            outcomes.push(outcome);
        }
        Observed {
            scenario: self.number,
            side: self.proxy.side,
            outcomes,
            silences,
        }
    }

    /// What the origin was asked on behalf of this scenario so far.
    fn asked(&self) -> Vec<crate::scripted::Asked> {
        let mut asked = self
            .origin
            .asked(self.proxy.side, &format!("/{}/", self.scenario.folder));
        for key in self
            .scenario
            .script
            .keys()
            .filter(|key| !key.starts_with(&self.scenario.folder))
        {
            asked.extend(self.origin.asked(self.proxy.side, &format!("/{key}")));
        }
        asked
    }

    /// What came of a step, and why readers of it got no answer.
    async fn ask(&self, step: &Step) -> (Outcome, Vec<String>) {
        let (method, target) = self.scenario.request_line(step);
        let start = Instant::now();
        let mut readers = JoinSet::new();
        let takes_gzip = step
            .headers
            .iter()
            .any(|line| line.to_ascii_lowercase().starts_with("accept-encoding:"));
        for number in 0..step.readers {
            let (method, target, headers) =
                (method.to_owned(), target.clone(), step.headers.clone());
            let (address, leave_after) = (self.proxy.address, step.leave_after);
            // Shorter than f64's precision can spoil, and never negative.
            let begin = start + Duration::from_secs_f64(step.stagger * number as f64);
            readers.spawn(async move {
                tokio::time::sleep_until(begin).await;
                match exchange(address, &method, &target, &headers, leave_after).await {
                    Ok(reply) => (of_reply(&reply, takes_gzip, SystemTime::now()), None),
                    Err(error) => (of_silence(), Some(format!("{error:#}"))),
                }
            });
        }
        let (outcomes, errors): (Vec<_>, Vec<_>) = readers.join_all().await.into_iter().unzip();
        (of_many(&outcomes), errors.into_iter().flatten().collect())
    }
}
