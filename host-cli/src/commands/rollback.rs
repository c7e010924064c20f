//! `rollback`: undoes a cutover.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::config::TargetArgs;
use crate::context::Context;
use crate::decide::{Compare, Conflict, Decision};
use crate::directory_and_bucket::{self, DirectoryAndBucket};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::format::counted;
use crate::guards;
use crate::interrupt::Interrupt;
use crate::mastodon::{Installation, Owner, configured_media_dir};
use crate::reported::ReportedPaths;
use crate::swap::{self, MediaPaths, Merged, Phase};

/// Flags of `rollback`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Move the media back
  medialift rollback /home/mastodon/live/public/system

To let Mastodon use the local files again, restore the old .env.production too, with
`medialift env --undo`. Files that Mastodon has uploaded since the switch are only in the bucket,
and it would not show them: they are counted; copy them into the media directory first. Files that
Mastodon has deleted in the bucket since the switch, and that are still on the disk, could be read
again: they are counted, and with `--verbose` each is named.
Exit codes: 0 everything was moved back, 3 refused: the bucket has media that are not on the disk,
or the disk has media that Mastodon has deleted, 4 moved back, and of some files both versions were
kept (each is named).")]
pub struct RollbackArgs {
    /// The media directory [default: `media_dir` of the settings file]
    pub media_dir: Option<PathBuf>,
    /// Report what would be done, change nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Roll back although `prune` has deleted files
    #[arg(long)]
    pub after_prune: bool,
    /// Roll back although Mastodon has media in the bucket that are not on the disk
    #[arg(long)]
    pub leave_in_bucket: bool,
    /// Roll back although Mastodon has deleted media in the bucket that are still on the disk
    #[arg(long)]
    pub with_deleted: bool,
    /// The bucket.
    #[command(flatten)]
    pub target: TargetArgs,
}

#[derive(Debug, Serialize)]
struct RollbackReport {
    media_dir: PathBuf,
    dry_run: bool,
    /// What Mastodon wrote after the cutover, merged into the media.
    merged: Merged,
    /// Where conflicting files are kept.
    conflicts_dir: Option<PathBuf>,
    /// Objects without a file on the disk; none where that was not compared.
    only_in_bucket: Option<u64>,
    /// Files whose object Mastodon has deleted, or may have; none where that was not compared.
    deleted_in_bucket: Option<ReportedPaths>,
}

/// Runs `rollback`.
pub async fn run(args: RollbackArgs, context: &Context) -> Result<Exit> {
    let paths = MediaPaths::of(&configured_media_dir(
        args.media_dir.as_deref(),
        &context.file,
    )?)?;
    let mut report = RollbackReport {
        media_dir: paths.live(),
        dry_run: args.dry_run,
        merged: Merged::default(),
        conflicts_dir: None,
        only_in_bucket: None,
        deleted_in_bucket: None,
    };
    let _lock = paths.lock()?;
    if !args.dry_run {
        paths.remove_unwritten_state();
    }
    let state = swap::check_rollback(&paths, args.after_prune)?;
    // A killed rollback may have left no directory: it is completed without this guard.
    if let Ok(installation) = Installation::find(Some(&paths.live()), &context.file) {
        let operation = swap::rollback_operation(&paths);
        guards::may_rollback(&installation).or_refuse(operation)?;
    }
    let mut interrupt = Interrupt::watch(context.ui, "nothing was changed")?;
    // An interrupted rollback is completed without a comparison. Where the media were not moved, no
    // deleted file becomes readable.
    let moves_media = state.phase != Phase::Returning && swap::media_are_aside(&paths, &state)?;
    if moves_media && !(args.leave_in_bucket && args.with_deleted) {
        let compared = tokio::select! {
            biased;
            () = interrupt.requested() => return Ok(Exit::Interrupted),
            compared = compare(&args, &paths, context) => compared,
        };
        let (only_in_bucket, deleted_in_bucket) = compared.map_err(|e| {
            Error::new("compare the disk with the bucket")
                .cause(e)
                .hint("give the bucket and its key as for `sync`; or add `--leave-in-bucket --with-deleted` to move the media back without a comparison")
        })?;
        let kept = paths.kept();
        let verdict = guards::may_put_back(&guards::RollbackDifference {
            only_in_bucket: if args.leave_in_bucket {
                0
            } else {
                only_in_bucket
            },
            deleted_in_bucket: if args.with_deleted {
                0
            } else {
                deleted_in_bucket.count
            },
            after_prune: args.after_prune,
            kept: &kept,
        });
        report.only_in_bucket = Some(only_in_bucket);
        report.deleted_in_bucket = Some(deleted_in_bucket);
        if let Err(refused) = verdict.or_problem(swap::rollback_operation(&paths)) {
            context.ui.data(&report, report.refused_text());
            return Err(refused);
        }
    }
    if args.dry_run {
        let text = format!(
            "`{}` would become `{}` again",
            paths.kept().display(),
            paths.live().display()
        );
        context.ui.outcome(Exit::Done, &report, text);
        return Ok(Exit::Done);
    }
    let stamp = time::OffsetDateTime::now_utc().unix_timestamp();
    let conflicts = paths
        .parent
        .join(format!("{}.conflicts-{stamp}", paths.name));
    if interrupt.is_set() {
        return Ok(Exit::Interrupted);
    }
    interrupt.set_remaining("the rollback is completed first");
    let rolled_back = tokio::task::spawn_blocking(move || {
        swap::roll_back(&paths, args.after_prune, &conflicts, &mut |_| Ok(()))
    });
    let failed = |e| Error::new("move the media back").cause(e);
    let result = rolled_back.await.map_err(failed)??;
    report.merged = result.merged;
    report.conflicts_dir = result.conflicts_dir;
    let exit = match report.conflicts_dir {
        None => Exit::Done,
        Some(_) => Exit::Partly,
    };
    context.ui.outcome(exit, &report, report.text());
    context
        .ui
        .say("next: if `.env.production` was changed, restore it with `medialift env --undo`; then restart Mastodon");
    Ok(exit)
}

/// Counts objects without a file in either directory, and names files that Mastodon has deleted in the
/// bucket.
async fn compare(
    args: &RollbackArgs,
    paths: &MediaPaths,
    context: &Context,
) -> Result<(u64, ReportedPaths)> {
    let target = args.target.resolve(&context.file)?;
    let client = directory_and_bucket::client(&args.target, target, context)?;
    let media = DirectoryAndBucket::open(client, paths.kept(), Owner::Bucket, true, context)?;
    let mut pairs = media.pairs()?;
    let (mut only_in_bucket, mut deleted_in_bucket) = (0, ReportedPaths::default());
    while let Some(pair) = pairs.next().await? {
        let is_here = pair.local.is_some() || paths.live().join(&pair.path).exists();
        only_in_bucket += u64::from(pair.object.is_some() && !is_here);
        let reason = match media.decide(&pair, Compare::SizeOnly) {
            Decision::DeletedInBucket => "deleted in the bucket by Mastodon",
            Decision::Conflict(Conflict::NoJournal) => {
                "not in the bucket, and no journal shows whether Mastodon deleted it"
            }
            _ => continue,
        };
        let shown = pair.path.escape_debug();
        context.ui.detail(format!("{reason}: {shown}"));
        deleted_in_bucket.add(pair.path, reason);
    }
    Ok((only_in_bucket, deleted_in_bucket))
}

impl RollbackReport {
    fn refused_text(&self) -> String {
        let deleted = self
            .deleted_in_bucket
            .iter()
            .filter(|named| named.count > 0);
        let named =
            deleted.map(|named| format!("on the disk, and not in the bucket:\n{}", named.lines()));
        named
            .chain(["the rollback is refused; nothing was changed".to_owned()])
            .collect()
    }

    fn text(&self) -> String {
        let mut out = format!("the media are in `{}` again", self.media_dir.display());
        if self.merged.moved > 0 {
            out.push_str(&format!(
                "\n{} moved there too",
                counted(
                    self.merged.moved,
                    "file written since the cutover was",
                    "files written since the cutover were"
                )
            ));
        }
        if let Some(kept) = &self.conflicts_dir {
            out.push_str(&format!(
                "\n{} with other content; the newer version is in `{}`:",
                counted(
                    self.merged.conflicts.len() as u64,
                    "file existed already",
                    "files existed already"
                ),
                kept.display()
            ));
            for path in self.merged.conflicts.iter().take(20) {
                out.push_str(&format!("\n  {}", path.display()));
            }
        }
        out
    }
}
