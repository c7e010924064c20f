//! `cargo xtask …`: every chore of this repository.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use xtask::setup::{Scope, setup};

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
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = xtask::process::end_children_on_interrupt().and_then(|()| match arguments.chore {
        Chore::Setup => setup(Scope::Everything, true).map(|_| ()),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
