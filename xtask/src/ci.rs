//! `cargo xtask ci`: every gate, in one order. A gate that fails does not keep the others from running;
//! all are named at the end.

use std::io::Write;
use std::process::Command;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::build::{self, BUDGET};
use crate::pins::WASM_TARGET;
use crate::process::run as run_command;
use crate::setup::{Scope, setup};
use crate::test::{self, Count};
use crate::tools::Tools;
use crate::{docs, progress, tidy};

mod deployment;

/// Runs every gate; false when one failed.
///
/// # Errors
/// Fails only when the tools cannot be had; all else is a gate.
pub fn run() -> Result<bool> {
    let start = Instant::now();
    let tools = setup(Scope::Everything, true)?;
    let mut gates = Gates::default();
    gates.run("fmt", || cargo("fmt", &["--all", "--check"]));
    gates.run("clippy", || {
        cargo(
            "clippy",
            &[
                "--workspace",
                "--all-targets",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ],
        )
    });
    gates.run("clippy of the worker for WebAssembly", || {
        cargo(
            "clippy",
            &[
                "--package",
                "edge-worker",
                "--target",
                WASM_TARGET,
                "--all-features",
                "--lib",
                "--test",
                "wasm",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ],
        )
    });
    gates.run("tidy", || {
        tidy::run(crate::root()).map(|said| eprintln!("{said}"))
    });
    let mut count = Count::default();
    gates.run("unit tests", || counted(&mut count, test::unit(None)?));
    gates.run("tests in WebAssembly", || {
        counted(&mut count, test::wasm(None)?)
    });
    gates.run("size of the worker", || budget(&tools));
    gates.run("end-to-end tests", || {
        counted(&mut count, test::end_to_end(&[], None)?)
    });
    gates.run("generated pages", || docs::run(true));
    gates.run("deploy --dry-run, as shipped", deployment::shipped);
    gates.run("deploy --dry-run, filled in", deployment::filled_in);
    gates.run("the archive, without Rust", || deployment::archive(&tools));

    let mut output = std::io::stdout().lock();
    writeln!(
        output,
        "\n{} gates in {}",
        gates.done.len(),
        progress::duration(start.elapsed())
    )?;
    for (name, outcome) in &gates.done {
        writeln!(
            output,
            "  {}  {name}",
            if outcome.is_ok() { "ok    " } else { "FAILED" }
        )?;
    }
    for (name, outcome) in &gates.done {
        if let Err(error) = outcome {
            writeln!(output, "\nerror: {name}: {error:#}")?;
        }
    }
    writeln!(output, "\n{count}")?;
    Ok(gates.done.iter().all(|(_, outcome)| outcome.is_ok()))
}

#[derive(Default)]
struct Gates {
    done: Vec<(&'static str, Result<()>)>,
}

impl Gates {
    fn run(&mut self, name: &'static str, gate: impl FnOnce() -> Result<()>) {
        eprintln!("\nci: {name}");
        let start = Instant::now();
        let outcome = gate();
        let status = if outcome.is_ok() { "ok" } else { "FAILED" };
        eprintln!(
            "ci: {name}: {status} in {}",
            progress::duration(start.elapsed())
        );
        self.done.push((name, outcome));
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
    let mut command = Command::new(build::cargo());
    command
        .arg(chore)
        .args(arguments)
        .current_dir(crate::root());
    run_command(&format!("`cargo {chore}`"), command)
}

fn budget(tools: &Tools) -> Result<()> {
    let size = build::worker(tools)?;
    eprintln!("the worker is {size}; the budget is {BUDGET}");
    if !BUDGET.allows(size) {
        bail!("the worker is {size}, over its budget of {BUDGET}");
    }
    Ok(())
}
