//! `rollback`: the way back from a cutover.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::Context;
use crate::config::TargetArgs;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::guards;
use crate::mastodon::{Installation, Owner, named_media_dir};
use crate::sides::{self, Sides};
use crate::swap::{self, Merged, Phase, Site};
use crate::words::counted;

/// Flags of `rollback`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
    medialift rollback /home/mastodon/live/public/system

To let Mastodon use the local files again, put the old .env.production back too: `medialift env`
can take it back (`medialift env --undo`). Files that Mastodon has uploaded to the bucket since the
switch are there only, and it would not show them from the disk: they are counted, and copying them
into the media directory first is up to you.
Exit codes: 0 all is back, 3 the bucket has media that are not on the disk, 4 back, and some files
are kept twice (each is named).")]
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
    // What has begun is completed.
    if state.phase == Phase::Moved && !args.leave_in_bucket {
        let only_there = only_in_bucket(&args, &site, context).await.map_err(|e| {
            Error::new(format!("tell whether media would be lost from view ({e})"))
                .hint("give the bucket and its key as for `sync`; or add `--leave-in-bucket` to put the media back without looking")
        })?;
        report.only_in_bucket = Some(only_there);
        if only_there > 0 {
            return Err(lost_from_view(&args, &site, only_there));
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
    let back = swap::back(&site, args.after_prune, &conflicts, &mut |_| Ok(()))?;
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

fn lost_from_view(args: &RollbackArgs, site: &Site, only_there: u64) -> Error {
    let objects = counted(only_there, "object is", "objects are");
    let files = if args.after_prune {
        "; those that `prune` deleted are among them"
    } else {
        ""
    };
    Error::new(format!("put `{}` back", site.live().display()))
        .exit(Exit::Problem)
        .cause(format!(
            "{objects} in the bucket and not on the disk{files}: Mastodon would not show them once it uses the disk again"
        ))
        .hint(format!(
            "copy them into `{}` first (`rclone copy`, `b2 sync`), or add `--leave-in-bucket`; nothing was changed",
            site.kept().display()
        ))
}

/// Counts objects that neither directory has.
async fn only_in_bucket(args: &RollbackArgs, site: &Site, context: &Context) -> Result<u64> {
    let target = args.target.resolve(context)?;
    let client = sides::client(&args.target, target, context)?;
    let sides = Sides::open(client, site.kept(), Owner::Bucket, true, context)?;
    let mut pairs = sides.pairs()?;
    let mut only_there = 0;
    while let Some(pair) = pairs.next().await? {
        let is_here = pair.local.is_some() || site.live().join(&pair.path).exists();
        only_there += u64::from(pair.object.is_some() && !is_here);
    }
    Ok(only_there)
}

impl Report {
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
