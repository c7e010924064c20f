//! `cargo xtask ci`: every gate, in one order. A gate that fails does not keep the others from running;
//! all are named at the end.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::test::{self, Count};
use crate::{docs, tidy};
use testkit::build::{self, BUDGET, cargo};
use testkit::pins::{self, WASM_TARGET};
use testkit::process::output;
use testkit::progress;
use testkit::setup::{self, Need, SetupOptions, everything, standard_library};

/// Options of `cargo xtask ci`.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct CiOptions {
    /// Only the compiler and the linters: no tests, and nothing that builds or deploys
    #[arg(long, conflicts_with = "system_packages")]
    lints: bool,
    #[command(flatten)]
    setup: SetupOptions,
}

/// Runs every gate; false when one failed.
///
/// # Errors
/// Fails only when the outcome cannot be printed: to get the tools is a gate too.
pub(crate) fn run(options: &CiOptions) -> Result<bool> {
    let start = Instant::now();
    let mut gates = Gates::default();
    if !options.lints {
        gates.run("tools", || everything(options.setup).map(drop));
    }
    lints(&mut gates);
    if !options.lints {
        tests(&mut gates);
    }
    gates.report(start.elapsed())?;
    Ok(gates.done.iter().all(|gate| gate.outcome.is_ok()))
}

/// What reads the sources, and compiles them at most.
fn lints(gates: &mut Gates) {
    let tool = |need| setup::place(need).map(Command::new);
    let linter = |name| setup::place(Need::Linters).map(|bin| Command::new(bin.join(name)));
    gates.run("fmt", || lint(cargo(), &["fmt", "--all", "--check"]));
    gates.run("tidy", || tidy::run(testkit::root()));
    gates.run("spelling", || lint(linter("typos")?, &[]));
    gates.run("workflows", || {
        let arguments = ["--offline", "--no-progress", ".github"];
        lint(linter("zizmor")?, &arguments)
    });
    gates.run("shell scripts", || {
        let root = testkit::root().to_str().unwrap_or(".");
        let arguments = ["-C", root, "ls-files", "*.sh", ".ci/run"];
        let scripts = output("git", &arguments).context("cannot ask `git` for the scripts")?;
        lint(linter("shellcheck")?, &Vec::from_iter(scripts.lines()))
    });
    // Without metadata it does not know that the crate `md-5` is used as `md5`.
    gates.run("dependencies that nothing uses", || {
        lint(tool(Need::CargoMachete)?, &["--with-metadata"])
    });
    gates.run("licences and sources of dependencies", || {
        let arguments = ["--locked", "check", "licenses", "bans", "sources"];
        lint(tool(Need::CargoDeny)?, &arguments)
    });
    gates.run("clippy", || clippy(&["--workspace", "--all-targets"]));
    gates.run("clippy of the worker for WebAssembly", || {
        setup::place(Need::WasmTarget)?;
        clippy(&[
            "--package=edge-worker",
            "--target",
            WASM_TARGET,
            "--all-features",
            "--lib",
            "--test=wasm",
        ])
    });
    gates.run("clippy for other systems", other_systems);
    gates.run("rustdoc", || {
        documentation(&["--workspace"])?;
        // As WebAssembly the worker has items of its own.
        documentation(&["--package=edge-worker", "--target", WASM_TARGET])
    });
}

/// What runs what was built.
fn tests(gates: &mut Gates) {
    gates.count("unit tests", || test::unit(None));
    gates.count("tests in WebAssembly", || test::wasm(None));
    gates.run("size of the worker", || {
        let size = build::worker(&setup::setup(Need::WORKER)?)?;
        eprintln!("the worker is {size}; the budget is {BUDGET}");
        ensure!(BUDGET.allows(size), "{size} is over its budget of {BUDGET}");
        Ok(())
    });
    gates.count("end-to-end tests", || test::end_to_end(&[], None));
    // The other pages are made by tests.
    gates.run("page of performance", || docs::performance(true));
}

/// `cargo xtask advisories`: known faults of the crates in use, and versions taken back.
///
/// No gate of a commit: the answer changes from day to day, and it takes GitHub's copy of the database.
///
/// # Errors
/// Fails when there is one, or the database cannot be had.
pub(crate) fn advisories() -> Result<()> {
    let deny = Command::new(setup::place(Need::CargoDeny)?);
    lint(deny, &["--locked", "check", "advisories"])
}

/// Lints everything for the systems of [`pins::OTHER_TARGETS`].
///
/// Nothing is linked, so it takes no compiler of C for them: the one crate with C in it, `ring`, is told
/// that its library is there (<https://doc.rust-lang.org/cargo/reference/build-scripts.html#overriding-build-scripts>).
fn other_systems() -> Result<()> {
    let ring = pins::locked_version("ring")?.replace('.', "_");
    let mut arguments = vec!["--workspace".to_owned(), "--all-targets".to_owned()];
    for target in pins::OTHER_TARGETS {
        standard_library(target)?;
        arguments.extend([
            format!("--target={target}"),
            format!("--config=target.{target}.ring_core_{ring}_.rustc-cfg=[]"),
        ]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    clippy(&arguments)
}

/// Every item, private ones too, so links to them lead somewhere.
fn documentation(packages: &[&str]) -> Result<()> {
    let mut command = cargo();
    command
        .args(["doc", "--locked", "--quiet", "--keep-going"])
        .args(["--no-deps", "--document-private-items"]);
    let flags = "-D warnings -A rustdoc::private_intra_doc_links";
    command.env("RUSTDOCFLAGS", flags);
    lint(command, packages)
}

fn clippy(arguments: &[&str]) -> Result<()> {
    let last = ["--locked", "--quiet", "--", "-D", "warnings"];
    let mut command = cargo();
    command.arg("clippy");
    lint(command, &[arguments, &last].concat())
}

/// Runs a command at the root of the repository.
fn lint(mut command: Command, arguments: &[&str]) -> Result<()> {
    command.args(arguments).current_dir(testkit::root());
    let program = Path::new(command.get_program()).file_name();
    let first = command.get_args().next().unwrap_or_default();
    let name = format!(
        "`{} {}`",
        program.unwrap_or_default().display(),
        first.display()
    );
    testkit::process::run(name.trim(), command)
}

#[derive(Default)]
struct Gates {
    done: Vec<Gate>,
    count: Option<Count>,
}

struct Gate {
    name: &'static str,
    outcome: Result<()>,
    time: Duration,
}

impl Gates {
    fn run(&mut self, name: &'static str, gate: impl FnOnce() -> Result<()>) {
        eprintln!("\nci: {name}");
        let start = Instant::now();
        let outcome = gate();
        let time = start.elapsed();
        let gate = Gate {
            name,
            outcome,
            time,
        };
        eprintln!("ci: {gate}");
        self.done.push(gate);
    }

    /// A gate of tests, which are counted.
    fn count(&mut self, name: &'static str, tests: impl FnOnce() -> Result<Count>) {
        let mut total = self.count.unwrap_or_default();
        self.run(name, || {
            let count = tests()?;
            total += count;
            ensure!(count.all_passed(), "{count}");
            Ok(())
        });
        self.count = Some(total);
    }

    /// One line a gate, then the faults, then how many tests there were.
    fn report(&self, time: Duration) -> Result<()> {
        let mut output = std::io::stdout().lock();
        let (gates, time) = (self.done.len(), progress::duration(time));
        writeln!(output, "\n{gates} gates in {time}")?;
        for gate in &self.done {
            writeln!(output, "  {gate}")?;
        }
        for gate in &self.done {
            if let Err(error) = &gate.outcome {
                writeln!(output, "\nerror: {}: {error:#}", gate.name)?;
            }
        }
        if let Some(count) = self.count {
            writeln!(output, "\n{count}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let status = if self.outcome.is_ok() { "ok" } else { "FAILED" };
        let time = progress::duration(self.time);
        write!(f, "{status:6}  {time:>12}  {}", self.name)
    }
}
