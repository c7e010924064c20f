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
use crate::error::Result;
use crate::exit::Exit;
use crate::format::quoted;
use crate::guards;
use crate::interrupt::Interrupt;
use crate::mastodon::{Installation, named_media_dir};
use crate::progress::Progress;
use crate::sides::{self, Sides};
use crate::swap::{self, CutoverResult, MediaPaths};

/// The hint about unproven files that `sync` would not send.
const NOT_SENT: &str =
    "look at these files: `sync` does not send them, because Mastodon now owns the bucket";

/// Flags of `cutover`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  See whether the bucket has every file, and change nothing:
    medialift cutover /home/mastodon/live/public/system --dry-run
  Do it:
    medialift cutover /home/mastodon/live/public/system

A file that Mastodon has deleted in the bucket since it was uploaded is not missing: it is counted.
Exit codes: 0 moved, 3 refused: files are missing in the bucket or differ there (each is named), 4
moved, and the bucket lacks files that were written during the run (each is named).")]
pub struct CutoverArgs {
    /// The media directory [default: `media_dir` of the configuration]
    pub media_dir: Option<PathBuf>,
    /// Compare, and move nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Go on although some entries cannot be in a bucket (links, sockets, names not UTF-8)
    #[arg(long)]
    pub allow_skipped: bool,
    /// Go on although some files are not in the bucket or differ there; nothing is deleted
    #[arg(long)]
    pub allow_unproven: bool,
    /// No Mastodon uses this directory: every file that the bucket lacks is missing
    #[arg(long)]
    pub not_mastodon: bool,
    /// Follow links to directories, as `sync --follow-links` did
    #[arg(long)]
    pub follow_links: bool,
    /// Files that are read at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub readers: u16,
    /// The bucket.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// Runs `cutover`.
pub async fn run(args: CutoverArgs, context: &Context) -> Result<Exit> {
    let paths = MediaPaths::of(&named_media_dir(args.media_dir.as_deref(), &context.file)?)?;
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
        let text = "the cutover has been done before: nothing to do";
        context.ui.outcome(Exit::Done, &report, text);
        return Ok(Exit::Done);
    };
    let aside = swap::media_are_aside(&paths, &state)?;
    let target = args.target.resolve(&context.file)?;
    let installation = guarded_installation(&args, &paths, &target, context).await?;
    let client = sides::client(&args.target, target, context)?;
    let root = if aside { paths.kept() } else { paths.live() };
    let owner = sides::owner(installation.as_ref());
    let mut sides = Sides::open(client, root, owner, args.follow_links, context)?;
    let comparison_begin = nanoseconds_now();
    let mut interrupt = Interrupt::watch(context.ui, "nothing was changed")?;
    if !aside {
        let compared = tokio::select! {
            biased;
            () = interrupt.requested() => return Ok(Exit::Interrupted),
            compared = compare_all(&args, &sides, context) => compared?,
        };
        let hint = refusal_hint(&args, &compared, &sides, context);
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
    let installation = guarded_installation(&args, &paths, sides.client.target(), context).await?;
    if interrupt.is_set() {
        return Ok(Exit::Interrupted);
    }
    interrupt.set_remaining("the media are moved, and what was written meanwhile is not compared");
    protect_from_git(&paths, context);
    report.cutover = Some(swap::cut_over(&paths, &mut |_| Ok(()))?);
    sides.root = paths.kept();
    let compared = tokio::select! {
        biased;
        () = interrupt.requested() => {
            report.interrupted = true;
            Ok(())
        }
        compared = compare_after_move(&args, &sides, comparison_begin, &mut report, context) => compared,
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
            "\nhint: the media were moved all the same; upload what is missing with `{}`",
            sync_command(&args, &sides, context)
        ));
    } else if unproven > 0 {
        context.ui.say(format!(
            "\nhint: the media were moved all the same; {NOT_SENT}"
        ));
    }
    if installation.is_some_and(|i| i.deployment == Some(Deployment::Docker)) {
        context.ui.say(
            "next: containers still have the old directory mounted: `docker compose up -d --force-recreate`",
        );
    }
    context.ui.say(
        "next: look at the instance; `medialift rollback` is the way back, `medialift prune` frees the disk",
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
    sides::installation(
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
    sides: &Sides,
    context: &Context,
) -> Option<String> {
    if compared.different.count > 0 && !args.allow_unproven {
        return Some(if compared.to_send > 0 {
            format!(
                "run `{}`, then this again; nothing was changed",
                sync_command(args, sides, context)
            )
        } else {
            format!(
                "{NOT_SENT}; `--allow-unproven` moves the media aside all the same, and deletes nothing"
            )
        });
    }
    (compared.not_uploadable.count > 0 && !args.allow_skipped).then(|| {
        "these cannot be in a bucket; if nothing needs them, add `--allow-skipped`".to_owned()
    })
}

fn sync_command(args: &CutoverArgs, sides: &Sides, context: &Context) -> String {
    let flags = if args.follow_links {
        " --follow-links"
    } else {
        ""
    };
    format!(
        "medialift{} sync {}{flags}{}",
        context.global_flags(),
        quoted(&sides.root.to_string_lossy()),
        args.target.as_flags()
    )
}

/// `git clean -fd` in Mastodon's checkout would delete `system_`.
fn protect_from_git(paths: &MediaPaths, context: &Context) {
    let protected = swap::git::Exclusion::of(&paths.parent, &paths.name)
        .and_then(|exclusion| exclusion.map_or(Ok(()), |exclusion| exclusion.complete()));
    if let Err(e) = protected {
        context.ui.say(format!(
            "note: `{}` could not be added to git's exclusions ({e}): `git clean -fd` there would delete it",
            paths.kept().display()
        ));
    }
}

async fn compare_all(args: &CutoverArgs, sides: &Sides, context: &Context) -> Result<Compared> {
    context.ui.say(format!(
        "comparing every file of `{}` with the bucket",
        sides.root.display()
    ));
    let progress = sides.progress(context.ui)?;
    let compared = compare(sides, args.readers.into(), &progress).await?;
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
    sides: &Sides,
    comparison_begin: i64,
    report: &mut CutoverReport,
    context: &Context,
) -> Result<()> {
    if report.compared.is_some() {
        let progress = Progress::begin(context.ui, None, sides.client.clone());
        let readers = args.readers.into();
        report.written_during_comparison =
            compare_written_since(sides, comparison_begin, readers, &progress).await?;
    } else {
        report.compared = Some(compare_all(args, sides, context).await?);
    }
    Ok(())
}

/// Nanoseconds since 1970.
fn nanoseconds_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}
