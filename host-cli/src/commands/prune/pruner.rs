//! Proves each file and deletes it right after.

use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Mutex;

use super::directory::PruneDirectory;
use super::report::PruneReport;
use super::{Proof, PruneArgs};
use crate::context::Context;
use crate::decide::Compare;
use crate::directory_and_bucket::DirectoryAndBucket;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::pairs::Pair;
use crate::progress::Progress;
use crate::prove::{self, Comparison, ReadError, RequiredProof};
use crate::s3::{MAX_REFUSALS_IN_A_ROW, ObjectHead, S3Error};
use crate::tree::{LocalFile, SkipReason, TreeEntry};

/// Locks by inode. Hard links of a file are deleted one after the other, since deleting one changes the
/// stamp of the others.
const LINK_LOCKS: usize = 64;

/// Proves and deletes.
pub(super) struct Pruner<'a> {
    args: &'a PruneArgs,
    media: &'a DirectoryAndBucket,
    directory: &'a PruneDirectory,
    linked: [Mutex<()>; LINK_LOCKS],
}

/// What was done with one entry.
pub(super) enum PruneOutcome {
    Deleted {
        /// By Mastodon in the bucket before: there was no object.
        deleted_in_bucket: bool,
        freed: u64,
    },
    Vanished,
    Kept(String),
    /// The bucket refused the request for this file.
    Refused(Box<S3Error>),
    /// Every other entry would fail too: for the key, the bucket, a cap or the state file.
    Stop(Error),
}

impl<'a> Pruner<'a> {
    pub(super) fn new(
        args: &'a PruneArgs,
        media: &'a DirectoryAndBucket,
        directory: &'a PruneDirectory,
    ) -> Self {
        Pruner {
            args,
            media,
            directory,
            linked: std::array::from_fn(|_| Mutex::new(())),
        }
    }

    /// Prunes all entries; false where it was interrupted.
    pub(super) async fn prune(
        &self,
        report: &mut PruneReport,
        progress: &Progress,
        mut interrupt: Interrupt,
        context: &Context,
    ) -> Result<bool> {
        let mut pairs = self.media.pairs()?;
        let mut running = FuturesUnordered::new();
        let mut ended = false;
        let mut refused_in_a_row = 0;
        while !(ended && running.is_empty()) {
            tokio::select! {
                biased;
                () = interrupt.requested() => return Ok(false),
                Some(pruned) = running.next(), if !running.is_empty() => {
                    let (pair, outcome): (Pair, PruneOutcome) = pruned;
                    progress.done(pair.file_size());
                    refused_in_a_row = match &outcome {
                        PruneOutcome::Refused(_) => refused_in_a_row + 1,
                        _ => 0,
                    };
                    let outcome = match outcome {
                        PruneOutcome::Refused(e) if refused_in_a_row >= MAX_REFUSALS_IN_A_ROW => stop(&pair.path, *e),
                        outcome => outcome,
                    };
                    report.add(&pair, outcome, context)?;
                }
                pair = pairs.next(), if !ended && running.len() < usize::from(self.args.concurrency) => {
                    match pair? {
                        None => ended = true,
                        Some(pair) if pair.local.is_none() => {}
                        Some(pair) => running.push(self.prune_pair(pair)),
                    }
                }
            }
        }
        Ok(true)
    }

    async fn prune_pair(&self, pair: Pair) -> (Pair, PruneOutcome) {
        let outcome = match &pair.local {
            Some(TreeEntry::File(file)) if file.links > 1 => {
                let _lock = self.linked[file.stamp.inode as usize % LINK_LOCKS]
                    .lock()
                    .await;
                match file.refreshed() {
                    Ok(refreshed) => self.prune_file(&pair, &refreshed).await,
                    Err(_) if file.is_gone() => PruneOutcome::Vanished,
                    Err(e) => unreadable(&e),
                }
            }
            Some(TreeEntry::File(file)) => self.prune_file(&pair, file).await,
            Some(TreeEntry::Skipped(skipped)) if skipped.reason == SkipReason::Vanished => {
                PruneOutcome::Vanished
            }
            Some(TreeEntry::Skipped(skipped)) => PruneOutcome::Kept(match &skipped.detail {
                Some(error) => format!("{}: {error}", skipped.reason),
                None => skipped.reason.to_string(),
            }),
            None => PruneOutcome::Vanished,
        };
        (pair, outcome)
    }

    /// Proves one file and deletes it. Between proof and deletion there is only the check that the file is
    /// unchanged, and before the first deletion the mark in the state file.
    async fn prune_file(&self, pair: &Pair, file: &LocalFile) -> PruneOutcome {
        let decision = self.media.decide(pair, Compare::Read);
        let required_proof = prove::required_proof(decision, pair);
        let proven = match required_proof {
            RequiredProof::SameContent => self.prove(file).await,
            RequiredProof::NoObject => self.is_absent(&file.path).await,
            RequiredProof::Impossible(reason) => return PruneOutcome::Kept(reason.to_owned()),
        };
        let deleted_in_bucket = required_proof == RequiredProof::NoObject;
        match proven {
            Ok(Comparison::Same) => self.delete(file, deleted_in_bucket),
            Ok(Comparison::Differs(reason)) => PruneOutcome::Kept(reason),
            Ok(Comparison::Gone) => PruneOutcome::Vanished,
            Ok(Comparison::Unclear) => PruneOutcome::Kept(
                "the object's ETag is that of a multipart upload, not an MD5: `--prove read` compares the bytes instead".to_owned(),
            ),
            Err(outcome) => outcome,
        }
    }

    fn delete(&self, file: &LocalFile, deleted_in_bucket: bool) -> PruneOutcome {
        let freed = if file.links <= 1 { file.disk_bytes } else { 0 };
        if self.args.dry_run {
            return PruneOutcome::Deleted {
                deleted_in_bucket,
                freed,
            };
        }
        if let Err(e) = self.directory.mark_pruned() {
            return PruneOutcome::Stop(e);
        }
        match file.remove() {
            Ok(()) => PruneOutcome::Deleted {
                deleted_in_bucket,
                freed,
            },
            Err(_) if file.is_gone() => PruneOutcome::Vanished,
            Err(e) => PruneOutcome::Kept(format!("the local file cannot be deleted: {e}")),
        }
    }

    /// Proves that there still is no object.
    async fn is_absent(&self, path: &str) -> Result<Comparison, PruneOutcome> {
        match self.head(path).await? {
            None => Ok(Comparison::Same),
            Some(_) => Ok(Comparison::Differs(
                "the object was uploaded again during this run".to_owned(),
            )),
        }
    }

    async fn prove(&self, file: &LocalFile) -> Result<Comparison, PruneOutcome> {
        let opened = match file.open_unchanged() {
            Ok(opened) => Arc::new(opened),
            Err(_) if file.is_gone() => return Ok(Comparison::Gone),
            Err(e) => return Err(unreadable(&e)),
        };
        let size = file.stamp.size;
        match self.args.prove {
            Proof::Read => {
                let key = self.media.client.target().key(&file.path);
                prove::by_reading(&self.media.client, &key, opened, size)
                    .await
                    .map_err(|e| match e {
                        ReadError::Service(e) => refused(&file.path, e),
                        other => PruneOutcome::Kept(other.to_string()),
                    })
            }
            Proof::Head => match self.head(&file.path).await? {
                None => Ok(Comparison::Differs(
                    "the bucket does not have it".to_owned(),
                )),
                Some(head) => prove::by_etag(opened, size, head.size, head.etag)
                    .await
                    .map_err(|e| unreadable(&e)),
            },
        }
    }

    /// None where there is no object.
    async fn head(&self, path: &str) -> Result<Option<ObjectHead>, PruneOutcome> {
        let key = self.media.client.target().key(path);
        match self.media.client.head_object(&key).await {
            Ok(head) => Ok(Some(head)),
            Err(e) if e.is_not_found() => Ok(None),
            Err(e) => Err(refused(path, e)),
        }
    }
}

fn unreadable(error: &std::io::Error) -> PruneOutcome {
    PruneOutcome::Kept(format!("the local file cannot be read: {error}"))
}

fn stop(path: &str, error: S3Error) -> PruneOutcome {
    PruneOutcome::Stop(error.into_error(format!("prove that the bucket has `{path}`")))
}

/// One object may be refused for reasons of its own; the key, the bucket or a cap concern every file.
fn refused(path: &str, error: S3Error) -> PruneOutcome {
    if error.kind.ends_the_run() {
        stop(path, error)
    } else {
        PruneOutcome::Refused(Box::new(error))
    }
}
