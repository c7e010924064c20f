//! `cargo xtask bench crowd`: the worker under `wrangler dev` and nginx, in front of the same origin
//! and behind the same client.
//!
//! Beside them two workers that tell which part of the worker's figures is the local simulator's:
//! one that answers a constant, and the usual one written by hand in JavaScript. What a single
//! request costs inside the runtime is the part `edge`'s to say.

mod cases;
mod memory;
mod wrk;

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::report::{Report, Target};
use super::rounds;
use cases::{CASES, Case, HIT, Kind, LARGE, SMALL};
use memory::Watch;
use testkit::pins;
use testkit::process::scratch_directory;
use testkit::setup::debian_program;
use testkit::stack::{Edge, EdgeOptions, Nginx, Origin, OriginOptions, Profile};
use testkit::tools::Tools;
use testkit::upload;

/// How often everything is measured at most, and how long that may take.
const ROUNDS: usize = 3;
const BUDGET: Duration = Duration::from_secs(210);

/// What the origin waits before each answer to the flash crowd.
const LATENCY_MILLISECONDS: u64 = 100;

const BUCKET: &str = "media";
const ORIGIN_REQUESTS: &str = "requests to the origin";
const RATE: &str = "requests/s";

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Worker,
    Nginx,
    /// The same service by hand, in JavaScript, without a lock.
    ByHand,
    /// A constant, from memory.
    Empty,
    /// The bucket itself: what the others cannot be faster than on a cold read.
    Origin,
}

impl Who {
    const ALL: [Self; 5] = [
        Self::Worker,
        Self::Nginx,
        Self::ByHand,
        Self::Empty,
        Self::Origin,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Worker => "worker, `wrangler dev`",
            Self::Nginx => "nginx",
            Self::ByHand => "worker by hand in JavaScript, `wrangler dev`",
            Self::Empty => "empty worker, `wrangler dev`",
            Self::Origin => "the origin itself",
        }
    }

    /// Whether it can do what the case asks for.
    fn takes(self, kind: Kind) -> bool {
        match self {
            Self::Worker | Self::Nginx => true,
            // Without a lock the crowd would be another case than for the others.
            Self::ByHand => kind != Kind::Crowd,
            Self::Empty => kind == Kind::Hit,
            Self::Origin => kind == Kind::Cold,
        }
    }

    /// Whether it is bound to ask the origin once for each key, and not more often.
    const fn locks(self) -> bool {
        matches!(self, Self::Worker | Self::Nginx)
    }
}

/// Somebody who answers, with nothing in the cache.
enum Running {
    Edge(Edge),
    Nginx(Nginx),
    Origin(String),
}

impl Running {
    fn start(who: Who, tools: &Tools, origin: &Origin) -> Result<Self> {
        let bucket = origin.bucket_url(BUCKET);
        let edge = |configuration: Option<&str>, variables: &[(&str, &str)]| {
            let options = EdgeOptions {
                configuration: configuration.map(|path| testkit::root().join(path)),
                variables: variables
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
                ..EdgeOptions::default()
            };
            Edge::start_with(tools, options).map(Self::Edge)
        };
        match who {
            Who::Worker => edge(None, &[("ORIGIN_URL", &bucket), ("CACHE_MODE", "engine")]),
            Who::ByHand => edge(
                Some("tests/fixtures/ordinary-worker/wrangler.toml"),
                &[("ORIGIN_URL", &bucket)],
            ),
            Who::Empty => edge(Some("tests/bench/crowd/empty.toml"), &[]),
            Who::Nginx => Nginx::start(&bucket).map(Self::Nginx),
            Who::Origin => Ok(Self::Origin(bucket)),
        }
    }

    fn url(&self) -> String {
        match self {
            Self::Edge(edge) => edge.url.trim_end_matches('/').to_owned(),
            Self::Nginx(nginx) => format!("http://{}", nginx.address),
            Self::Origin(url) => url.clone(),
        }
    }

    fn watch(&self) -> Option<Watch> {
        match self {
            Self::Edge(edge) => Some(Watch::start(edge.id())),
            Self::Nginx(nginx) => Some(Watch::start(nginx.id())),
            Self::Origin(_) => None,
        }
    }
}

/// Measures everything, everyone in turn, and says what it came to.
pub(super) fn measure() -> Result<Report> {
    let tools = Tools::load()?;
    let wrk = debian_program(pins::DEBIAN_WRK)?;
    let origin = Origin::start(OriginOptions {
        profile: Profile::Release,
        ..OriginOptions::default()
    })?;
    fill(&origin)?;
    let mut report = Report::default();
    for round in rounds(2, ROUNDS, BUDGET) {
        let mut everyone = Who::ALL;
        everyone.rotate_left((round - 1) % Who::ALL.len());
        for who in everyone {
            eprintln!("bench: round {round}: {}", who.name());
            one_round(who, &tools, &wrk, &origin, &mut report)
                .with_context(|| format!("{}, round {round}", who.name()))?;
        }
    }
    set_targets(&mut report);
    report.notes = notes(&report);
    Ok(report)
}

/// Puts the objects into the bucket.
fn fill(origin: &Origin) -> Result<()> {
    let scratch = scratch_directory("crowd")?;
    let check = |name, size| (name, 1, size);
    let objects = CASES
        .iter()
        .filter(|case| case.kind != Kind::Hit)
        .map(|case| (case.load.prefix, case.load.keys, case.load.size))
        .chain([check(CHECK_SMALL, SMALL), check(CHECK_LARGE, LARGE)]);
    let mut number = 0;
    for (prefix, keys, size) in objects {
        let directory = scratch.path().join(prefix.trim_matches('/'));
        fs::create_dir_all(&directory)
            .with_context(|| format!("cannot create `{}`", directory.display()))?;
        for key in 0..keys {
            let path = directory.join(format!("{key}.bin"));
            fs::write(&path, content(number, size))
                .with_context(|| format!("cannot write `{}`", path.display()))?;
            number += 1;
        }
    }
    let sent = upload::sync(origin, scratch.path(), Profile::Release)?;
    ensure!(
        sent.put_requests == number && !sent.partly,
        "{} of {number} objects were uploaded",
        sent.put_requests
    );
    Ok(())
}

/// Objects that are read once by each, to look at what they answer before anything is timed.
const CHECK_SMALL: &str = "/check/small/";
const CHECK_LARGE: &str = "/check/large/";

/// The bytes of the object of that number: no two are alike, and none compresses.
fn content(number: u64, size: u64) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0; usize::try_from(size).unwrap_or_default()];
    for chunk in bytes.chunks_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunk.copy_from_slice(&state.to_le_bytes()[..chunk.len()]);
    }
    bytes
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
        if who.locks() {
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

/// Reads a small and a large object and compares every byte; the empty worker's lengths.
fn look_at_answers(who: Who, url: &str) -> Result<()> {
    let before: u64 = CASES
        .iter()
        .filter(|case| case.kind != Kind::Hit)
        .map(|case| case.load.keys)
        .sum();
    for (number, prefix, size) in [
        (before, CHECK_SMALL, SMALL),
        (before + 1, CHECK_LARGE, LARGE),
    ] {
        let path = format!("{url}{prefix}0.bin");
        let mut answer = ureq::get(&path)
            .call()
            .with_context(|| format!("cannot read `{path}`"))?;
        let body = answer
            .body_mut()
            .with_config()
            .limit(2 * LARGE)
            .read_to_vec()?;
        let right = match who {
            Who::Empty => body.len() as u64 == size,
            _ => body == content(number, size),
        };
        ensure!(
            answer.status() == 200 && right,
            "`{path}` is answered with {} and {} bytes that are not the object's",
            answer.status(),
            body.len()
        );
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

fn notes(report: &Report) -> Vec<String> {
    let rate = |who: Who| report.median(HIT, who.name(), RATE);
    let percent = |who: Who| format!("{:.0} %", rate(Who::Worker) / rate(who) * 100.0);
    vec![
        format!(
            "The client is `wrk` from Debian: 20 connections for what is small, 4 for what is large, \
             200 for the flash crowd, which asks for each of its 500 keys 20 times in a row, from an \
             origin that waits {LATENCY_MILLISECONDS} ms. Its p50 and p99 are as it tells them, corrected for what waits to be sent. \
             Every contender starts anew in each round, with nothing stored, and is \
             alone with the origin and the client meanwhile. Answers that are not 200, bytes that \
             are too few, and hits that reach the origin end the bench. nginx's p50 in the flash crowd \
             is its lock's: whoever waits for another's fetch looks again each half second."
        ),
        format!(
            "nginx runs in one process with the directives that the worker replaces. The worker runs \
             under `wrangler dev`, in engine mode, and most of what is measured there is the local \
             simulator's: a proxy in Node.js and one in `workerd` stand before the worker, each \
             request is written into a log, and the Cache API is a worker of its own over SQLite and \
             files. A worker that answers a constant takes {} of the time that ours takes for a small \
             hit, and the usual worker by hand in JavaScript, over the same Cache API, {}: only what \
             is beyond that can be our worker's own. None of this exists in production. The part `edge` \
             measures the worker without it.",
            percent(Who::Empty),
            percent(Who::ByHand),
        ),
        "Memory is the most that all processes of a contender held at once during the case, pages \
         that they share counted for each; for `wrangler dev` that is Node.js, esbuild and `workerd`. Files \
         in the system's page cache do not count."
            .to_owned(),
    ]
}

#[cfg(test)]
mod tests {
    use super::cases::FLASH;
    use super::*;

    #[test]
    fn no_two_objects_are_alike() {
        assert_eq!(content(1, 20_001).len(), 20_001);
        assert_eq!(content(7, 100), content(7, 100));
        let all: std::collections::HashSet<_> = (0..2_000).map(|n| content(n, 64)).collect();
        assert_eq!(all.len(), 2_000);
    }

    #[test]
    fn one_request_too_many_misses_the_target() {
        let mut report = Report::default();
        for requests in [500.0, 501.0, 500.0] {
            report.add(FLASH, Who::Worker.name(), ORIGIN_REQUESTS, requests);
        }
        set_targets(&mut report);
        let target = report
            .targets
            .iter()
            .find(|target| target.name.starts_with(FLASH) && target.name.contains("worker"))
            .unwrap();
        assert!(!target.is_reached());
    }
}
