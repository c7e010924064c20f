//! The worker's whole handler in `workerd bench`, beside the same rules by hand in JavaScript.
//!
//! The cases and what stands in for the platform are in `tests/bench/edge`; every contender is the
//! same module but for its handler, and each case is seen to be the case it says before it is timed.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::report::{Report, Target};
use crate::build;
use crate::process::{run_logged, scratch_directory};
use crate::setup::{Scope, setup};
use crate::tools::Tools;

/// How often each contender is measured, in turn with the others.
const ROUNDS: usize = 6;

const CPU: &str = "CPU, µs";
const RATIO: &str = "ratio";

const WORKER: &str = "the worker";
const ORDINARY: &str = "ordinary JavaScript";
const LEAN: &str = "lean JavaScript";

/// Who is measured: the name in the report, and the handler's file without its ending.
const CONTENDERS: [Contender; 3] = [
    Contender::new(WORKER, "rust"),
    Contender::new(ORDINARY, "ordinary"),
    Contender::new(LEAN, "lean"),
];

/// What each case may cost at most, as a multiple of what it costs in ordinary JavaScript.
const TARGETS: [(&str, f64); 6] = [
    ("hit", 1.0),
    ("miss", 1.2),
    ("not modified", 1.2),
    ("range", 1.2),
    ("refusal", 1.2),
    (START, 1.6),
];

/// What `workerd bench` calls the start of an isolate from its beginning to its end.
const START: &str = "startup:total";

/// How it was measured, where the time goes, and what was tried. Ratios of trials are those of the
/// run that decided; they are told once and not measured again.
const NOTES: [&str; 4] = [
    "Each round starts `workerd bench` anew for each contender. CPU is the median that it tells of a case, its own overhead subtracted; a refusal, a miss, a 206 and a 304 are looked at, headers and bytes, before anything is timed. The store is a stub in memory that hands out a 100 KB blob without copying it, the bucket a stub that answers at once. *Ordinary* keeps the bucket's answer and edits a copy's headers at each hit; *lean* keeps final headers and sets one. Both have the lock, the time limit and the rules for paths; neither checks that what is stored is as long as was promised, which the worker does.",
    "What a hit of the worker costs beyond the lean one: six request headers and three of the stored answer are looked at, some 0.25 µs each; method, URL and headers cross into WebAssembly as one text and the key's URL back out; two headers that only a real Cache API adds are removed; and one future is made, polled twice and dropped. WebAssembly's own share (path, key, record, table of fills) is the smaller part.",
    "What was tried, as ratios to ordinary JavaScript. *Driving futures straight from promises* in place of `wasm-bindgen-futures` and the SDK's `#[event]`: refusal 2.41 to 1.50, range 1.43 to 1.22. *A 304 made from the stored response by the runtime*, its headers never crossing: 2.62 to 1.79. *Looking only at the headers that a method or a condition is about, and refusing before a future is made*: 304 2.06 to 1.61, range 1.20 to 1.12, refusal 1.55 to 1.36 and less. *Not linking the SDK's main crate*, with the choices of size: start 1.88 to 1.53.",
    "A 304 is decided by the worker's own rules, so the store hands out a whole answer for it, where JavaScript lets the Cache API decide and gets a 304 back. A miss pays for the passage that makes sure that no broken-off body is kept: the bridge's calls alone, from plain JavaScript, come to 1.93 with `FixedLengthStream` and to 1.24 without. A reader's loop in place of `pipeTo` costs the same; a stream made in JavaScript costs half, but has no length, and the Cache API cuts ranges only from what has one.",
];

#[derive(Clone, Copy)]
struct Contender {
    name: &'static str,
    handler: &'static str,
}

impl Contender {
    const fn new(name: &'static str, handler: &'static str) -> Self {
        Self { name, handler }
    }

    fn is_worker(self) -> bool {
        self.name == WORKER
    }
}

/// Measures every contender round by round.
///
/// # Errors
/// Fails when the worker cannot be built, or a case of a contender is not what it says.
pub(super) fn measure() -> Result<Report> {
    let tools = setup(Scope::Edge, false)?;
    build::worker(&tools)?;
    let scratch = scratch_directory("bench-edge")?;
    let mut configurations = Vec::new();
    for contender in CONTENDERS {
        configurations.push((contender, configure(contender, scratch.path())?));
    }
    let mut report = Report::default();
    for round in 1..=ROUNDS {
        for (contender, configuration) in &configurations {
            eprintln!("bench: round {round} of {ROUNDS}: {}", contender.name);
            for (case, cpu) in run(&tools, configuration, scratch.path())
                .with_context(|| format!("cannot measure {}", contender.name))?
            {
                report.add(&case, contender.name, CPU, cpu);
            }
        }
    }
    conclude(&mut report);
    report.notes = NOTES.map(str::to_owned).to_vec();
    Ok(report)
}

/// Makes a directory with a contender's modules and the configuration that names them.
fn configure(contender: Contender, scratch: &Path) -> Result<PathBuf> {
    let directory = scratch.join(contender.handler);
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create `{}`", directory.display()))?;
    let sources = crate::root().join("tests/bench/edge");
    let handler = format!("{}.mjs", contender.handler);
    let mut modules = vec![
        ("bench.mjs", sources.join("bench.mjs"), "esModule"),
        ("handler.mjs", sources.join(handler), "esModule"),
        ("stub.mjs", sources.join("stub.mjs"), "esModule"),
    ];
    if contender.is_worker() {
        let built = crate::root().join("worker/build");
        modules.push(("index.js", built.join("index.js"), "esModule"));
        modules.push(("index_bg.wasm", built.join("index_bg.wasm"), "wasm"));
    }
    let mut listed = String::new();
    for (name, source, kind) in modules {
        let copy = directory.join(name);
        fs::copy(&source, &copy).with_context(|| format!("cannot copy `{}`", source.display()))?;
        writeln!(
            listed,
            "    (name = \"{name}\", {kind} = embed \"{name}\"),"
        )?;
    }
    let configuration = directory.join("bench.capnp");
    let text = format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\
         const config :Workerd.Config = (services = [(name = \"main\", worker = .main)]);\n\
         const main :Workerd.Worker = (\n  modules = [\n{listed}  ],\n  \
         compatibilityDate = \"2026-11-01\",\n);\n"
    );
    fs::write(&configuration, text)
        .with_context(|| format!("cannot write `{}`", configuration.display()))?;
    Ok(configuration)
}

/// What `workerd bench --format json` tells; times in nanoseconds.
#[derive(Deserialize)]
struct Told {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    #[serde(default)]
    cases: Vec<Case>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    name: String,
    status: String,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    cpu_ns: Option<Figures>,
}

#[derive(Deserialize)]
struct Figures {
    median: f64,
}

/// One round of one contender: each case's name and its CPU time in microseconds.
fn run(tools: &Tools, configuration: &Path, scratch: &Path) -> Result<Vec<(String, f64)>> {
    let (told, log) = (scratch.join("told.json"), scratch.join("workerd.log"));
    fs::remove_file(&log).ok();
    let mut command = Command::new(&tools.workerd);
    command
        .arg("bench")
        .arg(configuration)
        .args(["--format", "json", "--output"])
        .arg(&told)
        .env("PATH", tools.path());
    run_logged("`workerd bench`", command, &log)?;
    let text = fs::read_to_string(&told).context("`workerd bench` wrote no report")?;
    let told: Told =
        serde_json::from_str(&text).context("cannot understand what `workerd bench` tells")?;
    let mut figures = Vec::new();
    for case in told.groups.into_iter().flat_map(|group| group.cases) {
        let Some(cpu) = case.cpu_ns.filter(|_| case.status == "ok") else {
            bail!(
                "the case `{}` is `{}`: {}",
                case.name,
                case.status,
                case.error.unwrap_or_default()
            )
        };
        figures.push((case.name, cpu.median / 1000.0));
    }
    for (case, _) in TARGETS {
        let found = figures.iter().any(|(name, _)| name == case);
        ensure!(found, "`workerd bench` tells nothing of the case `{case}`");
    }
    Ok(figures)
}

/// The targets, and how far the worker is from the leanest JavaScript.
fn conclude(report: &mut Report) {
    for (case, bound) in TARGETS {
        let ratio = report.median(case, WORKER, CPU) / report.median(case, ORDINARY, CPU);
        report.targets.push(Target::at_most(
            format!("{case}: CPU, {WORKER} ÷ {ORDINARY}"),
            ratio,
            bound,
        ));
    }
    for (case, _) in TARGETS {
        let rounds = |who: &str| {
            let found = report
                .series
                .iter()
                .find(|series| series.case == case && series.who == who);
            found
                .map(|series| series.rounds.clone())
                .unwrap_or_default()
        };
        let (own, lean) = (rounds(WORKER), rounds(LEAN));
        for (own, lean) in own.into_iter().zip(lean) {
            report.add(case, "the worker ÷ lean JavaScript", RATIO, own / lean);
        }
    }
}
