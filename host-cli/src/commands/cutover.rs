//! `cutover`: proves that the bucket has every file, then moves the media aside.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;

use crate::Context;
use crate::config::TargetArgs;
use crate::error::Result;
use crate::exit::Exit;
use crate::migration::compare::{Compared, compare, compare_written_since};
use crate::migration::progress::Progress;
use crate::migration::swap::{self, Cut};
use crate::migration::{Site, media_dir};
use crate::s3::Client;
use crate::words::{counted, human_bytes, quoted};

/// Flags of `cutover`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  See whether the bucket has every file, and change nothing:
    medialift cutover /home/mastodon/live/public/system --dry-run
  Do it:
    medialift cutover /home/mastodon/live/public/system

Exit codes: 0 moved, 3 the bucket lacks files (run `medialift sync`, then this again), 4 moved, and
the bucket lacks files that were written while this ran (each is named).")]
pub struct CutoverArgs {
    /// The media directory [default: `media_dir` of the configuration]
    pub media_dir: Option<PathBuf>,
    /// Compare, and move nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Go on although some entries cannot be in a bucket (links, sockets, names not UTF-8)
    #[arg(long)]
    pub allow_skipped: bool,
    /// Files that are read at a time
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub readers: u16,
    /// The bucket.
    #[command(flatten)]
    pub target: TargetArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    media_dir: PathBuf,
    kept_dir: PathBuf,
    dry_run: bool,
    /// Before the move; after it, where an earlier run had moved the media already.
    compared: Option<Compared>,
    /// What was done about the directories; none when nothing was.
    cutover: Option<Cut>,
    /// Files that were written while the comparison ran, compared after the move.
    written_meanwhile: Compared,
}

/// Runs `cutover`.
pub async fn run(args: CutoverArgs, context: &Context) -> Result<Exit> {
    let site = Site::at(&media_dir(args.media_dir.as_deref(), context)?)?;
    let mut report = Report {
        media_dir: site.live(),
        kept_dir: site.kept(),
        dry_run: args.dry_run,
        compared: None,
        cutover: None,
        written_meanwhile: Compared::default(),
    };
    let _lock = site.lock()?;
    let Some(state) = swap::ready_to_cut(&site)? else {
        report.cutover = Some(Cut::AlreadyDone);
        context
            .ui
            .data(&report, "the cutover has been done before: nothing to do");
        return Ok(Exit::Done);
    };
    let begun = nanoseconds_now();
    if !swap::media_are_aside(&site, &state)? {
        let compared = compare_all(&args, &site.live(), context).await?;
        let skipped = compared.not_for_buckets.count > 0 && !args.allow_skipped;
        let refused = compared.different.count > 0 || skipped;
        report.compared = Some(compared);
        if refused || args.dry_run {
            context.ui.data(&report, report.text());
            if !refused {
                return Ok(Exit::Done);
            }
            context.ui.say(if skipped && report.different() == 0 {
                "\nhint: these cannot be in a bucket; if nothing needs them, add `--allow-skipped`"
            } else {
                "\nhint: run `medialift sync`, then this again; nothing was changed"
            });
            return Ok(Exit::Problem);
        }
    } else if args.dry_run {
        context
            .ui
            .data(&report, "an interrupted cutover would be completed");
        return Ok(Exit::Done);
    }
    report.cutover = Some(swap::cut(&site, &mut |_| Ok(()))?);
    let looked = look_again(&args, &site.kept(), begun, &mut report, context).await;
    context.ui.data(&report, report.text());
    looked?;
    let missing = report.different() > 0;
    if missing {
        context.ui.say(format!(
            "\nhint: the media were moved all the same; bring these to the bucket with `medialift{} sync {}{}`",
            context.config_flag(),
            quoted(&site.kept().to_string_lossy()),
            args.target.as_flags()
        ));
    }
    context.ui.say(
        "next: look at the instance; `medialift rollback` is the way back, `medialift prune` frees the disk",
    );
    Ok(if missing { Exit::Partly } else { Exit::Done })
}

async fn compare_all(args: &CutoverArgs, root: &Path, context: &Context) -> Result<Compared> {
    let client = client(&args.target, context)?;
    context.ui.say(format!(
        "comparing every file of `{}` with the bucket",
        root.display()
    ));
    let mut progress = Progress::begin(context.ui, root, "compared");
    compare(&client, root, args.readers.into(), &mut progress).await
}

/// Compares what was written while the first comparison ran; all of it where an earlier run, which
/// was interrupted, had moved the media, since nobody knows what was written then.
async fn look_again(
    args: &CutoverArgs,
    kept: &Path,
    begun: i128,
    report: &mut Report,
    context: &Context,
) -> Result<()> {
    if report.compared.is_some() {
        let client = client(&args.target, context)?;
        report.written_meanwhile = compare_written_since(&client, kept, begun).await?;
    } else {
        report.compared = Some(compare_all(args, kept, context).await?);
    }
    Ok(())
}

/// A client of the flags' bucket with the key that is found.
pub(super) fn client(target: &TargetArgs, context: &Context) -> Result<Client> {
    let resolved = target.resolve(context)?;
    let credentials = target.credentials(context)?;
    let operation = format!("prepare requests to `{resolved}`");
    Client::new(resolved, &credentials).map_err(|e| e.into_error(operation))
}

fn nanoseconds_now() -> i128 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i128::try_from(d.as_nanos()).unwrap_or(i128::MAX))
}

impl Report {
    fn different(&self) -> u64 {
        self.written_meanwhile.different.count
            + self.compared.as_ref().map_or(0, |c| c.different.count)
    }

    fn text(&self) -> String {
        let mut out = String::new();
        if let Some(compared) = &self.compared {
            out.push_str(&format!(
                "{} in the bucket ({}), compared by size and MD5\n",
                counted(compared.same, "file is", "files are"),
                human_bytes(compared.bytes)
            ));
            out.push_str(&faults(compared));
        }
        match (self.cutover, self.different()) {
            (Some(_), _) => {
                out.push_str(&format!(
                    "`{}` is empty now; the media are in `{}`",
                    self.media_dir.display(),
                    self.kept_dir.display()
                ));
                out.push_str(&meanwhile(&self.written_meanwhile));
            }
            (None, 0) if self.dry_run => out.push_str(&format!(
                "`{}` would become `{}`",
                self.media_dir.display(),
                self.kept_dir.display()
            )),
            (None, _) => out.push_str("the cutover is refused; nothing was changed"),
        }
        out
    }
}

/// What became of the files that came while the comparison ran.
fn meanwhile(written: &Compared) -> String {
    if written.total() == 0 {
        return String::new();
    }
    let mut out = format!(
        "\n{} written while this ran: {} in the bucket",
        counted(written.total(), "file was", "files were"),
        counted(written.same, "is", "are")
    );
    let faults = faults(written);
    if !faults.is_empty() {
        out.push('\n');
        out.push_str(faults.trim_end());
    }
    out
}

/// What is not in the bucket, by name.
fn faults(compared: &Compared) -> String {
    let mut out = String::new();
    for (list, one, many) in [
        (
            &compared.different,
            "is not, or differs",
            "are not, or differ",
        ),
        (
            &compared.not_for_buckets,
            "cannot be in a bucket",
            "cannot be in a bucket",
        ),
    ] {
        if list.count > 0 {
            let what = counted(list.count, one, many);
            out.push_str(&format!("{what}:\n{}", list.lines()));
        }
    }
    out
}
