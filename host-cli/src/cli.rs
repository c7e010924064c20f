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
    /// Where journals, backups and the record of what was done are kept; the same for every command
    /// [default: `state_dir` of the configuration, else `$XDG_STATE_HOME/medialift`, else
    /// `~/.local/state/medialift`]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
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
    ///
    /// Reads the media tree's names and sizes, and no file. Needs no bucket and no key; nothing is
    /// sent.
    Plan(commands::plan::PlanArgs),
    /// Make the bucket and a key restricted to it
    Provision(commands::provision::ProvisionArgs),
    /// Check the key, the bucket and the endpoint before anything is moved
    Check(commands::check::CheckArgs),
    /// Copy the media directory into the bucket
    ///
    /// What is in the bucket already is never sent again, so a run that was interrupted is simply
    /// started again. Files that cannot be uploaded are named and passed over. Nothing in the bucket
    /// is deleted unless `--delete` is given.
    Sync(Box<commands::sync::SyncArgs>),
    /// Point Mastodon's `.env.production` at the bucket, or look for mistakes in it
    ///
    /// Settings, comments, order, quoting, owner and mode of everything else stay as they are. The
    /// old file is kept in the state directory; `--undo` takes the change back.
    Env(commands::env::EnvArgs),
    /// Check the files domain end to end, as a reader sees it
    Verify(commands::verify::VerifyArgs),
    /// Move the media aside once the bucket is proven to have every file
    ///
    /// Reads every local file and compares it with the bucket. Only if all are there, `system` becomes
    /// `system_` and an empty `system` with the same owner and mode takes its place, since Mastodon
    /// does not run without one. Nothing is deleted. If it is interrupted, run it again to complete
    /// it, or `medialift rollback` to undo it.
    Cutover(commands::cutover::CutoverArgs),
    /// Put the media back after a cutover
    ///
    /// `system_` becomes `system` again. What Mastodon wrote into the new `system` in the meantime
    /// joins it; nothing is overwritten: where both have something different, the old one stays in
    /// its place and the newer one is kept in a directory beside it. If it is interrupted, run it
    /// again.
    Rollback(commands::rollback::RollbackArgs),
    /// Delete local files that the bucket is proven to have
    ///
    /// Works on `system_`, what a cutover put aside, unless told otherwise. Each file is compared with
    /// its object on its own, right before it is deleted; a file that is not proven stays. Empty
    /// directories are removed. After this, `rollback` no longer brings everything back.
    Prune(commands::prune::PruneArgs),
    /// Show which steps of the migration are done, and the command of the next one
    ///
    /// Tells what has changed since: new local files, settings, the health of the files domain.
    /// Changes nothing.
    Status(commands::status::StatusArgs),
    /// Make the files domain forget objects
    ///
    /// Sends one request for each object, as Mastodon's cache buster does.
    Purge(commands::purge::PurgeArgs),
    /// Print the proxy as a configuration of nginx, for a host of your own
    ///
    /// For whoever wants no worker: the same rules, from the same settings, for a public bucket. Sends
    /// nothing and changes nothing but the file that `--output` names.
    Nginx(Box<commands::nginx::NginxArgs>),
    /// Print a shell's completion script
    Completions(commands::completions::CompletionsArgs),
    /// Write the man pages
    ///
    /// Writes `medialift.1` and a page for each command into a directory, or prints the first.
    Man(commands::man::ManArgs),
    /// Report the version of this build
    #[command(hide = true)]
    Version(commands::version::VersionArgs),
}
