//! `cutover`: proves that the bucket has every file, then moves the media aside.

mod compare;

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Args;
use serde::Serialize;

use self::compare::{Compared, compare, compare_written_since};
use crate::config::{Deployment, Target, TargetArgs};
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::format::{counted, human_bytes, quoted};
use crate::guards;
use crate::interrupt::Interrupt;
use crate::mastodon::{Installation, named_media_dir};
use crate::progress::Progress;
use crate::sides::{self, Sides};
use crate::swap::{self, Cut, Site};

/// What to do about files that are not proven, and that `sync` would not send.
const LOOK: &str =
    "look at these files: `sync` does not send them, since the bucket is Mastodon's now";

/// Flags of `cutover`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  See whether the bucket has every file, and change nothing:
    medialift cutover /home/mastodon/live/public/system --dry-run
  Do it:
    medialift cutover /home/mastodon/live/public/system

What Mastodon has deleted in the bucket since it was uploaded is not missing: it is counted.
Exit codes: 0 moved, 3 the bucket lacks files or has others (each is named, with what to do), 4 moved,
and the bucket lacks files that were written while this ran (each is named).")]
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
    /// There is no Mastodon that uses this directory: whatever the bucket lacks is missing
    #[arg(long)]
    pub not_mastodon: bool,
    /// Compare what is behind links to directories too, as `sync --follow-links` uploaded from there
    #[arg(long)]
    pub follow_links: bool,
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
    /// The comparison after the move did not come to its end.
    interrupted: bool,
}

/// Runs `cutover`.
pub async fn run(args: CutoverArgs, context: &Context) -> Result<Exit> {
    let site = Site::at(&named_media_dir(args.media_dir.as_deref(), &context.file)?)?;
    let mut report = Report {
        media_dir: site.live(),
        kept_dir: site.kept(),
        dry_run: args.dry_run,
        compared: None,
        cutover: None,
        written_meanwhile: Compared::default(),
        interrupted: false,
    };
    let _lock = site.lock()?;
    if !args.dry_run {
        site.remove_unwritten_state();
    }
    let Some(state) = swap::ready_to_cut(&site)? else {
        report.cutover = Some(Cut::AlreadyDone);
        let text = "the cutover has been done before: nothing to do";
        context.ui.outcome(Exit::Done, &report, text);
        return Ok(Exit::Done);
    };
    let aside = swap::media_are_aside(&site, &state)?;
    let target = args.target.resolve(&context.file)?;
    let installation = allowed(&args, &site, &target, context).await?;
    let client = sides::client(&args.target, target, context)?;
    let root = if aside { site.kept() } else { site.live() };
    let owner = sides::owner(installation.as_ref());
    let mut sides = Sides::open(client, root, owner, args.follow_links, context)?;
    let begun = nanoseconds_now();
    let mut interrupt = Interrupt::watch(context.ui, "nothing was changed")?;
    if !aside {
        let compared = tokio::select! {
            biased;
            () = interrupt.requested() => return Ok(Exit::Interrupted),
            compared = compare_all(&args, &sides, context) => compared?,
        };
        let hint = hint(&args, &compared, &sides, context);
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
    let installation = allowed(&args, &site, sides.client.target(), context).await?;
    if interrupt.is_set() {
        return Ok(Exit::Interrupted);
    }
    interrupt.set_remaining("the media are moved, and what was written meanwhile is not compared");
    protect_from_git(&site, context);
    report.cutover = Some(swap::cut(&site, &mut |_| Ok(()))?);
    sides.root = site.kept();
    let looked = tokio::select! {
        biased;
        () = interrupt.requested() => {
            report.interrupted = true;
            Ok(())
        }
        looked = look_again(&args, &sides, begun, &mut report, context) => looked,
    };
    let unproven = report.count(|compared| compared.different.count);
    let skipped = report.count(|compared| compared.not_for_buckets.count);
    let exit = if report.interrupted {
        Exit::Interrupted
    } else if unproven > 0 && !args.allow_unproven || skipped > 0 && !args.allow_skipped {
        Exit::Partly
    } else {
        Exit::Done
    };
    context.ui.outcome(exit, &report, report.text());
    looked?;
    if report.interrupted || report.count(|compared| compared.to_send) > 0 {
        context.ui.say(format!(
            "\nhint: the media were moved all the same; bring what was never uploaded to the bucket with `{}`",
            sync_command(&args, &sides, context)
        ));
    } else if unproven > 0 {
        context
            .ui
            .say(format!("\nhint: the media were moved all the same; {LOOK}"));
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

/// The installation, where it allows that its media are moved; none where there is no Mastodon.
async fn allowed(
    args: &CutoverArgs,
    site: &Site,
    target: &Target,
    context: &Context,
) -> Result<Option<Installation>> {
    sides::installation(
        args.not_mastodon,
        &site.live(),
        target,
        guards::may_cutover,
        format!("move `{}` aside", site.live().display()),
        context,
    )
    .await
}

/// What speaks against moving the media, as what to do about it.
fn hint(
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
                "{LOOK}; `--allow-unproven` moves the media aside all the same, and deletes nothing"
            )
        });
    }
    (compared.not_for_buckets.count > 0 && !args.allow_skipped).then(|| {
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
fn protect_from_git(site: &Site, context: &Context) {
    let protected = swap::git::Exclusion::of(&site.parent, &site.name)
        .and_then(|exclusion| exclusion.map_or(Ok(()), |exclusion| exclusion.complete()));
    if let Err(e) = protected {
        context.ui.say(format!(
            "note: `{}` could not be added to git's exclusions ({e}): `git clean -fd` there would delete it",
            site.kept().display()
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
    context.facts.add("deleted_there", compared.deleted_there);
    Ok(compared)
}

/// Compares what was written while the first comparison ran; all of it where an earlier run, which
/// was interrupted, had moved the media, since nobody knows what was written then.
async fn look_again(
    args: &CutoverArgs,
    sides: &Sides,
    begun: i64,
    report: &mut Report,
    context: &Context,
) -> Result<()> {
    if report.compared.is_some() {
        let progress = Progress::begin(context.ui, None, sides.client.clone());
        let readers = args.readers.into();
        report.written_meanwhile = compare_written_since(sides, begun, readers, &progress).await?;
    } else {
        report.compared = Some(compare_all(args, sides, context).await?);
    }
    Ok(())
}

/// Since 1970.
fn nanoseconds_now() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX))
}

impl Report {
    /// The sum of both comparisons.
    fn count(&self, of: fn(&Compared) -> u64) -> u64 {
        of(&self.written_meanwhile) + self.compared.as_ref().map_or(0, of)
    }

    fn text(&self) -> String {
        let mut out = String::new();
        if let Some(compared) = &self.compared {
            out.push_str(&format!(
                "{} in the bucket ({}), compared by size and MD5\n",
                counted(compared.same, "file is", "files are"),
                human_bytes(compared.bytes)
            ));
            out.push_str(&settled(compared));
            out.push_str(&faults(compared));
        }
        match (
            self.cutover,
            self.count(|compared| compared.different.count),
        ) {
            (Some(_), _) => {
                out.push_str(&format!(
                    "`{}` is empty now; the media are in `{}`",
                    self.media_dir.display(),
                    self.kept_dir.display()
                ));
                out.push_str(&meanwhile(&self.written_meanwhile));
                if self.interrupted {
                    out.push_str("\ninterrupted: what was written meanwhile was not compared");
                }
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
    for more in [settled(written), faults(written)] {
        if !more.is_empty() {
            out.push('\n');
            out.push_str(more.trim_end());
        }
    }
    out
}

/// What the bucket does not have so, and needs no looking after.
fn settled(compared: &Compared) -> String {
    let mut out = String::new();
    for (number, one, many) in [
        (
            compared.deleted_there,
            "was deleted there by Mastodon since it was uploaded",
            "were deleted there by Mastodon since they were uploaded",
        ),
        (
            compared.replaced_there,
            "was replaced there by Mastodon since it was uploaded",
            "were replaced there by Mastodon since they were uploaded",
        ),
        (
            compared.vanished,
            "was gone before its turn",
            "were gone before their turn",
        ),
    ] {
        if number > 0 {
            out.push_str(&format!("{}\n", counted(number, one, many)));
        }
    }
    out
}

/// What the bucket does not have so, by name.
fn faults(compared: &Compared) -> String {
    let mut out = String::new();
    for (list, one, many) in [
        (
            &compared.hidden,
            "is hidden, not in the bucket, and stays on the disk",
            "are hidden, not in the bucket, and stay on the disk",
        ),
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
