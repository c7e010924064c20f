//! `medialift`: the host command. The modules are in groups, and the groups in reading order.
//!
//! `main` parses the command line and owns the exit code; all else is in this library, where tests
//! reach it.

use clap::CommandFactory as _;

// The command line, and a module for each command.
pub mod cli;
pub mod commands;

// What most commands use.
pub mod config;
pub mod context;
pub mod error;
pub mod exit;
pub mod findings;
mod format;
pub mod interrupt;
pub mod progress;
pub mod ui;

// The Mastodon installation, what was done to it, and what may be done.
mod attributes;
pub mod guards;
#[cfg(test)]
mod histories;
pub mod identity;
pub mod ledger;
pub mod mastodon;
mod recording;

// Directory and bucket: joined, compared, sent, proven, exchanged.
pub mod decide;
mod directory_and_bucket;
pub mod filter;
pub mod journal;
pub mod pairs;
pub mod prove;
pub mod reported;
pub mod swap;
pub mod sync;
pub mod tree;
pub mod upload;

// The services and files on the other side: Backblaze, the files domain, `.env.production`, nginx.
pub mod b2;
pub mod dotenv;
pub mod nginx;
pub mod s3;
mod transport;
pub mod verify;
pub mod web;

use self::context::Context;

/// Runs one parsed command line.
pub async fn run(cli: cli::Cli, ui: ui::Ui) -> error::Result<exit::Exit> {
    let file = config::File::load(cli.global.config.as_deref())?;
    let context = Context {
        ui,
        file,
        config: cli.global.config,
        state_dir: cli.global.state_dir,
        facts: ledger::Facts::default(),
    };
    let recording = recording::Recording::begin(&cli.command, &context);
    let result = dispatch(cli.command, &context).await;
    if let Some(recording) = recording {
        recording.end(&result, &context);
    }
    result
}

async fn dispatch(command: cli::Command, context: &Context) -> error::Result<exit::Exit> {
    match command {
        cli::Command::Plan(args) => commands::plan::run(args, context).await,
        cli::Command::Provision(args) => commands::provision::run(args, context).await,
        cli::Command::Check(args) => commands::check::run(args, context).await,
        cli::Command::Sync(args) => commands::sync::run(*args, context).await,
        cli::Command::Env(args) => commands::env::run(args, context).await,
        cli::Command::Verify(args) => commands::verify::run(args, context).await,
        cli::Command::Cutover(args) => commands::cutover::run(args, context).await,
        cli::Command::Rollback(args) => commands::rollback::run(args, context).await,
        cli::Command::Prune(args) => commands::prune::run(args, context).await,
        cli::Command::Status(args) => commands::status::run(args, context).await,
        cli::Command::Purge(args) => commands::purge::run(args, context).await,
        cli::Command::Nginx(args) => commands::nginx::run(*args, context).await,
        cli::Command::Completions(args) => {
            commands::completions::run(args, cli::Cli::command(), context).await
        }
        cli::Command::Man(args) => commands::man::run(args, cli::Cli::command(), context).await,
    }
}
