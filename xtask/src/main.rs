//! `cargo xtask …`: every chore of this repository.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use testkit::build;
use testkit::setup::{Need, SetupOptions, everything, setup};

use ci::CiOptions;
use demo::DemoOptions;
use deploy::{DeployOptions, Outcome};
use dev::DevOptions;
use test::TestOptions;

mod bench;
mod ci;
mod demo;
mod deploy;
mod dev;
mod docs;
mod package;
mod test;
mod tidy;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Every chore of this repository")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Get every tool that chores and tests use, into a cache outside the checkout. They get their own by
    /// themselves too, when they need it
    Setup(SetupOptions),
    /// Build the edge worker and say how big it is
    Build,
    /// Upload a media tree, serve it through the edge, read it back and show what a client sees
    Demo(DemoOptions),
    /// Keep the origin and the edge up, with settings of your own
    Dev(DevOptions),
    /// Run the tests and count them
    Test(TestOptions),
    /// Measure the worker and the command beside their peers, and write `docs/performance.md`
    #[command(disable_help_flag = true)]
    Bench {
        /// What the bench is asked; `--help` lists it
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run every gate: formatting, lints, conventions, tests, size, deployability
    Ci(CiOptions),
    /// Look for known faults of the crates in use, in a database that is fetched
    Advisories,
    /// Check the conventions that no compiler lint knows
    Tidy,
    /// Write the pages that are made from the programs
    Docs {
        /// Only say whether they are up to date
        #[arg(long)]
        check: bool,
    },
    /// Check everything, then build and deploy the edge worker and read through its domain
    Deploy(DeployOptions),
    /// Make all that a release has: programs without a library of the system, archives, Debian packages,
    /// lists of crates, checksums
    Package,
    /// Make the archive from which the worker is deployed without Rust
    PackageWorker,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = testkit::process::end_children_on_interrupt().and_then(|()| run(arguments.chore));
    match done {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::FAILURE,
        // As `medialift` says that settings are wrong.
        Ok(Outcome::Faulty) => ExitCode::from(2),
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does one chore.
fn run(chore: Chore) -> Result<Outcome> {
    let is_good = match chore {
        Chore::Setup(options) => everything(options).map(|_| true),
        Chore::Build => {
            let size = build::worker(&setup(Need::WORKER)?)?;
            eprintln!("build: the edge worker is {size}");
            Ok(true)
        }
        Chore::Demo(options) => demo::run(&options),
        Chore::Dev(options) => dev::run(options).map(|()| true),
        Chore::Test(options) => test::run(&options),
        Chore::Bench { arguments } => bench::run(&arguments),
        Chore::Ci(options) => ci::run(&options),
        Chore::Advisories => ci::advisories().map(|()| true),
        Chore::Tidy => {
            let summary = tidy::run(testkit::root())?;
            eprintln!("{summary}");
            Ok(true)
        }
        Chore::Docs { check } => docs::run(check).map(|()| true),
        Chore::Deploy(options) => return deploy::run(&options),
        Chore::Package => {
            let tools = setup(&[Need::WORKER, Need::RELEASE].concat())?;
            eprintln!(
                "package: all of it is in `{}`",
                package::release(&tools)?.display()
            );
            Ok(true)
        }
        Chore::PackageWorker => {
            let tools = setup(Need::WORKER)?;
            let archive = package::worker(&tools, &testkit::package::directory())?;
            eprintln!("package-worker: wrote `{}`", archive.display());
            Ok(true)
        }
    };
    is_good.map(|is_good| match is_good {
        true => Outcome::Done,
        false => Outcome::Failed,
    })
}
