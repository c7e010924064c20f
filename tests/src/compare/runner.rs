//! Puts every scenario's questions to both sides, all scenarios at the same time.
//!
//! Those with crowds of readers or large bodies come when the rest is done, on each side one after the
//! other: what a crowd measures is the lock, not how long a busy machine lets it wait.
//!
//! Scenarios that stop the origin wait at that step until all others have ended, but those that say
//! they need it no more; then the origin is stopped once, for good, and they go on.

use std::any::Any;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use super::exchange::{Question, Reply, exchange};
use super::outcome::{
    AGE, Outcome, RIGHT_AGE, TIMING, of_age, of_many, of_reply, of_silence, of_timing, of_upstream,
};
use super::scenario::{Model, Scenario, Step};
use crate::scripted::{Asked, BUCKET_PATH, ScriptedOrigin, Side};

/// Between the starts of two scenarios: all at once would measure the machine, not the proxies. What
/// one asks keeps a processor busy for most of this.
const BETWEEN_STARTS: Duration = Duration::from_millis(100);

/// Between the start of a request beside others and theirs.
const BESIDE: Duration = Duration::from_millis(200);

/// How long an answer that has come may take until it is stored, on a busy machine.
const STORED_WITHIN: Duration = Duration::from_secs(1);

/// How many scenarios run at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// All.
    SideBySide,
    /// One after the other.
    Alone,
}

/// A side to put questions to.
#[derive(Debug, Clone, Copy)]
pub struct Proxy {
    /// Which one it is.
    pub side: Side,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where scenarios of [`Model::AsFound`] are put instead.
    pub as_found: Option<SocketAddr>,
    /// Whether its `Age` is judged. Of an nginx that is the model it is not: nginx gives none.
    pub sends_age: bool,
    /// Whether its `Server-Timing` is judged: the worker's.
    pub sends_timing: bool,
}

impl Proxy {
    /// A side that is one proxy, whose `Age` and `Server-Timing` are judged.
    #[must_use]
    pub const fn at(side: Side, address: SocketAddr) -> Self {
        Self {
            side,
            address,
            as_found: None,
            sends_age: true,
            sends_timing: true,
        }
    }
}

/// What is compared: both sides, and whatever must live as long.
pub struct Stack {
    /// The model, and what is compared with it.
    pub proxies: Vec<Proxy>,
    /// The running processes.
    pub parts: Box<dyn Any>,
}

/// What was seen of one scenario through one side: an outcome for every step.
#[derive(Debug)]
pub struct Observed {
    /// The scenario's place in the list.
    pub scenario: usize,
    /// Through which side.
    pub side: Side,
    /// By step; steps that ask nothing have empty outcomes.
    pub outcomes: Vec<Outcome>,
    /// Why questions got no answer: step and error.
    pub silences: Vec<String>,
}

/// Starts an origin with the scripts of these scenarios, both sides in front of it, and puts every
/// question.
///
/// # Errors
/// When something does not start, or a task of the runner itself fails; what a side answers is an
/// outcome, never an error.
pub async fn observe(
    scenarios: &[Scenario],
    start: impl FnOnce(&ScriptedOrigin) -> Result<Stack>,
    pace: Pace,
) -> Result<Vec<Observed>> {
    let script = scenarios
        .iter()
        .flat_map(|scenario| scenario.script.clone())
        .collect();
    let origin = Arc::new(ScriptedOrigin::start(script).await?);
    let stack = start(&origin)?;
    run(scenarios, &stack.proxies, origin, pace).await
}

async fn run(
    scenarios: &[Scenario],
    proxies: &[Proxy],
    origin: Arc<ScriptedOrigin>,
    pace: Pace,
) -> Result<Vec<Observed>> {
    let (stopped, is_stopped) = watch::channel(false);
    let (arrive, mut arrived) = mpsc::unbounded_channel();
    let (mut ordinary, mut lasting, mut stopping) =
        (JoinSet::new(), JoinSet::new(), JoinSet::new());
    let mut one_by_one: BTreeMap<Side, Vec<One>> = BTreeMap::new();
    for (number, scenario) in scenarios.iter().enumerate() {
        for proxy in proxies {
            let one = One {
                number,
                scenario: scenario.clone(),
                proxy: *proxy,
                origin: Arc::clone(&origin),
                arrive: arrive.clone(),
                is_stopped: is_stopped.clone(),
                begun: Vec::new(),
            };
            let tasks = if scenario.stops_origin() {
                &mut stopping
            } else if scenario.outlasts_the_origin {
                &mut lasting
            } else if pace == Pace::Alone || scenario.needs_the_machine() {
                one_by_one.entry(proxy.side).or_default().push(one);
                continue;
            } else {
                &mut ordinary
            };
            tasks.spawn(one.run());
        }
        tokio::time::sleep(BETWEEN_STARTS).await;
    }
    let mut observed = ordinary.join_all().await;
    let mut sides = JoinSet::new();
    for of_side in one_by_one.into_values() {
        let in_turn = async move {
            let mut observed = Vec::new();
            for one in of_side {
                observed.push(one.run().await);
            }
            observed
        };
        sides.spawn(in_turn);
        if pace == Pace::Alone {
            let ended = std::mem::take(&mut sides).join_all().await;
            observed.extend(ended.into_iter().flatten());
        }
    }
    observed.extend(sides.join_all().await.into_iter().flatten());
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

/// One scenario through one side.
struct One {
    number: usize,
    scenario: Scenario,
    proxy: Proxy,
    origin: Arc<ScriptedOrigin>,
    arrive: mpsc::UnboundedSender<()>,
    is_stopped: watch::Receiver<bool>,
    /// When its steps began so far.
    begun: Vec<Instant>,
}

impl One {
    async fn run(mut self) -> Observed {
        let bodies = self.origin.bodies(self.scenario.script.keys());
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
            self.begun.push(Instant::now());
            let (mut outcome, errors) = self.ask(&step, &bodies).await;
            silences.extend(errors.iter().map(|error| format!("step {number}: {error}")));
            let asked = self.asked();
            let requests = &asked[before.min(asked.len())..];
            outcome.insert("origin_requests".to_owned(), requests.len().to_string());
            outcome.extend(of_upstream(requests));
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
    fn asked(&self) -> Vec<Asked> {
        let mut asked = self
            .origin
            .asked(self.proxy.side, &format!("/{}/", self.scenario.folder));
        for key in self
            .scenario
            .script
            .keys()
            .filter(|key| !key.starts_with(&self.scenario.folder))
        {
            let path = format!("{BUCKET_PATH}/{key}");
            asked.extend(self.origin.asked(self.proxy.side, &path));
        }
        asked
    }

    /// What came of a step, and why readers of it got no answer.
    async fn ask(&self, step: &Step, bodies: &[Bytes]) -> (Outcome, Vec<String>) {
        let address = match (self.scenario.model, self.proxy.as_found) {
            (Model::AsFound, Some(address)) => address,
            _ => self.proxy.address,
        };
        let question = |request: &str| {
            let (method, target) = self.scenario.request_line(request);
            Question {
                method: method.to_owned(),
                target,
                headers: step.headers.clone(),
                body: step.body.clone(),
                leave_after: step.leave_after,
            }
        };
        let beside = step.beside.as_ref().map(|request| {
            let question = question(request);
            tokio::spawn(async move { exchange(address, &question).await })
        });
        if beside.is_some() {
            tokio::time::sleep(BESIDE).await;
        }
        let start = Instant::now();
        let mut readers = JoinSet::new();
        for number in 0..step.readers {
            let question = question(&step.request);
            // Shorter than f64's precision can spoil, and never negative.
            let begin = start + Duration::from_secs_f64(step.stagger * number as f64);
            readers.spawn(async move {
                tokio::time::sleep_until(begin.into()).await;
                let reply = exchange(address, &question).await;
                (reply, begin, Instant::now())
            });
        }
        let replies = readers.join_all().await;
        let asked = self.asked();
        let mut errors = Vec::new();
        let mut outcomes = Vec::new();
        for (reply, begin, end) in &replies {
            outcomes.push(match reply {
                Ok(reply) => {
                    let mut outcome = of_reply(reply, bodies, SystemTime::now());
                    let age = match self.proxy.sends_age {
                        true => of_age(reply, &self.fills(&asked, *begin, *end)),
                        false => RIGHT_AGE.to_owned(),
                    };
                    outcome.insert(AGE.to_owned(), age);
                    if self.proxy.sends_timing {
                        outcome.insert(TIMING.to_owned(), of_timing(reply));
                    }
                    outcome
                }
                Err(error) => {
                    errors.push(format!("{error:#}"));
                    of_silence()
                }
            });
        }
        let mut outcome = of_many(&outcomes);
        if let Some(limit) = step.within {
            let seconds = |(_, begin, end): &(Result<Reply>, Instant, Instant)| {
                end.duration_since(*begin).as_secs_f64()
            };
            let is_in_time = replies.iter().all(|reply| seconds(reply) <= limit);
            outcome.insert(format!("within {limit} s"), is_in_time.to_string());
        }
        if let Some(beside) = beside {
            let status = match beside.await {
                Ok(Ok(reply)) => reply.status.to_string(),
                _ => "no answer".to_owned(),
            };
            outcome.insert("beside".to_owned(), status);
        }
        (outcome, errors)
    }

    /// The least and the most age, in seconds, that an answer between `begin` and `end` may have,
    /// for each good answer of the origin from which it may count.
    fn fills(&self, asked: &[Asked], begin: Instant, end: Instant) -> Vec<(f64, f64)> {
        let answers = || self.scenario.script.values().flatten();
        let delay = answers().map(|answer| answer.delay).fold(0.0, f64::max);
        // Of a cache behind the proxy.
        let before = answers()
            .filter_map(|answer| answer.header("Age")?.parse().ok())
            .fold(0.0, f64::max);
        let good = || asked.iter().filter(|asked| asked.is_good);
        // What a later answer about the same key has replaced or confirmed counts no more, once that
        // answer had the time to come and to be stored.
        let stored = Duration::from_secs_f64(delay) + STORED_WITHIN;
        let is_last_before = |one: &&Asked| {
            let later = |other: &Asked| other.is_whole && other.key == one.key && other.at > one.at;
            !good().any(|other| later(other) && other.at + stored < begin)
        };
        good()
            .filter(is_last_before)
            .map(|asked| {
                // An age counts from the proxy's request (RFC 9111, section 4.2.3): on a busy machine the
                // origin sees that later, but the reader's came before.
                let steps = self.begun.iter().rev();
                let since = steps.copied().find(|step| *step <= asked.at);
                let since = since.unwrap_or(asked.at);
                let least = begin.saturating_duration_since(asked.at).as_secs_f64() - delay;
                let most = end.saturating_duration_since(since).as_secs_f64();
                (least.max(0.0) + before, most + before)
            })
            .collect()
    }
}
