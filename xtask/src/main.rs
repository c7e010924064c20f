//! `cargo xtask …`: every chore of this repository.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::demo::DemoOptions;
use xtask::dev::DevOptions;
use xtask::setup::{Scope, setup};
use xtask::{build, demo, dev};

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", about = "Every chore of this repository")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Install what is missing of the tools, into a cache outside the checkout
    Setup,
    /// Build the edge worker and say how big it is
    Build,
    /// Upload a media tree, serve it through the edge, read it back and show what a client sees
    Demo(DemoOptions),
    /// Keep the origin and the edge up, with settings of your own
    Dev(DevOptions),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = xtask::process::end_children_on_interrupt().and_then(|()| run(arguments.chore));
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Does one chore; false when it found something wrong and has said so.
fn run(chore: Chore) -> Result<bool> {
    match chore {
        Chore::Setup => setup(Scope::Everything, true).map(|_| true),
        Chore::Build => {
            let size = build::worker(&setup(Scope::Edge, false)?)?;
            eprintln!("build: the edge worker is {size}");
            Ok(true)
        }
        Chore::Demo(options) => demo::run(&options),
        Chore::Dev(options) => dev::run(options).map(|()| true),
    }
}
