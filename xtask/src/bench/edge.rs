//! The worker's whole handler in `workerd bench`, beside the same rules by hand in JavaScript.
//!
//! The cases and what stands in for the platform are in `tests/bench/edge`; every contender is the
//! same module but for its handler, and each case is seen to be the case it says before it is timed.

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
    conclude(&mut report)?;
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
        listed.push_str(&format!(
            "    (name = \"{name}\", {kind} = embed \"{name}\"),\n"
        ));
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
fn conclude(report: &mut Report) -> Result<()> {
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
    Ok(())
}
