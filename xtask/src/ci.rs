//! `cargo xtask ci`: every gate, in one order. A gate that fails does not keep the others from running;
//! all are named at the end.

use std::fmt;
use std::io::Write;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::test::{self, Count};
use crate::{docs, tidy};
use testkit::build::{self, BUDGET};
use testkit::pins::{self, WASM_TARGET};
use testkit::process::run as run_command;
use testkit::progress;
use testkit::setup::{self, Need, SetupOptions, everything, standard_library};
use testkit::tools::Tools;

mod deployment;

/// What of the gates somebody wants.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct CiOptions {
    /// Only the compiler and the linters: no tests, and nothing that builds or deploys
    #[arg(long)]
    pub(crate) lints: bool,
    #[command(flatten)]
    pub(crate) setup: SetupOptions,
}

/// Runs every gate; false when one failed.
///
/// # Errors
/// Fails only when the tools of the tests cannot be had; all else is a gate.
pub(crate) fn run(options: &CiOptions) -> Result<bool> {
    let start = Instant::now();
    let mut gates = Gates::default();
    if options.lints {
        lints(&mut gates);
        gates.report(start.elapsed(), None)?;
    } else {
        let tools = everything(options.setup)?;
        lints(&mut gates);
        let count = tests(&mut gates, &tools);
        gates.report(start.elapsed(), Some(count))?;
    }
    Ok(gates.done.iter().all(|gate| gate.outcome.is_ok()))
}

/// What reads the sources, and compiles them at most.
fn lints(gates: &mut Gates) {
    gates.run("fmt", || cargo("fmt", &["--all", "--check"]));
    gates.run("tidy", || {
        tidy::run(testkit::root()).map(|said| eprintln!("{said}"))
    });
    gates.run("spelling", || {
        lint(Command::new(setup::place(Need::Linters)?.join("typos")))
    });
    gates.run("workflows", || {
        let mut command = Command::new(setup::place(Need::Linters)?.join("zizmor"));
        command.args(["--offline", "--no-progress", ".github"]);
        lint(command)
    });
    gates.run("dependencies that nothing uses", || {
        let program = setup::place(Need::CargoMachete)?;
        let mut command = Command::new(program);
        // Else it does not know that the crate `md-5` is used as `md5`.
        command.arg("--with-metadata");
        lint(command)
    });
    gates.run("licences and sources of dependencies", || {
        deny(&["check", "licenses", "bans", "sources"])
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
    gates.run("rustdoc", documentation);
}

/// What runs what was built.
fn tests(gates: &mut Gates, tools: &Tools) -> Count {
    let mut count = Count::default();
    gates.run("unit tests", || counted(&mut count, test::unit(None)?));
    gates.run("tests in WebAssembly", || {
        counted(&mut count, test::wasm(None)?)
    });
    gates.run("size of the worker", || budget(tools));
    gates.run("end-to-end tests", || {
        counted(&mut count, test::end_to_end(&[], None)?)
    });
    // Those that tests make were looked at with them.
    gates.run("generated pages", || docs::of_programs(true));
    gates.run("deploy --dry-run, as shipped", deployment::shipped);
    gates.run("deploy --dry-run, filled in", deployment::filled_in);
    gates.run("the archive, without Rust", || deployment::archive(tools));
    count
}

/// `cargo xtask advisories`: known faults of the crates in use, and versions taken back.
///
/// No gate of a commit: the answer changes from day to day, and it takes GitHub's copy of the database.
///
/// # Errors
/// Fails when there is one, or the database cannot be had.
pub(crate) fn advisories() -> Result<()> {
    deny(&["check", "advisories"])
}

fn deny(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(setup::place(Need::CargoDeny)?);
    command.args(arguments);
    lint(command)
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

/// Every item, private ones too; and the worker as WebAssembly, where it has items of its own.
fn documentation() -> Result<()> {
    let document = |arguments: &[&str]| {
        let mut command = build::cargo();
        command
            .args([
                "doc",
                "--locked",
                "--no-deps",
                "--document-private-items",
                "--quiet",
                "--keep-going",
            ])
            .args(arguments)
            // These pages have the private items, so links to them lead somewhere.
            .env(
                "RUSTDOCFLAGS",
                "-D warnings -A rustdoc::private_intra_doc_links",
            );
        lint(command)
    };
    document(&["--workspace"])?;
    document(&["--package=edge-worker", "--target", WASM_TARGET])
}

fn clippy(arguments: &[&str]) -> Result<()> {
    let last = ["--locked", "--quiet", "--", "-D", "warnings"];
    cargo("clippy", &[arguments, &last].concat())
}

#[derive(Default)]
struct Gates {
    done: Vec<Gate>,
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

    /// One line a gate, then the faults, then how many tests there were.
    fn report(&self, time: Duration, count: Option<Count>) -> Result<()> {
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
        if let Some(count) = count {
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

fn counted(total: &mut Count, suite: Count) -> Result<()> {
    *total = total.and(suite);
    if !suite.good() {
        bail!("{suite}");
    }
    Ok(())
}

fn cargo(chore: &str, arguments: &[&str]) -> Result<()> {
    let mut command = build::cargo();
    command.arg(chore).args(arguments);
    lint(command)
}

/// Runs a command at the root of the repository.
fn lint(mut command: Command) -> Result<()> {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let first = command.get_args().next().unwrap_or_default();
    let name = format!("`{} {}`", name.display(), first.display());
    command.current_dir(testkit::root());
    run_command(name.as_str(), command)
}

fn budget(tools: &Tools) -> Result<()> {
    let size = build::worker(tools)?;
    eprintln!("the worker is {size}; the budget is {BUDGET}");
    if !BUDGET.allows(size) {
        bail!("the worker is {size}, over its budget of {BUDGET}");
    }
    Ok(())
}
