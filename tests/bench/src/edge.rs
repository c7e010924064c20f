//! The worker's whole handler in `workerd bench`, beside the same rules by hand in JavaScript.
//!
//! The cases and what stands in for the platform are in `tests/bench/edge`; every contender is the
//! same module but for its handler, and each case is seen to be the case it says before it is timed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use super::Effort;
use super::report::{Report, Target};
use testkit::process::{run_logged, scratch_directory};
use testkit::tools::Tools;

/// How often each contender is measured, in turn with the others, and how long that may take.
const ROUNDS: (usize, usize) = (3, 6);
const BUDGET: Duration = Duration::from_secs(250);

/// What the workers of this part and of the part `crowd` are given.
pub(super) const COMPATIBILITY_DATE: &str = "2026-11-01";
pub(super) const ENDPOINT: &str = "s3.us-west-004.backblazeb2.com";

const CPU: &str = "CPU, µs";
const RATIO: &str = "ratio";

const WORKER: &str = "the worker";
pub(super) const ORDINARY: &str = "ordinary JavaScript";
const PUBLISHED: &str = "a published worker";

/// Who is measured: the name in the report, and the handler's file without its ending.
const CONTENDERS: [Contender; 3] = [
    Contender::new(WORKER, "rust"),
    Contender::new(ORDINARY, "ordinary"),
    Contender::new(PUBLISHED, "published"),
];

/// What each case may cost at most, as a multiple of what it costs in ordinary JavaScript.
const TARGETS: [(&str, f64); 6] = [
    ("hit", 1.1),
    ("miss", 1.25),
    ("not modified", 1.15),
    ("range", 1.2),
    ("refusal", 1.8),
    (START, 2.0),
];

/// What is measured of the gateway in platform mode, without a bound: the cache there is a stub, and the
/// call between the entries is the platform's.
const GATEWAY_HIT: &str = "hit in platform mode";

/// What `workerd bench` calls the start of an isolate from its beginning to its end.
const START: &str = "startup:total";

/// How often the start is measured in each round beyond the first time: it takes a second, and hardly
/// anything is as unsteady.
const MORE_STARTS: usize = 2;

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

    /// Whether it takes part in this case.
    fn does(self, case: &str) -> bool {
        match case {
            "the bucket alone" => self.name == ORDINARY,
            GATEWAY_HIT => self.name != PUBLISHED,
            _ => true,
        }
    }
}

/// Measures every contender round by round.
///
/// # Errors
/// Fails when a case of a contender is not what it says.
pub(super) fn measure(effort: Effort) -> Result<Report> {
    let tools = Tools::load()?;
    let scratch = scratch_directory("bench-edge")?;
    let mut configurations = Vec::new();
    for contender in CONTENDERS {
        configurations.push((contender, configure(&tools, contender, scratch.path())?));
    }
    let mut report = Report::default();
    for round in effort.rounds(ROUNDS.0, ROUNDS.1, BUDGET) {
        configurations.rotate_left(1);
        for (contender, configuration) in &configurations {
            eprintln!("bench: round {round}: {}", contender.name);
            let figures = run(&tools, configuration, "main", scratch.path())
                .with_context(|| format!("cannot measure {}", contender.name))?;
            for (case, _) in TARGETS.iter().filter(|(case, _)| contender.does(case)) {
                let found = figures.iter().any(|(name, _)| name == case);
                ensure!(
                    found,
                    "`workerd bench` reports nothing of the case `{case}`"
                );
            }
            add(&mut report, *contender, figures);
            if contender.does(GATEWAY_HIT) {
                let cases = format!("gateway/{GATEWAY_HIT}");
                let figures = run(&tools, configuration, &cases, scratch.path())
                    .with_context(|| format!("cannot measure {} as gateway", contender.name))?;
                ensure!(
                    matches!(&figures[..], [(case, _)] if case == GATEWAY_HIT),
                    "`workerd bench` was asked for `{GATEWAY_HIT}` and reports {figures:?}"
                );
                add(&mut report, *contender, figures);
            }
        }
        for _ in 0..MORE_STARTS {
            let starting = configurations.iter().filter(|(who, _)| who.does(START));
            for (contender, configuration) in starting {
                let cases = format!("main/{START}");
                let figures = run(&tools, configuration, &cases, scratch.path())
                    .with_context(|| format!("cannot measure {}", contender.name))?;
                // One for each, or the rounds of two contenders would not be the same ones.
                ensure!(
                    matches!(&figures[..], [(case, _)] if case == START),
                    "`workerd bench` was asked for `{START}` and reports {figures:?}"
                );
                add(&mut report, *contender, figures);
            }
        }
    }
    conclude(&mut report);
    report.notes = notes(&published()?);
    Ok(report)
}

/// How it was measured.
fn notes(published: &str) -> Vec<String> {
    [
        "Each round starts `workerd bench` anew for each contender; the worker is called by the entry that is deployed, made one file as `wrangler` makes it. CPU is the median that it tells of a case, its own overhead subtracted; the response to each case is checked, headers and bytes, before timing. The store is a stub in memory that hands out a blob without copying it. The bucket is private, and takes signed requests only (`ORIGIN_AUTH = \"sigv4\"`): a worker of its own in the same process that answers at once and checks no more than that there is a signature. Its part is in everybody's figure for a miss, and so is the runtime's for the subrequest: *the bucket alone* tells how much that is, a fetch whose body is read and no more.",
        "*Ordinary JavaScript*, which the targets are about, was written for this bench by hand: it keeps the bucket's answer and edits a copy's headers at each hit, and it has nginx's rules too: the lock and its time limit, stale answers, one more try, the rules for paths, and purges. It signs by `aws4fetch`. That a body that breaks off is not stored is the platform's part in all of them.",
        &format!("*A published worker* is somebody else's: {published}. It serves buckets of R2, so that its binding is replaced by one that asks the S3 API. It returns the Cache API's answer unchanged: no lock, no stale answers, no second try, no purge, no security headers, and what is stored is as fresh as its `Cache-Control` says."),
        "*Hit in platform mode* is the gateway's own work: its call to the media entry is answered by a stub in memory, as the platform's cache would answer a hit. It has no target. *startup:total* is the start of an isolate from its beginning to its end; *isolate*, *script* and *worker* are its steps, as `workerd bench` names them.",
        "A miss is measured for longer than the other cases: a miss leaves streams behind, and the collector of garbage comes to the first of them late. Every object has a tag of its own: were all the same, headers that were kept from one miss would serve the next.",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// The packages of npm that the published worker is made of, with their versions.
pub(super) fn published() -> Result<String> {
    #[derive(Deserialize)]
    struct Package {
        version: String,
    }
    let version = |name: &str| {
        let path = testkit::root().join(format!("node_modules/{name}/package.json"));
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let package: Package = serde_json::from_str(&text)?;
        anyhow::Ok(format!("`{name}` {}", package.version))
    };
    Ok(format!(
        "npm's {} over the S3 API, signed by {}",
        version("render2")?,
        version("aws4fetch")?
    ))
}

fn add(report: &mut Report, contender: Contender, figures: Vec<(String, f64)>) {
    for (case, cpu) in figures.into_iter().filter(|(case, _)| contender.does(case)) {
        report.add(&case, contender.name, CPU, cpu);
    }
}

/// Makes a directory with a contender's modules and the configuration that names them. Its handler is
/// made one file of, as `wrangler` does it for a worker that is deployed.
fn configure(tools: &Tools, contender: Contender, scratch: &Path) -> Result<PathBuf> {
    let directory = scratch.join(contender.handler);
    fs::create_dir_all(&directory)
        .with_context(|| format!("cannot create `{}`", directory.display()))?;
    let sources = testkit::root().join("tests/bench/edge");
    let handler = directory.join("handler.mjs");
    let mut command = Command::new(&tools.esbuild);
    command
        .arg(sources.join(format!("{}.mjs", contender.handler)))
        .args(["--bundle", "--format=esm", "--log-level=warning"])
        .args(["--external:cloudflare:*", "--external:*.wasm"])
        .arg(format!("--outfile={}", handler.display()))
        .env("PATH", tools.path());
    run_logged("`esbuild`", command, &directory.join("esbuild.log"))?;
    let mut modules = vec![
        ("bench.mjs", sources.join("bench.mjs"), "esModule"),
        ("handler.mjs", handler, "esModule"),
        ("stub.mjs", sources.join("stub.mjs"), "esModule"),
        ("gateway.mjs", sources.join("gateway.mjs"), "esModule"),
    ];
    if contender.is_worker() {
        let wasm = testkit::root().join("worker/build/index_bg.wasm");
        modules.push(("index_bg.wasm", wasm, "wasm"));
    }
    // The first module is what a service is.
    let (mut of_main, mut of_gateway) = (Vec::new(), Vec::new());
    for (name, source, kind) in modules {
        let copy = directory.join(name);
        if copy != source {
            fs::copy(&source, &copy)
                .with_context(|| format!("cannot copy `{}`", source.display()))?;
        }
        let line = format!("    (name = \"{name}\", {kind} = embed \"{name}\"),\n");
        match name {
            "bench.mjs" => of_main.insert(0, line),
            "gateway.mjs" => of_gateway.insert(0, line),
            _ => {
                of_main.push(line.clone());
                of_gateway.push(line);
            }
        }
    }
    let (of_main, of_gateway) = (of_main.concat(), of_gateway.concat());
    fs::copy(sources.join("bucket.mjs"), directory.join("bucket.mjs"))
        .context("cannot copy the bucket's module")?;
    let configuration = directory.join("bench.capnp");
    // Whatever the measured worker fetches, it asks of the bucket.
    let text = format!(
        "using Workerd = import \"/workerd/workerd.capnp\";\n\
         const config :Workerd.Config = (services = [\n  \
         (name = \"main\", worker = .main), (name = \"bucket\", worker = .bucket),\n  \
         (name = \"gateway\", worker = .gateway),\n]);\n\
         const main :Workerd.Worker = (\n  modules = [\n{of_main}  ],\n  \
         compatibilityDate = \"{COMPATIBILITY_DATE}\",\n  globalOutbound = \"bucket\",\n);\n\
         const gateway :Workerd.Worker = (\n  modules = [\n{of_gateway}  ],\n  \
         compatibilityDate = \"{COMPATIBILITY_DATE}\",\n  globalOutbound = \"bucket\",\n);\n\
         const bucket :Workerd.Worker = (\n  \
         modules = [(name = \"bucket.mjs\", esModule = embed \"bucket.mjs\")],\n  \
         compatibilityDate = \"{COMPATIBILITY_DATE}\",\n);\n"
    );
    fs::write(&configuration, text)
        .with_context(|| format!("cannot write `{}`", configuration.display()))?;
    Ok(configuration)
}

/// What `workerd bench --format json` reports; times in nanoseconds.
#[derive(Deserialize)]
struct BenchOutput {
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

/// One round of one contender: the name of each case that `cases` means, and its CPU time in
/// microseconds.
fn run(
    tools: &Tools,
    configuration: &Path,
    cases: &str,
    scratch: &Path,
) -> Result<Vec<(String, f64)>> {
    let (results, log) = (scratch.join("results.json"), scratch.join("workerd.log"));
    fs::remove_file(&log).ok();
    let mut command = Command::new(&tools.workerd);
    command
        .arg("bench")
        .arg(configuration)
        .arg(cases)
        .args(["--format", "json", "--output"])
        .arg(&results)
        .env("PATH", tools.path());
    run_logged("`workerd bench`", command, &log)?;
    let text = fs::read_to_string(&results).context("`workerd bench` wrote no report")?;
    let output: BenchOutput =
        serde_json::from_str(&text).context("cannot understand what `workerd bench` reports")?;
    let mut figures = Vec::new();
    for case in output.groups.into_iter().flat_map(|group| group.cases) {
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
    Ok(figures)
}

/// The targets, and how far the worker is from the others: ratios of what was measured in
/// the same round, since the machine changes its pace from round to round.
fn conclude(report: &mut Report) {
    let bounds = TARGETS.map(|(case, bound)| (case, Some(bound)));
    for (case, bound) in bounds.into_iter().chain([(GATEWAY_HIT, None)]) {
        for other in [ORDINARY, PUBLISHED] {
            let (own, compared) = (
                report.rounds(case, WORKER, CPU),
                report.rounds(case, other, CPU),
            );
            let ratios = own.iter().zip(compared).map(|(own, other)| own / other);
            for ratio in ratios.collect::<Vec<_>>() {
                report.add(case, &versus(other), RATIO, ratio);
            }
        }
        if let Some(bound) = bound {
            report.targets.push(Target::at_most(
                format!("{case}: CPU, {}", versus(ORDINARY)),
                report.median(case, &versus(ORDINARY), RATIO),
                bound,
            ));
        }
    }
}

fn versus(other: &str) -> String {
    format!("{WORKER} ÷ {other}")
}
