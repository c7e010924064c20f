//! `prune`: deletes local files that the bucket is proven to have, at this moment.

mod place;

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueEnum};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;

use crate::Context;
use crate::config::TargetArgs;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::migration::compare::{NamedPaths, entries, key};
use crate::migration::progress::Progress;
use crate::migration::proof::{self, ReadError, Verdict};
use crate::migration::tree::{Entry, Kind, remove_empty_directories};
use crate::s3::{Client, S3Error};
use crate::words::{counted, human_bytes};
use place::Place;

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

#[derive(Debug, Serialize)]
struct Report {
    directory: PathBuf,
    proof: Proof,
    dry_run: bool,
    /// Files that were deleted, or would be.
    deleted: u64,
    /// Their bytes.
    bytes: u64,
    /// What the disk got back: less than `bytes` where files have other hard links.
    freed: u64,
    directories_removed: u64,
    /// What stays, and why.
    kept: NamedPaths,
    interrupted: bool,
}

/// Runs `prune`.
pub async fn run(args: PruneArgs, context: &Context) -> Result<Exit> {
    let place = Place::find(&args, context)?;
    let _locks = if args.dry_run {
        Vec::new()
    } else {
        place.lock()?
    };
    let client = super::cutover::client(&args.target, context)?;
    let directory = &place.directory;
    let mut report = Report {
        directory: directory.clone(),
        proof: args.prove,
        dry_run: args.dry_run,
        deleted: 0,
        bytes: 0,
        freed: 0,
        directories_removed: 0,
        kept: NamedPaths::default(),
        interrupted: false,
    };
    let stopped = prune(&args, &client, &place, &mut report, context).await;
    if !args.dry_run && !args.live && stopped.is_ok() && !report.interrupted {
        let fail = |e| {
            Error::new(format!(
                "remove empty directories below `{}`",
                directory.display()
            ))
            .cause(e)
        };
        report.directories_removed = remove_empty_directories(directory).map_err(fail)?;
    }
    report.kept.sort();
    context.ui.data(&report, report.text());
    stopped?;
    Ok(match (report.interrupted, report.kept.count) {
        (true, _) => Exit::Interrupted,
        (false, 0) => Exit::Done,
        (false, _) => Exit::Partly,
    })
}

async fn prune(
    args: &PruneArgs,
    client: &Client,
    place: &Place,
    report: &mut Report,
    context: &Context,
) -> Result<()> {
    let directory = &place.directory;
    let mut walk = entries(directory.clone());
    let mut progress = Progress::begin(context.ui, directory, "looked at");
    let mut running = FuturesUnordered::new();
    let interrupted = tokio::signal::ctrl_c();
    tokio::pin!(interrupted);
    let mut ended = false;
    while !(ended && running.is_empty()) {
        tokio::select! {
            biased;
            _ = &mut interrupted => {
                report.interrupted = true;
                return Ok(());
            }
            Some(outcome) = running.next(), if !running.is_empty() => {
                let (entry, fate): (Entry, Fate) = outcome;
                progress.done(entry.stamp.size);
                note(&entry, fate, report, context)?;
            }
            entry = walk.recv(), if !ended && running.len() < usize::from(args.at_a_time) => {
                match entry {
                    None => ended = true,
                    Some(Err(e)) => {
                        return Err(Error::new(format!("read `{}`", directory.display())).cause(e));
                    }
                    Some(Ok(entry)) => running.push(one(args, client, place, entry)),
                }
            }
        }
    }
    Ok(())
}

/// What became of one entry.
enum Fate {
    Deleted,
    Kept(String),
    /// No other entry will fare better: the key, the bucket or a cap, or the state file.
    Stop(Error),
}

/// Proves one file and deletes it. Nothing lies between the proof and the deletion but, before the
/// first, the mark in the state file, and a last look whether the file is still the one that was
/// proven.
async fn one(args: &PruneArgs, client: &Client, place: &Place, entry: Entry) -> (Entry, Fate) {
    let fate = match prove(client, &entry, args.prove).await {
        Ok(Verdict::Same) if args.dry_run => Fate::Deleted,
        Ok(Verdict::Same) => delete(place, &entry),
        Ok(Verdict::Differs(reason)) => Fate::Kept(reason),
        Ok(Verdict::Unclear) => {
            Fate::Kept("its ETag is of a multipart upload; `--prove read` can tell".to_owned())
        }
        Err(fate) => fate,
    };
    (entry, fate)
}

fn delete(place: &Place, entry: &Entry) -> Fate {
    if let Err(e) = place.mark() {
        return Fate::Stop(e);
    }
    match entry.remove() {
        Ok(()) => Fate::Deleted,
        Err(e) => Fate::Kept(format!("it cannot be deleted: {e}")),
    }
}

async fn prove(client: &Client, entry: &Entry, proof: Proof) -> Result<Verdict, Fate> {
    match &entry.kind {
        Kind::File => {}
        Kind::Special(what) => return Err(Fate::Kept((*what).to_owned())),
        Kind::Unreadable(why) => return Err(Fate::Kept(why.clone())),
    }
    let stop = |e: S3Error| {
        Fate::Stop(e.into_error(format!("prove that the bucket has `{}`", entry.shown())))
    };
    let local = |e: std::io::Error| Fate::Kept(format!("it cannot be read here: {e}"));
    let key = key(client, entry).map_err(|reason| Fate::Kept(reason.to_owned()))?;
    let file = Arc::new(entry.open().map_err(local)?);
    let size = entry.stamp.size;
    match proof {
        Proof::Read => proof::by_reading(client, &key, file, size)
            .await
            .map_err(|e| match e {
                ReadError::Service(e) if stops_the_run(&e) => stop(e),
                other => Fate::Kept(other.to_string()),
            }),
        Proof::Head => match client.head_object(&key).await {
            Ok(head) => proof::by_etag(file, size, head.size, head.etag)
                .await
                .map_err(local),
            Err(e) if e.is_not_found() => {
                Ok(Verdict::Differs("the bucket does not have it".to_owned()))
            }
            Err(e) if stops_the_run(&e) => Err(stop(e)),
            Err(e) => Err(Fate::Kept(ReadError::Service(e).to_string())),
        },
    }
}

/// A single object may be refused with 403; a key, a bucket or an endpoint that is wrong says so
/// in another way.
fn stops_the_run(error: &S3Error) -> bool {
    let one_object = error.status().is_some_and(|s| s.as_u16() == 403)
        && matches!(
            error.code(),
            None | Some("AccessDenied" | "InvalidObjectState")
        );
    error.ends_the_run() && !one_object
}

fn note(entry: &Entry, fate: Fate, report: &mut Report, context: &Context) -> Result<()> {
    match fate {
        Fate::Deleted => {
            report.deleted += 1;
            report.bytes += entry.stamp.size;
            report.freed += entry.frees;
            let verb = if report.dry_run {
                "would delete"
            } else {
                "deleted"
            };
            context.ui.detail(format!("{verb} {}", entry.shown()));
        }
        Fate::Kept(reason) => {
            context
                .ui
                .detail(format!("kept {}: {reason}", entry.shown()));
            report.kept.add(entry.shown(), reason);
        }
        Fate::Stop(e) => return Err(e),
    }
    Ok(())
}

impl Report {
    fn text(&self) -> String {
        let proven = match self.proof {
            Proof::Read => "read back from the bucket and compared",
            Proof::Head => "compared with the bucket by size and MD5",
        };
        let verb = if self.dry_run {
            "would be deleted"
        } else {
            "deleted"
        };
        let each = if self.deleted == 1 { "" } else { "each " };
        let mut out = format!(
            "{} ({}) {verb}, {each}{proven}\n",
            counted(self.deleted, "file", "files"),
            human_bytes(self.bytes)
        );
        if self.kept.count > 0 {
            out.push_str(&format!(
                "{}:\n{}",
                counted(
                    self.kept.count,
                    "is not proven and stays",
                    "are not proven and stay"
                ),
                self.kept.lines()
            ));
        }
        if self.interrupted {
            out.push_str("interrupted; the next run goes on\n");
        }
        if !self.dry_run {
            out.push_str(&format!(
                "freed {} in `{}`, and removed {}",
                human_bytes(self.freed),
                self.directory.display(),
                counted(
                    self.directories_removed,
                    "empty directory",
                    "empty directories"
                )
            ));
        }
        out
    }
}
