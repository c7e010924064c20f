//! The command line: global flags, and one variant a command.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::commands;

/// Moves a Mastodon server's media to a bucket, and proves each step.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, disable_help_subcommand = true)]
pub struct Cli {
    /// Flags every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Flags every command takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Settings file [default: medialift.toml, if there is one]
    #[arg(long, global = true, value_name = "FILE", env = "MEDIALIFT_CONFIG")]
    pub config: Option<PathBuf>,
    /// Print the result as JSON on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Say nothing but errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more
    #[arg(long, short, global = true)]
    pub verbose: bool,
}

/// The commands, in the order a migration uses them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Report what a migration would move, cost and take
    Plan(commands::plan::PlanArgs),
    /// Make the bucket and a key restricted to it
    Provision(commands::provision::ProvisionArgs),
    /// Check the key, the bucket and the endpoint before anything is moved
    Check(commands::check::CheckArgs),
    /// Copy the media directory into the bucket
    Sync(Box<commands::sync::SyncArgs>),
    /// Point Mastodon's `.env.production` at the bucket, or look for mistakes in it
    Env(commands::env::EnvArgs),
    /// Check the files domain end to end, as a reader sees it
    Verify(commands::verify::VerifyArgs),
    /// Move the media aside once the bucket is proven to have every file
    Cutover(commands::cutover::CutoverArgs),
    /// Put the media back after a cutover
    Rollback(commands::rollback::RollbackArgs),
    /// Delete local files that the bucket is proven to have
    Prune(commands::prune::PruneArgs),
    /// Make the files domain forget objects
    Purge(commands::purge::PurgeArgs),
    /// Print a shell's completion script
    Completions(commands::completions::CompletionsArgs),
    /// Write the man pages
    Man(commands::man::ManArgs),
    /// Report the version of this build
    #[command(hide = true)]
    Version(commands::version::VersionArgs),
}
