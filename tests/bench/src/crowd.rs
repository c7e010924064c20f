//! `cargo xtask bench crowd`: the worker, workers in JavaScript and nginx, in front of the same origin and
//! behind the same client.
//!
//! A worker that answers a constant tells which part of the others' figures is the local simulator's. What a
//! single request costs inside the runtime is the part `edge`'s to say.

mod cases;
mod memory;
mod wrk;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::Effort;
use super::edge::{COMPATIBILITY_DATE, ENDPOINT, ORDINARY, published};
use super::report::{Report, Target, figure};
use cases::{CASES, Case, HIT, Kind, LARGE, SMALL};
use memory::Watch;
use testkit::pins;
use testkit::process::scratch_directory;
use testkit::setup::debian_program;
use testkit::stack::{Edge, EdgeOptions, Nginx, Origin, OriginOptions, Profile};
use testkit::tools::Tools;
use testkit::upload;
use wrk::Load;

/// How often everything is measured, and how long that may take.
const ROUNDS: (usize, usize) = (3, 4);
const BUDGET: Duration = Duration::from_secs(290);

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
    /// The same rules by hand in JavaScript, with a lock.
    Ordinary,
    /// Somebody else's worker, without a lock.
    Published,
    /// A constant, from memory.
    Empty,
    /// The bucket itself: what the others cannot be faster than on a cold read.
    Origin,
}

impl Who {
    const ALL: [Self; 6] = [
        Self::Worker,
        Self::Nginx,
        Self::Ordinary,
        Self::Published,
        Self::Empty,
        Self::Origin,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Worker => "the worker",
            Self::Nginx => "nginx",
            Self::Ordinary => ORDINARY,
            Self::Published => "a published worker",
            Self::Empty => "a worker that answers a constant",
            Self::Origin => "the origin itself",
        }
    }

    /// Whether it can do what the case asks for.
    fn takes(self, kind: Kind) -> bool {
        match self {
            Self::Worker | Self::Nginx | Self::Ordinary | Self::Published => true,
            Self::Empty => kind == Kind::Hit,
            Self::Origin => kind == Kind::Cold,
        }
    }

    /// Whether it is to ask the origin once for each key, and not more often.
    const fn locks(self) -> bool {
        matches!(self, Self::Worker | Self::Nginx)
    }

    /// Its module below `tests/bench`, where it is a worker that is not ours.
    const fn module(self) -> Option<&'static str> {
        match self {
            Self::Ordinary => Some("edge/ordinary.mjs"),
            Self::Published => Some("edge/published.mjs"),
            Self::Empty => Some("crowd/empty.mjs"),
            Self::Worker | Self::Nginx | Self::Origin => None,
        }
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
        match who {
            Who::Nginx => return Nginx::start(&bucket).map(Self::Nginx),
            Who::Origin => return Ok(Self::Origin(bucket)),
            Who::Worker | Who::Ordinary | Who::Published | Who::Empty => {}
        }
        let scratch = scratch_directory("crowd-worker")?;
        let configuration = who
            .module()
            .map(|module| configure(module, &scratch.path().join("wrangler.toml")))
            .transpose()?;
        let variables = [
            ("ORIGIN_URL", &*bucket),
            ("ORIGIN_AUTH", "sigv4"),
            ("B2_ENDPOINT", ENDPOINT),
            ("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID),
            ("B2_APPLICATION_KEY", OriginOptions::KEY),
            ("CACHE_MODE", "engine"),
        ];
        let options = EdgeOptions {
            configuration,
            variables: variables
                .map(|(name, value)| (name.into(), value.into()))
                .to_vec(),
            ..EdgeOptions::default()
        };
        Edge::start_with(tools, options).map(Self::Edge)
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

/// Writes the settings of a worker in JavaScript. It has a queue as ours has, so that the simulator's own
/// services weigh the same beside all.
fn configure(module: &str, file: &Path) -> Result<PathBuf> {
    let main = testkit::root().join("tests/bench").join(module);
    let text = format!(
        "name = \"javascript\"\nmain = '{}'\ncompatibility_date = \"{COMPATIBILITY_DATE}\"\n\
         [[queues.producers]]\nbinding = \"PURGES\"\nqueue = \"medialift-purges\"\n\
         [[queues.consumers]]\nqueue = \"medialift-purges\"\n",
        main.display()
    );
    fs::write(file, text).with_context(|| format!("cannot write `{}`", file.display()))?;
    Ok(file.to_owned())
}

/// Measures everything, everyone in turn, and says what it came to.
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
    fn no_two_objects_are_alike() {
        assert_eq!(content(1, 20_001).len(), 20_001);
        assert_eq!(content(7, 100), content(7, 100));
        let all: std::collections::HashSet<_> = (0..2_000).map(|n| content(n, 64)).collect();
        assert_eq!(all.len(), 2_000);
    }

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
