//! `prune`: deletes local files after proving, right before, that the bucket has them.

mod directory;
mod pruner;
mod report;
mod survey;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use self::directory::PruneDirectory;
use self::pruner::Pruner;
use self::report::PruneReport;
use self::survey::{check_missing, count_missing};
use crate::config::TargetArgs;
use crate::context::Context;
use crate::directory_and_bucket::{self, DirectoryAndBucket};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::guards;
use crate::interrupt::Interrupt;
use crate::ledger;
use crate::tree::remove_empty_directories;

/// Flags of `prune`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # See what would be freed (reads every object, deletes nothing)
  medialift prune /home/mastodon/live/public/system --dry-run

  # Free the disk
  medialift prune /home/mastodon/live/public/system

The default proof downloads every object and compares its bytes. `--prove head` compares size and
MD5 only, without a download, and trusts that the bucket can return what it lists. Downloads up to
three times the stored amount a month are free at Backblaze; a download cap may be set (see
`medialift plan`).
Exit codes: 0 every file was deleted, 3 refused: too many objects are missing from the bucket, 4
some files were kept (each is named).")]
pub struct PruneArgs {
    /// The media directory [default: `media_dir` of the settings file]
    pub media_dir: Option<PathBuf>,
    /// Delete below this directory instead of `system_`; paths below it are keys
    #[arg(long, alias = "dir", value_name = "DIR")]
    pub delete_from: Option<PathBuf>,
    /// Delete from the directory that Mastodon uses
    #[arg(long)]
    pub live: bool,
    /// What counts as proof
    #[arg(long, value_enum, default_value_t = Proof::Read)]
    pub prove: Proof,
    /// Prove, and delete nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Maximum number of files outside `cache/` to delete because Mastodon has deleted them in the bucket
    /// [default: a tenth of the files outside `cache/`, at least 20 and at most 1000]
    #[arg(long, value_name = "N")]
    pub max_deleted_in_bucket: Option<u64>,
    /// No Mastodon uses this directory: delete only files that the bucket has
    #[arg(long)]
    pub not_mastodon: bool,
    /// Follow links to directories, as `sync --follow-links` did
    #[arg(long)]
    pub follow_links: bool,
    /// Maximum number of files that are proven at the same time
    #[arg(long, alias = "at-a-time", value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub concurrency: u16,
    /// The bucket.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// What counts as proof that the bucket has a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// The object, downloaded right before, has the file's bytes.
    Read,
    /// The object, looked up right before, has the file's size and MD5.
    Head,
}

/// Runs `prune`.
pub async fn run(args: PruneArgs, context: &Context) -> Result<Exit> {
    let directory = PruneDirectory::find(&args, context)?;
    let target = args.target.resolve(&context.file)?;
    let installation = directory_and_bucket::installation(
        args.not_mastodon,
        &directory.given,
        &target,
        guards::may_prune,
        format!("prune `{}`", directory.resolved.display()),
        context,
    )
    .await?;
    let owner = directory_and_bucket::owner(installation.as_ref());
    let _locks = if args.dry_run {
        Vec::new()
    } else {
        directory.lock()?
    };
    let bucket = target.bucket.clone();
    let client = directory_and_bucket::client(&args.target, target, context)?;
    let root = directory.resolved.clone();
    let media = DirectoryAndBucket::open(client, root, owner, args.follow_links, context)?;
    let mut report = PruneReport::of(&args, &media);
    let interrupt = Interrupt::watch(context.ui, "no more files are deleted")?;
    let outcome = async {
        let Some(missing) = count_missing(&media, &interrupt).await? else {
            return Ok(false);
        };
        check_missing(missing, &args, &bucket)?;
        let progress = media.progress(context.ui)?;
        let pruner = Pruner::new(&args, &media, &directory);
        pruner
            .prune(&mut report, &progress, interrupt.clone(), context)
            .await
    };
    let stopped = match outcome.await {
        Ok(whole) => {
            report.interrupted = !whole;
            None
        }
        Err(e) => Some(e),
    };
    for (name, number) in [
        (ledger::DELETED, report.deleted),
        ("kept", report.kept.count),
    ] {
        context.facts.add(name, number);
    }
    if !args.dry_run && !args.live && stopped.is_none() && !report.interrupted {
        let fail = |e| {
            let directory = report.directory.display();
            Error::new(format!("remove empty directories below `{directory}`")).cause(e)
        };
        report.directories_removed = remove_empty_directories(&media.root).map_err(fail)?;
    }
    report.kept.sort();
    let exit = match (report.interrupted, report.kept.count) {
        (true, _) => Exit::Interrupted,
        (false, 0) => Exit::Done,
        (false, _) => Exit::Partly,
    };
    // Where nothing was done, the error is all there is to report.
    if stopped.is_none() || report.deleted > 0 || context.ui.json {
        context.ui.outcome(exit, &report, report.text());
    }
    stopped.map_or(Ok(exit), Err)
}
