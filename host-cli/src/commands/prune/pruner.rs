//! Proves each file on its own and deletes it right after.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Mutex;

use super::place::Place;
use super::report::Report;
use super::{Proof, PruneArgs};
use crate::context::Context;
use crate::decide::Compare;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::pairs::Pair;
use crate::progress::Progress;
use crate::prove::{self, Basis, ReadError, Verdict};
use crate::s3::{ObjectHead, S3Error};
use crate::sides::Sides;
use crate::tree::{Entry, LocalFile, SkipReason};

/// So many files in a row that the bucket refused to answer for end the run.
const HOPELESS_AFTER: u32 = 16;

/// Files of one inode are handled one after the other: deleting a name changes the others' stamp.
const LINK_LOCKS: usize = 64;

/// Proves and deletes.
pub(super) struct Pruner<'a> {
    args: &'a PruneArgs,
    sides: &'a Sides,
    place: &'a Place,
    linked: [Mutex<()>; LINK_LOCKS],
}

/// What became of one entry.
pub(super) enum Fate {
    Deleted {
        settled: bool,
        freed: u64,
    },
    Vanished,
    Kept(String),
    /// The bucket refused to answer for this file.
    Refused(Box<S3Error>),
    /// No other entry will fare better: the key, the bucket or a cap, or the state file.
    Stop(Error),
}

impl<'a> Pruner<'a> {
    pub(super) fn new(args: &'a PruneArgs, sides: &'a Sides, place: &'a Place) -> Self {
        Pruner {
            args,
            sides,
            place,
            linked: std::array::from_fn(|_| Mutex::new(())),
        }
    }

    /// Whether it came to its end; false where it was interrupted.
    pub(super) async fn prune(
        &self,
        report: &mut Report,
        progress: &Progress,
        mut interrupt: Interrupt,
        context: &Context,
    ) -> Result<bool> {
        let mut pairs = self.sides.pairs()?;
        let mut running = FuturesUnordered::new();
        let mut ended = false;
        let mut refused_in_a_row = 0;
        while !(ended && running.is_empty()) {
            tokio::select! {
                biased;
                () = interrupt.requested() => return Ok(false),
                Some((pair, fate)) = running.next(), if !running.is_empty() => {
                    progress.done(local_size(&pair));
                    refused_in_a_row = match &fate {
                        Fate::Refused(_) => refused_in_a_row + 1,
                        _ => 0,
                    };
                    let fate = match fate {
                        Fate::Refused(e) if refused_in_a_row >= HOPELESS_AFTER => stop(&pair.path, *e),
                        fate => fate,
                    };
                    report.note(&pair, fate, context)?;
                }
                pair = pairs.next(), if !ended && running.len() < usize::from(self.args.at_a_time) => {
                    match pair? {
                        None => ended = true,
                        Some(pair) if pair.local.is_none() => {}
                        Some(pair) => running.push(self.one(pair)),
                    }
                }
            }
        }
        Ok(true)
    }

    async fn one(&self, pair: Pair) -> (Pair, Fate) {
        let fate = match &pair.local {
            Some(Entry::File(file)) if file.links > 1 => {
                let _turn = self.linked[file.stamp.inode as usize % LINK_LOCKS]
                    .lock()
                    .await;
                match file.seen_again() {
                    Ok(again) => self.file(&pair, &again).await,
                    Err(_) if file.is_gone() => Fate::Vanished,
                    Err(e) => unreadable(&e),
                }
            }
            Some(Entry::File(file)) => self.file(&pair, file).await,
            Some(Entry::Skipped(skipped)) if skipped.reason == SkipReason::Vanished => {
                Fate::Vanished
            }
            Some(Entry::Skipped(skipped)) => Fate::Kept(match &skipped.detail {
                Some(said) => format!("{}: {said}", skipped.reason),
                None => skipped.reason.to_string(),
            }),
            None => Fate::Vanished,
        };
        (pair, fate)
    }

    /// Proves one file and deletes it. Nothing lies between the proof and the deletion but, before the
    /// first, the mark in the state file, and a last look whether the file is still the one that was
    /// proven.
    async fn file(&self, pair: &Pair, file: &LocalFile) -> Fate {
        let decision = self.sides.decide(pair, Compare::Read);
        let basis = prove::basis(decision, pair);
        let proven = match basis {
            Basis::Content => self.prove(file).await,
            Basis::Absence => self.is_absent(&file.path).await,
            Basis::Nothing(reason) => return Fate::Kept(reason.to_owned()),
        };
        let settled = basis == Basis::Absence;
        match proven {
            Ok(Verdict::Same) => self.delete(file, settled),
            Ok(Verdict::Differs(reason)) => Fate::Kept(reason),
            Ok(Verdict::Gone) => Fate::Vanished,
            Ok(Verdict::Unclear) => {
                Fate::Kept("its ETag is of a multipart upload; `--prove read` can tell".to_owned())
            }
            Err(fate) => fate,
        }
    }

    fn delete(&self, file: &LocalFile, settled: bool) -> Fate {
        let freed = if file.links <= 1 { file.disk_bytes } else { 0 };
        if self.args.dry_run {
            return Fate::Deleted { settled, freed };
        }
        if let Err(e) = self.place.mark() {
            return Fate::Stop(e);
        }
        match file.remove() {
            Ok(()) => Fate::Deleted { settled, freed },
            Err(_) if file.is_gone() => Fate::Vanished,
            Err(e) => Fate::Kept(format!("it cannot be deleted: {e}")),
        }
    }

    /// Whether the object is still absent, now.
    async fn is_absent(&self, path: &str) -> Result<Verdict, Fate> {
        match self.head(path).await? {
            None => Ok(Verdict::Same),
            Some(_) => Ok(Verdict::Differs(
                "it came back to the bucket while this ran".to_owned(),
            )),
        }
    }

    async fn prove(&self, file: &LocalFile) -> Result<Verdict, Fate> {
        let opened = match file.open_unchanged() {
            Ok(opened) => Arc::new(opened),
            Err(_) if file.is_gone() => return Ok(Verdict::Gone),
            Err(e) => return Err(unreadable(&e)),
        };
        let size = file.stamp.size;
        match self.args.prove {
            Proof::Read => {
                let key = self.sides.client.target().key(&file.path);
                prove::by_reading(&self.sides.client, &key, opened, size)
                    .await
                    .map_err(|e| match e {
                        ReadError::Service(e) => refused(&file.path, e),
                        other => Fate::Kept(other.to_string()),
                    })
            }
            Proof::Head => match self.head(&file.path).await? {
                None => Ok(Verdict::Differs("the bucket does not have it".to_owned())),
                Some(head) => prove::by_etag(opened, size, head.size, head.etag)
                    .await
                    .map_err(|e| unreadable(&e)),
            },
        }
    }

    /// None where there is no such object.
    async fn head(&self, path: &str) -> Result<Option<ObjectHead>, Fate> {
        let key = self.sides.client.target().key(path);
        match self.sides.client.head_object(&key).await {
            Ok(head) => Ok(Some(head)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(refused(path, e)),
        }
    }
}

pub(super) fn local_size(pair: &Pair) -> u64 {
    match &pair.local {
        Some(Entry::File(file)) => file.stamp.size,
        _ => 0,
    }
}

fn unreadable(error: &std::io::Error) -> Fate {
    Fate::Kept(format!("it cannot be read here: {error}"))
}

fn stop(path: &str, error: S3Error) -> Fate {
    Fate::Stop(error.into_error(format!("prove that the bucket has `{path}`")))
}

/// A single object may be refused for reasons of its own; a key, a bucket or a cap concerns them all.
fn refused(path: &str, error: S3Error) -> Fate {
    if error.kind.ends_the_run() {
        stop(path, error)
    } else {
        Fate::Refused(Box::new(error))
    }
}
