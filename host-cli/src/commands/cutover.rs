//! `cutover`: proves that the bucket has every file, then moves the media aside.

mod compare;
mod report;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;

use self::compare::{Compared, compare, compare_written_since};
use self::report::CutoverReport;
use crate::config::{Deployment, Target, TargetArgs};
use crate::context::Context;
use crate::directory_and_bucket::{self, DirectoryAndBucket};
use crate::error::Result;
use crate::exit::Exit;
use crate::format::quoted;
use crate::guards;
use crate::interrupt::Interrupt;
use crate::mastodon::{Installation, configured_media_dir};
use crate::progress::Progress;
use crate::swap::{self, CutoverResult, MediaPaths};

/// The hint about unproven files that `sync` would not upload.
const NOT_UPLOADED: &str = "check the files that are named above: `sync` would not upload them";

/// Flags of `cutover`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # See whether the bucket has every file, and change nothing
  medialift cutover /home/mastodon/live/public/system --dry-run

  # Move the media aside
  medialift cutover /home/mastodon/live/public/system

A file that Mastodon has deleted in the bucket since it was uploaded does not count as missing; the
number of these files is reported.
Exit codes: 0 moved, 3 refused: files are missing in the bucket or differ there (each is named), 4
moved, and the bucket lacks files that were written during the run (each is named).")]
pub struct CutoverArgs {
    /// The media directory [default: `media_dir` of the settings file]
    pub media_dir: Option<PathBuf>,
    /// Compare, and move nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Continue although some entries cannot be stored in a bucket (links, sockets, names not UTF-8)
    #[arg(long)]
    pub allow_skipped: bool,
    /// Continue although some files are not in the bucket or differ there; nothing is deleted
    #[arg(long)]
    pub allow_unproven: bool,
    /// No Mastodon uses this directory: every file that the bucket lacks counts as missing
    #[arg(long)]
    pub not_mastodon: bool,
    /// Follow links to directories, as `sync --follow-links` did
    #[arg(long)]
    pub follow_links: bool,
    /// Maximum number of files that are read at the same time
    #[arg(long, alias = "readers", value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub concurrency: u16,
    /// The bucket.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// Runs `cutover`.
pub async fn run(args: CutoverArgs, context: &Context) -> Result<Exit> {
    let paths = MediaPaths::of(&configured_media_dir(
        args.media_dir.as_deref(),
        &context.file,
    )?)?;
    let mut report = CutoverReport {
        media_dir: paths.live(),
        kept_dir: paths.kept(),
        dry_run: args.dry_run,
        compared: None,
        cutover: None,
        written_during_comparison: Compared::default(),
        interrupted: false,
    };
    let _lock = paths.lock()?;
    if !args.dry_run {
        paths.remove_unwritten_state();
    }
    let Some(state) = swap::check_cutover(&paths)? else {
        report.cutover = Some(CutoverResult::AlreadyDone);
        let text = "the cutover is complete already: nothing to do";
        context.ui.outcome(Exit::Done, &report, text);
        return Ok(Exit::Done);
    };
    let aside = swap::media_are_aside(&paths, &state)?;
    let target = args.target.resolve(&context.file)?;
    let installation = guarded_installation(&args, &paths, &target, context).await?;
    let client = directory_and_bucket::client(&args.target, target, context)?;
    let root = if aside { paths.kept() } else { paths.live() };
    let owner = directory_and_bucket::owner(installation.as_ref());
    let mut media = DirectoryAndBucket::open(client, root, owner, args.follow_links, context)?;
    let comparison_begin = nanoseconds_now();
    let mut interrupt = Interrupt::watch(context.ui, "nothing was changed")?;
    if !aside {
        let compared = tokio::select! {
            biased;
            () = interrupt.requested() => return Ok(Exit::Interrupted),
            compared = compare_all(&args, &media, context) => compared?,
        };
        let hint = refusal_hint(&args, &compared, &media, context);
        report.compared = Some(compared);
        if hint.is_some() || args.dry_run {
            let exit = hint.as_ref().map_or(Exit::Done, |_| Exit::Problem);
            context.ui.outcome(exit, &report, report.text());
            if let Some(hint) = hint {
                context.ui.say(format!("\nhint: {hint}"));
            }
            return Ok(exit);
        }
    } else if args.dry_run {
        let text = "an interrupted cutover would be completed";
        context.ui.outcome(Exit::Done, &report, text);
        return Ok(Exit::Done);
    }
    // The comparison may have taken hours.
    let installation = guarded_installation(&args, &paths, media.client.target(), context).await?;
    if interrupt.is_set() {
        return Ok(Exit::Interrupted);
    }
    interrupt.set_remaining(
        "the media are moved; files that were written in the meantime are not compared",
    );
    protect_from_git(&paths, context);
    report.cutover = Some(swap::cut_over(&paths, &mut |_| Ok(()))?);
    media.root = paths.kept();
    let compared = tokio::select! {
        biased;
        () = interrupt.requested() => {
            report.interrupted = true;
            Ok(())
        }
        compared = compare_after_move(&args, &media, comparison_begin, &mut report, context) => compared,
    };
    let unproven = report.count(|compared| compared.different.count);
    let skipped = report.count(|compared| compared.not_uploadable.count);
    let exit = if report.interrupted {
        Exit::Interrupted
    } else if unproven > 0 && !args.allow_unproven || skipped > 0 && !args.allow_skipped {
        Exit::Partly
    } else {
        Exit::Done
    };
    context.ui.outcome(exit, &report, report.text());
    compared?;
    if report.interrupted || report.count(|compared| compared.to_send) > 0 {
        context.ui.say(format!(
            "\nhint: the media were moved; upload the missing files with `{}`",
            sync_command(&args, &media, context)
        ));
    } else if unproven > 0 {
        context
            .ui
            .say(format!("\nhint: the media were moved; {NOT_UPLOADED}"));
    }
    if installation.is_some_and(|i| i.deployment == Some(Deployment::Docker)) {
        context.ui.say(
            "next: recreate the containers, which still have the old directory mounted: `docker compose up -d --force-recreate`",
        );
    }
    context.ui.say(
        "next: check that the instance shows its media; `medialift rollback` undoes the cutover, `medialift prune` deletes the local files",
    );
    Ok(exit)
}

/// The installation, where the guard allows the cutover; none where there is no Mastodon.
async fn guarded_installation(
    args: &CutoverArgs,
    paths: &MediaPaths,
    target: &Target,
    context: &Context,
) -> Result<Option<Installation>> {
    directory_and_bucket::installation(
        args.not_mastodon,
        &paths.live(),
        target,
        guards::may_cutover,
        format!("move `{}` aside", paths.live().display()),
        context,
    )
    .await
}

/// The hint where the media must not be moved; none where they may.
fn refusal_hint(
    args: &CutoverArgs,
    compared: &Compared,
    media: &DirectoryAndBucket,
    context: &Context,
) -> Option<String> {
    if compared.different.count > 0 && !args.allow_unproven {
        return Some(if compared.to_send > 0 {
            format!(
                "run `{}`, then this command again; nothing was changed",
                sync_command(args, media, context)
            )
        } else {
            format!(
                "{NOT_UPLOADED}; `--allow-unproven` moves the media aside nevertheless, and deletes nothing"
            )
        });
    }
    (compared.not_uploadable.count > 0 && !args.allow_skipped).then(|| {
        "if Mastodon does not need these entries, add `--allow-skipped`; nothing was changed"
            .to_owned()
    })
}

fn sync_command(args: &CutoverArgs, media: &DirectoryAndBucket, context: &Context) -> String {
    let flags = if args.follow_links {
        " --follow-links"
    } else {
        ""
    };
    format!(
        "medialift{} sync {}{flags}{}",
        context.global_flags(),
        quoted(&media.root.to_string_lossy()),
        args.target.as_flags()
    )
}

/// `git clean -fd` in Mastodon's checkout would delete `system_`.
fn protect_from_git(paths: &MediaPaths, context: &Context) {
    let protected = swap::git::Exclusion::of(&paths.parent, &paths.name)
        .and_then(|exclusion| exclusion.map_or(Ok(()), |exclusion| exclusion.complete()));
    if let Err(e) = protected {
        context.ui.say(format!(
            "note: `{}` could not be added to `.git/info/exclude` ({e}): `git clean -fd` in Mastodon's checkout would delete it",
            paths.kept().display()
        ));
    }
}

async fn compare_all(
    args: &CutoverArgs,
    media: &DirectoryAndBucket,
    context: &Context,
) -> Result<Compared> {
    context.ui.say(format!(
        "comparing every file of `{}` with the bucket",
        media.root.display()
    ));
    let progress = media.progress(context.ui)?;
    let compared = compare(media, args.concurrency.into(), &progress).await?;
    context.facts.add("same", compared.same);
    context
        .facts
        .add("deleted_in_bucket", compared.deleted_in_bucket);
    Ok(compared)
}

/// Compares the files that were written during the first comparison. Compares all files where an earlier
/// run had moved the media and was interrupted.
async fn compare_after_move(
    args: &CutoverArgs,
    media: &DirectoryAndBucket,
    comparison_begin: i64,
    report: &mut CutoverReport,
    context: &Context,
) -> Result<()> {
    if report.compared.is_some() {
        let progress = Progress::begin(context.ui, None, media.client.clone());
        let concurrency = args.concurrency.into();
        report.written_during_comparison =
            compare_written_since(media, comparison_begin, concurrency, &progress).await?;
    } else {
        report.compared = Some(compare_all(args, media, context).await?);
    }
    Ok(())
}

/// Nanoseconds since 1970.
fn nanoseconds_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}
