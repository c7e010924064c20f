//! `rollback`: the way back from a cutover.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::config::TargetArgs;
use crate::context::Context;
use crate::decide::{Compare, Conflict, Decision};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::format::counted;
use crate::guards;
use crate::interrupt::Interrupt;
use crate::mastodon::{Installation, Owner, named_media_dir};
use crate::named::NamedPaths;
use crate::sides::{self, Sides};
use crate::swap::{self, Merged, Phase, Site};

/// Flags of `rollback`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
    medialift rollback /home/mastodon/live/public/system

To let Mastodon use the local files again, put the old .env.production back too: `medialift env`
can take it back (`medialift env --undo`). Files that Mastodon has uploaded to the bucket since the
switch are there only, and it would not show them from the disk: they are counted, and copying them
into the media directory first is up to you. Files that Mastodon has deleted in the bucket since, and
that are still on the disk, would come back: they are counted and named, every one with `--verbose`.
Exit codes: 0 all is back, 3 the bucket has media that are not on the disk, or media that were deleted
there are on it, 4 back, and some files are kept twice (each is named).")]
pub struct RollbackArgs {
    /// The media directory [default: `media_dir` of the configuration]
    pub media_dir: Option<PathBuf>,
    /// Say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Do it although `prune` has deleted files
    #[arg(long)]
    pub after_prune: bool,
    /// Do it although Mastodon has media in the bucket that are not on the disk
    #[arg(long)]
    pub leave_in_bucket: bool,
    /// Do it although Mastodon has deleted media in the bucket that are still on the disk
    #[arg(long)]
    pub with_deleted: bool,
    /// The bucket.
    #[command(flatten)]
    pub target: TargetArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    media_dir: PathBuf,
    dry_run: bool,
    /// Files from the meantime that joined the media.
    merged: Merged,
    /// Where conflicting files are kept.
    conflicts_dir: Option<PathBuf>,
    /// Objects that are in the bucket and on no disk; none where nobody looked.
    only_in_bucket: Option<u64>,
    /// Files whose object Mastodon has deleted, or may have; none where nobody looked.
    deleted_there: Option<NamedPaths>,
}

/// Runs `rollback`.
pub async fn run(args: RollbackArgs, context: &Context) -> Result<Exit> {
    let site = Site::at(&named_media_dir(args.media_dir.as_deref(), &context.file)?)?;
    let mut report = Report {
        media_dir: site.live(),
        dry_run: args.dry_run,
        merged: Merged::default(),
        conflicts_dir: None,
        only_in_bucket: None,
        deleted_there: None,
    };
    let _lock = site.lock()?;
    if !args.dry_run {
        site.remove_unwritten_state();
    }
    let state = swap::ready_to_return(&site, args.after_prune)?;
    // A rollback that was killed may have left no directory there: it is completed all the same.
    if let Ok(installation) = Installation::find(Some(&site.live()), &context.file) {
        let operation = format!("put `{}` back", site.live().display());
        guards::may_rollback(&installation).or_refuse(operation)?;
    }
    let mut interrupt = Interrupt::watch(context.ui, "nothing was changed")?;
    // A rollback that has begun is completed. Where the media never left, nothing comes back.
    let comes_back = state.phase != Phase::Returning && swap::media_are_aside(&site, &state)?;
    if comes_back && !(args.leave_in_bucket && args.with_deleted) {
        let compared = tokio::select! {
            biased;
            () = interrupt.requested() => return Ok(Exit::Interrupted),
            compared = compare(&args, &site, context) => compared,
        };
        let (only_there, deleted_there) = compared.map_err(|e| {
            Error::new(format!("tell what Mastodon would lose from view, or show again ({e})"))
                .hint("give the bucket and its key as for `sync`; or add `--leave-in-bucket --with-deleted` to put the media back without looking")
        })?;
        let kept = site.kept();
        let verdict = guards::may_put_back(&guards::RollbackDifference {
            only_in_bucket: if args.leave_in_bucket { 0 } else { only_there },
            deleted_in_bucket: if args.with_deleted {
                0
            } else {
                deleted_there.count
            },
            after_prune: args.after_prune,
            kept: &kept,
        });
        report.only_in_bucket = Some(only_there);
        report.deleted_there = Some(deleted_there);
        if let Err(refused) = verdict.or_problem(format!("put `{}` back", site.live().display())) {
            context.ui.data(&report, report.refused_text());
            return Err(refused);
        }
    }
    if args.dry_run {
        let text = format!(
            "`{}` would become `{}` again",
            site.kept().display(),
            site.live().display()
        );
        context.ui.outcome(Exit::Done, &report, text);
        return Ok(Exit::Done);
    }
    let stamp = time::OffsetDateTime::now_utc().unix_timestamp();
    let conflicts = site.parent.join(format!("{}.conflicts-{stamp}", site.name));
    if interrupt.is_set() {
        return Ok(Exit::Interrupted);
    }
    interrupt.set_remaining("what was begun is brought to its end");
    let back = tokio::task::spawn_blocking(move || {
        swap::back(&site, args.after_prune, &conflicts, &mut |_| Ok(()))
    });
    let failed = |e| Error::new("put the media back").cause(e);
    let back = back.await.map_err(failed)??;
    report.merged = back.merged;
    report.conflicts_dir = back.conflicts_dir;
    let exit = match report.conflicts_dir {
        None => Exit::Done,
        Some(_) => Exit::Partly,
    };
    context.ui.outcome(exit, &report, report.text());
    context
        .ui
        .say("next: put the old `.env.production` back if it was changed, then restart Mastodon");
    Ok(exit)
}

/// Counts objects that neither directory has, and names files that Mastodon has deleted in the bucket.
async fn compare(args: &RollbackArgs, site: &Site, context: &Context) -> Result<(u64, NamedPaths)> {
    let target = args.target.resolve(&context.file)?;
    let client = sides::client(&args.target, target, context)?;
    let sides = Sides::open(client, site.kept(), Owner::Bucket, true, context)?;
    let mut pairs = sides.pairs()?;
    let (mut only_there, mut deleted_there) = (0, NamedPaths::default());
    while let Some(pair) = pairs.next().await? {
        let is_here = pair.local.is_some() || site.live().join(&pair.path).exists();
        only_there += u64::from(pair.object.is_some() && !is_here);
        let reason = match sides.decide(&pair, Compare::SizeOnly) {
            Decision::DeletedThere => "deleted there",
            Decision::Conflict(Conflict::NoJournal) => {
                "not there, and no journal tells whether Mastodon deleted it"
            }
            _ => continue,
        };
        let shown = pair.path.escape_debug();
        context.ui.detail(format!("{reason}: {shown}"));
        deleted_there.add(pair.path, reason);
    }
    Ok((only_there, deleted_there))
}

impl Report {
    fn refused_text(&self) -> String {
        let deleted = self.deleted_there.iter().filter(|named| named.count > 0);
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
                "\n{} written meanwhile joined them",
                counted(self.merged.moved, "file that was", "files that were")
            ));
        }
        if let Some(kept) = &self.conflicts_dir {
            out.push_str(&format!(
                "\n{} there with other content; what is newer is kept in `{}`:",
                counted(self.merged.conflicts.len() as u64, "was", "were"),
                kept.display()
            ));
            for path in self.merged.conflicts.iter().take(20) {
                out.push_str(&format!("\n  {}", path.display()));
            }
        }
        out
    }
}
