//! `rollback`: the way back from a cutover.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;

use crate::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::migration::merge::Merged;
use crate::migration::swap;
use crate::migration::{Site, media_dir};
use crate::words::counted;

/// Flags of `rollback`.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
    medialift rollback /home/mastodon/live/public/system

To let Mastodon use the local files again, put the old .env.production back too: `medialift env`
kept it beside the new one, as .env.production.medialift-DATE. Files that Mastodon has uploaded to
the bucket since the switch are there only.")]
pub struct RollbackArgs {
    /// The media directory [default: `media_dir` of the configuration]
    pub media_dir: Option<PathBuf>,
    /// Say what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Do it although `prune` has deleted files
    #[arg(long)]
    pub after_prune: bool,
}

#[derive(Debug, Serialize)]
struct Report {
    media_dir: PathBuf,
    dry_run: bool,
    /// Files from the meantime that joined the media.
    merged: Merged,
    /// Where conflicting files are kept.
    conflicts_dir: Option<PathBuf>,
}

/// Runs `rollback`.
pub async fn run(args: RollbackArgs, context: &Context) -> Result<Exit> {
    let site = Site::at(&media_dir(args.media_dir.as_deref(), context)?)?;
    let mut report = Report {
        media_dir: site.live(),
        dry_run: args.dry_run,
        merged: Merged::default(),
        conflicts_dir: None,
    };
    let _lock = site.lock()?;
    if args.dry_run {
        swap::ready_to_return(&site, args.after_prune)?;
        let text = format!(
            "`{}` would become `{}` again",
            site.kept().display(),
            site.live().display()
        );
        context.ui.data(&report, text);
        return Ok(Exit::Done);
    }
    let stamp = time::OffsetDateTime::now_utc().unix_timestamp();
    let conflicts = site.parent.join(format!("{}.conflicts-{stamp}", site.name));
    let back = swap::back(&site, args.after_prune, &conflicts, &mut |_| Ok(()))?;
    report.merged = back.merged;
    report.conflicts_dir = back.conflicts_dir;
    context.ui.data(&report, report.text());
    context
        .ui
        .say("next: put the old `.env.production` back if it was changed, then restart Mastodon");
    Ok(if report.conflicts_dir.is_none() {
        Exit::Done
    } else {
        Exit::Partly
    })
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
