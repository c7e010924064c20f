//! The command line: global flags, and one variant for each command.

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

/// The heading of [`Global`]. Each argument has it: `next_help_heading` would apply to later arguments too.
const GLOBAL_HEADING: &str = "Global options";

/// Flags every command takes.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Settings file [default: medialift.toml, if it exists]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "MEDIALIFT_CONFIG",
        help_heading = GLOBAL_HEADING
    )]
    pub config: Option<PathBuf>,
    /// Directory of journals, backups and the ledger of what each command did; the same for every
    /// command [default: `state_dir` of the settings file, else `$XDG_STATE_HOME/medialift`, else
    /// `~/.local/state/medialift`]
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL_HEADING)]
    pub state_dir: Option<PathBuf>,
    /// Print the result as JSON on stdout
    #[arg(long, global = true, help_heading = GLOBAL_HEADING)]
    pub json: bool,
    /// Print errors and the result only
    #[arg(long, short, global = true, conflicts_with = "verbose", help_heading = GLOBAL_HEADING)]
    pub quiet: bool,
    /// Print more detail on stderr
    #[arg(long, short, global = true, help_heading = GLOBAL_HEADING)]
    pub verbose: bool,
}

/// The commands, in the order a migration uses them.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Report what a migration would move, cost and take
    ///
    /// Reads names and sizes of the media tree, and no file content. Needs no bucket and no key; sends
    /// nothing.
    Plan(commands::plan::PlanArgs),
    /// Create the bucket and an application key restricted to it
    Provision(commands::provision::ProvisionArgs),
    /// Check the key, the bucket and the endpoint before anything is moved
    Check(commands::check::CheckArgs),
    /// Copy the media directory into the bucket
    ///
    /// Files that the bucket has already are not uploaded again: after an interruption, run the command
    /// again. Files that cannot be uploaded are named and skipped. Nothing in the bucket is deleted unless
    /// `--delete` is given.
    Sync(Box<commands::sync::SyncArgs>),
    /// Point Mastodon's `.env.production` at the bucket, or check it for mistakes
    ///
    /// Other settings, comments, order, quoting, owner and mode of the file stay as they are. The old
    /// file is kept in the state directory; `--undo` restores it.
    Env(commands::env::EnvArgs),
    /// Check the files domain end to end, as a reader sees it
    Verify(commands::verify::VerifyArgs),
    /// Move the media directory aside once the bucket is proven to have every file
    ///
    /// Reads every local file and compares it with the bucket. Only if the bucket has all of them,
    /// `system` becomes `system_` and an empty `system` with the same owner and mode is created, since
    /// Mastodon does not run without one. Nothing is deleted. After an interruption, run the command again
    /// to complete the cutover, or `medialift rollback` to undo it.
    Cutover(commands::cutover::CutoverArgs),
    /// Move the media directory back after a cutover
    ///
    /// `system_` becomes `system` again. Files that Mastodon wrote into the empty `system` in the meantime
    /// are moved into it. Nothing is overwritten: where both directories have a different file with the
    /// same name, the older one stays in `system`, and the newer one is moved to `system.conflicts-TIME`.
    /// After an interruption, run the command again.
    Rollback(commands::rollback::RollbackArgs),
    /// Delete local files that the bucket is proven to have
    ///
    /// Works on `system_`, which `cutover` has left, unless another directory is named. Each file is
    /// compared with its object right before it is deleted; a file that is not proven stays. Empty
    /// directories are removed. After this, `rollback` no longer restores everything.
    Prune(commands::prune::PruneArgs),
    /// Show which steps of the migration are done, and the command of the next one
    ///
    /// Also reports what has changed since the last step: new local files, settings, the health of the files domain.
    /// Changes nothing.
    Status(commands::status::StatusArgs),
    /// Drop objects from the cache of the files domain
    ///
    /// Sends one request for each object, as Mastodon's cache buster does; with `--everything`, one request
    /// in all.
    Purge(commands::purge::PurgeArgs),
    /// Print a configuration of nginx that serves the files domain from a host of your own
    ///
    /// nginx then replaces the worker: the same rules, from the same settings, for a public bucket. Sends
    /// nothing, and writes no file but the one that `--output` names.
    Nginx(Box<commands::nginx::NginxArgs>),
    /// Print a shell's completion script
    Completions(commands::completions::CompletionsArgs),
    /// Write the man pages
    ///
    /// Writes `medialift.1` and a page for each command into a directory, or prints the first.
    Man(commands::man::ManArgs),
}
