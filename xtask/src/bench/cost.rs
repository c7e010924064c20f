//! `cargo xtask bench cost`: what a million reads cost, counted by the program `cost-model` and
//! priced here.
//!
//! The counting is done in `worker/tests/cost`, over the worker's own engine: this crate does not
//! know it.

use std::fs;
use std::process::Command;
use std::thread;

use anyhow::{Context, Result, anyhow, ensure};
use serde::Deserialize;

use super::Part;
use super::report::{Report, Target, directory, figure};
use crate::build;

/// Reads in the log.
const READS: u64 = 1_000_000;

/// What the logs are drawn from: a log a round.
const SEEDS: [u64; 3] = [1, 2, 3];

/// Transactions of class B (`GetObject`, `HeadObject`) that Backblaze gives away each day.
const FREE_A_DAY: u64 = 2_500;

/// Dollars for each 10,000 beyond.
const DOLLARS_A_10_000: f64 = 0.004;

const WORKER: &str = "worker, engine, one cache";
const NGINX: &str = "nginx, no limit to its size";
const TRANSACTIONS: &str = "class B transactions";

/// What the part `edge` calls the worker, and its CPU for a request.
const EDGE_WHO: &str = "the worker";
const EDGE_QUANTITY: &str = "CPU, µs";

/// What `cost-model` prints.
#[derive(Deserialize)]
struct Model {
    reads: u64,
    days: u64,
    archive: u64,
    posts: u64,
    exponent: f64,
    contenders: Vec<Contender>,
}

#[derive(Deserialize)]
struct Contender {
    name: String,
    /// Reads that were answered.
    answered: u64,
    /// Transactions over all days.
    asked: u64,
    tally: Tally,
}

#[derive(Deserialize)]
struct Tally {
    transactions: Vec<u64>,
    bytes_from_origin: u64,
    worker_requests: u64,
    reads: Reads,
}

#[derive(Deserialize)]
struct Reads {
    hit: u64,
    range: u64,
    not_modified: u64,
    asked: u64,
}

/// What one request takes at the edge, in microseconds of CPU.
struct Cpu {
    hit: f64,
    range: f64,
    not_modified: f64,
    miss: f64,
}

/// Counts and prices every contender.
pub(super) fn measure() -> Result<Report> {
    let cpu = Cpu::measured()?;
    let mut report = Report::default();
    eprintln!("bench: {READS} reads of each of {} logs", SEEDS.len());
    for model in models()? {
        for contender in &model.contenders {
            add(&mut report, &model, contender, cpu.as_ref())?;
        }
        report.notes = notes(&model, cpu.is_some());
    }
    report.targets = vec![Target::at_most(
        format!("class B transactions, `{WORKER}` ÷ `{NGINX}`, the worst log"),
        worst_ratio(&report)?,
        1.0,
    )];
    Ok(report)
}

/// How many times as often as nginx the worker asks, in the log where that is most.
fn worst_ratio(report: &Report) -> Result<f64> {
    let rounds = |who: &str| report.rounds(&case(), who, TRANSACTIONS);
    let (ours, nginx) = (rounds(WORKER), rounds(NGINX));
    ensure!(
        !ours.is_empty() && ours.len() == nginx.len(),
        "the model has not read every log for `{WORKER}` and for `{NGINX}`"
    );
    let ratios = ours.iter().zip(nginx).map(|(ours, nginx)| ours / nginx);
    Ok(ratios.fold(0.0, f64::max))
}

fn case() -> String {
    "a million reads in 30 days".to_owned()
}

/// Compiles the model.
pub(super) fn build() -> Result<()> {
    eprintln!("build: the cost model, optimised (minutes the first time)");
    let mut command = Command::new(build::cargo());
    command
        .args(["build", "--quiet", "--release", "--package", "edge-worker"])
        .args(["--example", "cost-model"])
        .current_dir(crate::root());
    crate::process::run("`cargo build`", command)
}

/// Counts every log, each in a process of its own: nothing here is timed.
fn models() -> Result<Vec<Model>> {
    thread::scope(|scope| {
        let running = SEEDS.map(|seed| scope.spawn(move || model(seed)));
        running
            .into_iter()
            .map(|model| {
                model
                    .join()
                    .map_err(|_| anyhow!("a thread that counted panicked"))?
            })
            .collect()
    })
}

fn model(seed: u64) -> Result<Model> {
    let program = crate::target_directory().join("release/examples/cost-model");
    let output = crate::process::output(&program, &[&seed.to_string(), &READS.to_string()])
        .with_context(|| format!("`{}` failed", program.display()))?;
    let model: Model = serde_json::from_str(&output)
        .with_context(|| format!("`{}` printed something else", program.display()))?;
    ensure!(model.reads == READS, "the log has {} reads", model.reads);
    Ok(model)
}

fn add(report: &mut Report, model: &Model, contender: &Contender, cpu: Option<&Cpu>) -> Result<()> {
    let (who, tally) = (contender.name.as_str(), &contender.tally);
    ensure!(
        contender.answered == READS && tally.transactions.len() as u64 == model.days,
        "`{who}` has answered {} reads",
        contender.answered
    );
    let mut say = |quantity: &str, value: f64| report.add(&case(), who, quantity, value);
    say(TRANSACTIONS, contender.asked as f64);
    say("dollars", dollars(contender.asked));
    say(
        "dollars beyond the free allowance",
        dollars(beyond_free(&tally.transactions)),
    );
    say(
        "read from the bucket, GB",
        tally.bytes_from_origin as f64 / 1e9,
    );
    if tally.worker_requests > 0 {
        say("worker requests", tally.worker_requests as f64);
        // What the platform's cache keeps from the worker is not measured by the part `edge`.
        if let Some(cpu) = cpu.filter(|_| who.contains("engine")) {
            say("worker CPU, s", cpu.seconds(&tally.reads));
        }
    }
    Ok(())
}

/// The price of so many transactions.
fn dollars(transactions: u64) -> f64 {
    transactions as f64 / 10_000.0 * DOLLARS_A_10_000
}

/// Transactions that are not given away: what one day leaves of its allowance, the next has not.
fn beyond_free(by_day: &[u64]) -> u64 {
    by_day
        .iter()
        .map(|day| day.saturating_sub(FREE_A_DAY))
        .sum()
}

impl Cpu {
    /// As the part `edge` has measured it last; `None` where it has not, or not all of it.
    fn measured() -> Result<Option<Self>> {
        let path = directory().join(format!("{}.json", Part::Edge.name()));
        if !path.exists() {
            return Ok(None);
        }
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let edge = serde_json::from_str(&text)
            .with_context(|| format!("cannot understand `{}`", path.display()))?;
        Ok(Self::of(&edge))
    }

    fn of(edge: &Report) -> Option<Self> {
        let of = |case: &str| {
            let found = edge.series.iter().find(|series| {
                series.case == case && series.who == EDGE_WHO && series.quantity == EDGE_QUANTITY
            });
            found.map(super::report::Series::median)
        };
        Some(Self {
            hit: of("hit")?,
            range: of("range")?,
            not_modified: of("not modified")?,
            miss: of("miss")?,
        })
    }

    fn seconds(&self, reads: &Reads) -> f64 {
        (self.hit * reads.hit as f64
            + self.range * reads.range as f64
            + self.not_modified * reads.not_modified as f64
            + self.miss * reads.asked as f64)
            / 1e6
    }
}

fn notes(model: &Model, has_cpu: bool) -> Vec<String> {
    let mut notes = vec![
        format!(
            "A request log is drawn by lot, a log a round, and replayed under a simulated clock \
             through the worker's own engine and policy, compiled natively; nginx and the \
             platform's cache are models of a page each. The log has {} reads in {} days of \
             objects of 20 KB to 40 MB. Six in ten are of an archive of {} objects, popular by \
             Zipf's law (exponent {}), by day three times as many as by night; four in ten are of \
             {} posts that appear meanwhile, half of them within 30 seconds; one in two hundred is \
             of a name that is not in the bucket. Of the reads of pictures a tenth are conditional; of \
             videos seven tenths are by range. All caches begin empty; the bucket answers after \
             100 ms with 100 Mbit/s.",
            figure(READS as f64),
            model.days,
            figure(model.archive as f64),
            model.exponent,
            figure(model.posts as f64)
        ),
        "The worker's contenders differ in their caches: in engine mode each of Cloudflare's data \
         centres has its own, so that ten places with readers (the second with half as many as the \
         first, the third with a third …) fetch for themselves; in platform mode one cache serves \
         the world under the rules that the worker states (48 hours fresh, then served while the \
         bucket is asked). Neither forgets anything for lack of room, which Cloudflare does not \
         promise. Many caches ask more often than one: platform mode mends that, or a longer \
         `FRESH_SECONDS`, which suits media that never change under their name. nginx is one cache: 48 hours, `inactive=48h`, no revalidation, and `max_size=10g` \
         or room for everything. With one cache the worker keeps nginx's rules and is to ask as often \
         as nginx with room for everything, in every log: one request more would miss the target."
            .to_owned(),
        format!(
            "Prices are Backblaze's: {DOLLARS_A_10_000} dollars for 10,000 transactions of class B, \
             {} a day free. Cloudflare's price for the worker itself is left out, and so \
             is traffic, which is free from the bucket to Cloudflare; what it is to an nginx of one's \
             own is not told here. In platform mode a call of the media entry counts as a request of the worker too.",
            figure(FREE_A_DAY as f64)
        ),
    ];
    if has_cpu {
        notes.push(
            "CPU is what the part `edge` has measured for a hit, a range, a 304 and a miss, times \
             how often each occurs; platform mode is not measured there."
                .to_owned(),
        );
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_price_is_that_of_the_list() {
        assert_eq!(dollars(0), 0.0);
        assert_eq!(dollars(10_000), 0.004);
        assert_eq!(dollars(1_000_000), 0.4);
    }

    #[test]
    fn the_worst_log_counts() {
        let mut report = Report::default();
        for (ours, nginx) in [(100.0, 100.0), (101.0, 100.0), (100.0, 100.0)] {
            report.add(&case(), WORKER, TRANSACTIONS, ours);
            report.add(&case(), NGINX, TRANSACTIONS, nginx);
        }
        assert_eq!(worst_ratio(&report).unwrap(), 1.01);
        worst_ratio(&Report::default()).unwrap_err();
    }

    #[test]
    fn what_a_day_leaves_of_its_allowance_the_next_has_not() {
        assert_eq!(beyond_free(&[0, 5_000]), 2_500);
        assert_eq!(beyond_free(&[2_500, 2_500]), 0);
        assert_eq!(beyond_free(&[]), 0);
    }

    #[test]
    fn cpu_is_told_only_where_all_of_it_was_measured() {
        let mut edge = Report::default();
        for case in ["hit", "range", "not modified"] {
            edge.add(case, EDGE_WHO, EDGE_QUANTITY, 40.0);
        }
        assert!(Cpu::of(&edge).is_none());
        edge.add("miss", EDGE_WHO, EDGE_QUANTITY, 140.0);
        let reads = Reads {
            hit: 500_000,
            range: 0,
            not_modified: 0,
            asked: 500_000,
        };
        assert_eq!(Cpu::of(&edge).unwrap().seconds(&reads), 90.0);
    }
}
