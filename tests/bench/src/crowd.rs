//! `cargo xtask bench crowd`: the worker, workers in JavaScript and nginx, in front of the same origin and
//! behind the same client.
//!
//! A worker that answers a constant tells which part of the others' figures is the local simulator's. What a
//! single request costs inside the runtime is the part `edge`'s to say.

mod cases;
mod contenders;
mod memory;
mod objects;
mod wrk;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Effort;
use super::edge::{ORDINARY, published};
use super::report::{Report, Target, figure};
use cases::{CASES, Case, HIT, Kind};
use contenders::{Running, Who};
use objects::{fill, look_at_answers};
use testkit::pins;
use testkit::setup::debian_program;
use testkit::stack::{Origin, OriginOptions, Profile};
use testkit::tools::Tools;
use wrk::Load;

/// How often everything is measured, and how long that may take.
const ROUNDS: (usize, usize) = (3, 4);
const BUDGET: Duration = Duration::from_secs(290);

/// What the origin waits before each answer to the flash crowd.
const LATENCY_MILLISECONDS: u64 = 100;

const ORIGIN_REQUESTS: &str = "requests to the origin";
const RATE: &str = "requests/s";

/// Measures each contender in turn, and returns the figures.
pub(super) fn measure(effort: Effort) -> Result<Report> {
    let tools = Tools::load()?;
    let wrk = debian_program(pins::DEBIAN_WRK)?;
    let origin = Origin::start(OriginOptions {
        profile: Profile::Release,
        ..OriginOptions::default()
    })?;
    fill(&origin)?;
    let mut report = Report::default();
    for round in effort.rounds(ROUNDS.0, ROUNDS.1, BUDGET) {
        let mut everyone = Who::ALL;
        everyone.rotate_left((round - 1) % Who::ALL.len());
        for who in everyone {
            eprintln!("bench: round {round}: {}", who.name());
            one_round(who, &tools, &wrk, &origin, &mut report)
                .with_context(|| format!("{}, round {round}", who.name()))?;
        }
    }
    set_targets(&mut report);
    report.notes = notes(&report)?;
    Ok(report)
}

fn one_round(
    who: Who,
    tools: &Tools,
    wrk: &Path,
    origin: &Origin,
    report: &mut Report,
) -> Result<()> {
    let running = Running::start(who, tools, origin)?;
    look_at_answers(who, &running.url())?;
    for case in CASES.iter().filter(|case| who.takes(case.kind)) {
        let latency = case.kind == Kind::Crowd;
        if latency {
            origin.set_faults(&serde_json::json!({
                "kind": "latency",
                "latency_ms": LATENCY_MILLISECONDS,
            }))?;
        }
        origin.reset_requests()?;
        let watch = running.watch();
        let outcome = wrk::run(wrk, &running.url(), &case.load)
            .with_context(|| format!("the case `{}`", case.name));
        if latency {
            origin.clear_faults()?;
        }
        let outcome = outcome?;
        let asked = origin.requests()?.of("GetObject");
        check_origin(who, case, asked)?;
        let mut add = |quantity: &str, value: f64| {
            report.add(case.name, who.name(), quantity, value);
        };
        add(RATE, outcome.requests as f64 / outcome.seconds);
        add("p50, ms", outcome.p50_us / 1_000.0);
        add("p99, ms", outcome.p99_us / 1_000.0);
        if !matches!(who, Who::Empty | Who::Origin) {
            add(ORIGIN_REQUESTS, asked as f64);
        }
        if let Some(peak) = watch.map(|watch| watch.peak()) {
            add("memory, MiB", peak.all);
            if peak.workerd > 0.0 {
                add("of it `workerd`, MiB", peak.workerd);
            }
        }
    }
    Ok(())
}

/// That a cold read was one, and a hit too.
fn check_origin(who: Who, case: &Case, asked: u64) -> Result<()> {
    let keys = case.load.keys;
    match (who, case.kind) {
        (Who::Empty, _) | (_, Kind::Hit) => {
            ensure!(asked == 0, "`{}` asked the origin {asked} times", case.name)
        }
        // More often than that is a figure; less often is a case that was not what it says.
        _ => ensure!(
            asked >= keys,
            "`{}`: the origin was asked {asked} times for {keys} cold keys",
            case.name
        ),
    }
    Ok(())
}

/// The worst round counts: a lock that holds mostly does not hold.
fn set_targets(report: &mut Report) {
    for case in CASES.iter().filter(|case| case.kind != Kind::Hit) {
        for who in Who::ALL.into_iter().filter(|who| who.locks()) {
            let worst = report
                .series
                .iter()
                .filter(|series| {
                    series.case == case.name
                        && series.who == who.name()
                        && series.quantity == ORIGIN_REQUESTS
                })
                .flat_map(|series| &series.rounds)
                .fold(f64::NAN, |worst: f64, round| worst.max(*round));
            report.targets.push(Target::at_most(
                format!(
                    "{}: requests to the origin per key, {}",
                    case.name,
                    who.name()
                ),
                worst / case.load.keys as f64,
                1.0,
            ));
        }
    }
}

fn notes(report: &Report) -> Result<Vec<String>> {
    let rate = |who: Who| report.median(HIT, who.name(), RATE);
    let percent = |who: Who| format!("{:.0} %", rate(Who::Worker) / rate(who) * 100.0);
    let loads = CASES.map(|case| {
        let Load {
            keys,
            each,
            connections,
            ..
        } = case.load;
        let repeated = match each {
            1 => String::new(),
            _ => format!(", each {each} times in a row"),
        };
        format!(
            "*{}*: {connections} connections ask for {} objects{repeated}",
            case.name,
            figure(keys as f64)
        )
    });
    Ok(vec![
        format!(
            "The client is `wrk` from Debian. {}. The origin waits {LATENCY_MILLISECONDS} ms before each answer \
             to the flash crowd. p50 and p99 are as `wrk` tells them, corrected for what waits to be sent. \
             Every contender starts anew in each round, with nothing stored, and is \
             alone with the origin and the client meanwhile. Answers that are not 200, bytes that \
             are too few, and hits that reach the origin end the bench. nginx's p50 in the flash crowd \
             is its lock's: whoever waits for another's fetch looks again at intervals.",
            loads.join("; ")
        ),
        format!(
            "nginx runs in one process with the directives that the worker replaces. All workers run under \
             `wrangler dev`, ours in engine mode, and sign what they ask of the bucket; nginx cannot, so the \
             bucket is a public one. *{ORDINARY}* and *{}*, {}, are those of the part `edge`; the former has a \
             lock and the latter has none.",
            Who::Published.name(),
            published()?
        ),
        format!(
            "Most of what is measured of a worker is the local simulator's: a proxy in Node.js and one in \
             `workerd` stand before it, each request is written into a log, and the Cache API is a worker of \
             its own over SQLite and files. A worker that answers a constant takes {} of the time that ours \
             takes for a small hit, and *{ORDINARY}*, over the same Cache API, {}: only what is beyond that can \
             be our worker's own. For a large body it is no lower bound, \
             as its line shows. None of this exists in production. The part `edge` measures the worker \
             without it.",
            percent(Who::Empty),
            percent(Who::Ordinary),
        ),
        "Memory is the most that all processes of a contender held at once during the case, pages \
         that they share counted for each; for `wrangler dev` that is Node.js, esbuild and `workerd`. Files \
         in the system's page cache do not count."
            .to_owned(),
    ])
}

#[cfg(test)]
mod tests {
    use super::cases::FLASH;
    use super::*;

    #[test]
    fn one_request_too_many_misses_the_target() {
        let mut report = Report::default();
        for requests in [250.0, 251.0, 250.0] {
            report.add(FLASH, Who::Worker.name(), ORIGIN_REQUESTS, requests);
        }
        set_targets(&mut report);
        let target = report
            .targets
            .iter()
            .find(|target| {
                target.name.starts_with(FLASH) && target.name.ends_with(Who::Worker.name())
            })
            .unwrap();
        assert!(!target.is_reached());
    }
}
