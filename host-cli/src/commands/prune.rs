//! `prune`: deletes local files that the bucket is proven to have, at this moment.

mod place;
mod pruner;
mod report;
mod survey;

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Serialize;

use self::place::Place;
use self::pruner::Pruner;
use self::report::Report;
use self::survey::Survey;
use crate::config::TargetArgs;
use crate::context::Context;
use crate::decide::Compare;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::guards;
use crate::interrupt::Interrupt;
use crate::ledger;
use crate::sides::{self, Sides};
use crate::tree::remove_empty_directories;

/// Flags of `prune`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  See what would be freed (reads every object, deletes nothing):
    medialift prune /home/mastodon/live/public/system --dry-run
  Free the disk:
    medialift prune /home/mastodon/live/public/system

The default proof reads every object back whole and compares its bytes. `--prove head` asks for
size and MD5 only, which costs no download, and trusts that the bucket can give what it lists.
Reading back is a download: Backblaze gives three times the stored amount a month for nothing, and a
download cap may be set (`medialift plan` tells both).
Exit codes: 0 all deleted, 4 some files stay (each is named).")]
pub struct PruneArgs {
    /// The media directory [default: `media_dir` of the configuration]
    pub media_dir: Option<PathBuf>,
    /// Delete below this directory instead of `system_`; its paths are keys as they are
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Delete from the directory that Mastodon uses at this moment
    #[arg(long)]
    pub live: bool,
    /// What counts as proof
    #[arg(long, value_enum, default_value_t = Proof::Read)]
    pub prove: Proof,
    /// Prove, and delete nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Files outside `cache/` that may be deleted since Mastodon has deleted them in the bucket
    /// [default: the lesser of 1000 and a tenth of those that are there, and 20 at least]
    #[arg(long, value_name = "N")]
    pub max_settled: Option<u64>,
    /// There is no Mastodon that uses this directory: delete only what the bucket has
    #[arg(long)]
    pub not_mastodon: bool,
    /// Delete behind links to directories too, as `sync --follow-links` uploaded from there
    #[arg(long)]
    pub follow_links: bool,
    /// Files at a time
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub at_a_time: u16,
    /// The bucket.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// What counts as proof that the bucket has a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Proof {
    /// The object, read whole just now, has the file's bytes.
    Read,
    /// The object, asked for just now, has the file's size and MD5.
    Head,
}

/// Runs `prune`.
pub async fn run(args: PruneArgs, context: &Context) -> Result<Exit> {
    let place = Place::find(&args, context)?;
    let target = args.target.resolve(&context.file)?;
    let installation = sides::installation(
        args.not_mastodon,
        &place.named,
        &target,
        guards::may_prune,
        format!("prune `{}`", place.directory.display()),
        context,
    )
    .await?;
    let owner = sides::owner(installation.as_ref());
    let _locks = if args.dry_run {
        Vec::new()
    } else {
        place.lock()?
    };
    let bucket = target.bucket.clone();
    let client = sides::client(&args.target, target, context)?;
    let directory = place.directory.clone();
    let sides = Sides::open(client, directory, owner, args.follow_links, context)?;
    let mut report = Report::of(&args, &sides);
    let interrupt = Interrupt::watch(context.ui, "no more files are deleted")?;
    let outcome = async {
        let Some(survey) = survey(&sides, &interrupt).await? else {
            return Ok(false);
        };
        survey.check(&args, &bucket)?;
        let progress = sides.progress(context.ui)?;
        let pruner = Pruner::new(&args, &sides, &place);
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
        report.directories_removed = remove_empty_directories(&sides.root).map_err(fail)?;
    }
    report.kept.sort();
    let exit = match (report.interrupted, report.kept.count) {
        (true, _) => Exit::Interrupted,
        (false, 0) => Exit::Done,
        (false, _) => Exit::Partly,
    };
    // A run that ended before it did anything has nothing to report but why.
    if stopped.is_none() || report.deleted > 0 || context.ui.json {
        context.ui.outcome(exit, &report, report.text());
    }
    stopped.map_or(Ok(exit), Err)
}

/// Looks at both sides; none where it was interrupted.
async fn survey(sides: &Sides, interrupt: &Interrupt) -> Result<Option<Survey>> {
    let mut pairs = sides.pairs()?;
    let mut survey = Survey::default();
    while let Some(pair) = pairs.next().await? {
        if interrupt.is_set() {
            return Ok(None);
        }
        survey.add(&pair, sides.decide(&pair, Compare::SizeOnly));
    }
    Ok(Some(survey))
}
