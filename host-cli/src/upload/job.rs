//! What is handed from one step of an upload to the next.

use std::fs::File;
use std::io;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::decide::{Conflict, Decision, Flags, decide_read};
use crate::journal::{Journal, Recorded};
use crate::mastodon::Owner;
use crate::pairs::Pair;
use crate::s3::{Client, Listed, S3Error, S3Result};
use crate::tree::{LocalFile, SkipReason, Skipped, Stamp};

/// How often a file that changes while it is read is begun again.
pub(super) const TRIES: u32 = 4;

/// Memory for files on their way, KiB.
const MEMORY_KIBIBYTES: u32 = 16 * 1024;

/// What a file that is sent in pieces holds at a time, KiB.
const STREAM_KIBIBYTES: u32 = 512;

/// Files that are sent in parts at a time: more would only be read so far ahead that the system
/// forgets what it has read.
const FILES_IN_PARTS: usize = 4;

/// Bounds of one upload.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one part of a multipart upload.
    pub part_size: u64,
    /// Files of so many bytes are sent in parts.
    pub multipart_from: u64,
}

/// What all uploads of a run share.
#[derive(Debug)]
pub struct Uploader {
    pub(super) client: Client,
    pub(super) journal: Journal,
    pub(super) limits: Limits,
    pub(super) dry_run: bool,
    owner: Owner,
    flags: Flags,
    /// Mastodon may write to the bucket meanwhile: it is asked for once more before it is sent.
    asks_again: bool,
    memory: Arc<Semaphore>,
    /// Held by each file that is sent in parts, until its end.
    pub(super) in_parts: Semaphore,
}

/// One file that is to be sent, or to be read first.
#[derive(Debug)]
pub struct Job {
    /// The file.
    pub file: LocalFile,
    /// All that is known of its path.
    pub pair: Pair,
    /// [`Decision::Send`] or [`Decision::Compare`].
    pub decision: Decision,
    /// What an earlier try of this run has sent, or may have: the entity tag of a former state of the file.
    pub sent: Option<String>,
    /// The record of a former state of the file that an earlier try of this run has stored for certain.
    pub stored: Option<Recorded>,
}

/// How a file's turn ended.
#[derive(Debug)]
pub enum Outcome {
    /// Sent (or, in a dry run, to be sent).
    Uploaded {
        /// Bytes of the file.
        bytes: u64,
        /// What to remember.
        record: Option<Recorded>,
    },
    /// Read, and found equal to its object.
    Same {
        /// Bytes of the file.
        bytes: u64,
        /// What to remember.
        record: Option<Recorded>,
    },
    /// Read, found to differ, and left.
    Conflict(Conflict),
    /// Hidden since it was seen.
    Hidden {
        /// An earlier try may have reached the bucket.
        maybe_sent: bool,
    },
    /// Not to be sent.
    Skipped(Skipped),
    /// The bucket did not take it.
    Failed(Box<S3Error>),
}

/// One try; `Changed` asks for another, and tells what this one has sent, or may have.
pub(super) enum Try {
    Over(Outcome),
    Changed(Option<Sent>),
}

/// A former state of the file, on its way to the bucket.
pub(super) struct Sent {
    pub(super) etag: String,
    /// `None` where it may not have been stored.
    pub(super) record: Option<Recorded>,
}

/// A file that is open, to be read while it is sent.
pub(super) struct Opened {
    pub(super) file: Arc<File>,
    pub(super) stamp: Stamp,
    pub(super) content_type: String,
}

impl Uploader {
    /// For files that are decided upon with `owner` and `flags`; `alone`: no Mastodon has to do with
    /// them.
    pub fn new(
        client: Client,
        journal: Journal,
        limits: Limits,
        (owner, alone, flags): (Owner, bool, Flags),
        dry_run: bool,
    ) -> Self {
        Uploader {
            asks_again: owner != Owner::Disk && !alone,
            client,
            journal,
            limits,
            dry_run,
            owner,
            flags,
            memory: Arc::new(Semaphore::new(MEMORY_KIBIBYTES as usize)),
            in_parts: Semaphore::new(FILES_IN_PARTS),
        }
    }

    /// Waits until so many bytes of memory may be used, and holds them.
    pub(super) async fn memory(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let kibibytes = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let kibibytes = kibibytes.clamp(1, MEMORY_KIBIBYTES);
        // The semaphore is never closed, so there always is a permit in the end.
        let memory = self.memory.clone();
        memory.acquire_many_owned(kibibytes).await.ok()
    }

    /// Whether hidden files take part as any other.
    pub(super) fn includes_hidden(&self) -> bool {
        self.flags.include_hidden
    }

    /// Memory for the pieces of one request.
    pub(super) async fn stream_memory(&self) -> Option<OwnedSemaphorePermit> {
        self.memory(u64::from(STREAM_KIBIBYTES) * 1024).await
    }

    /// The job as it stands at this moment, where the object has come since the bucket was listed, which
    /// may be hours ago: to be compared. `None` is to send it.
    pub(super) async fn come_meanwhile(&self, job: &Job) -> S3Result<Option<Job>> {
        if !self.asks_again {
            return Ok(None);
        }
        let key = self.client.target().key(&job.file.path);
        let head = match self.client.head_object(&key).await {
            Ok(head) => head,
            Err(e) if e.is_not_found() => return Ok(None),
            Err(e) => return Err(e),
        };
        if job.sent.as_ref() == Some(&head.etag) {
            return Ok(None);
        }
        let object = Some(Listed {
            key,
            size: head.size,
            etag: head.etag,
        });
        Ok(Some(Job {
            file: job.file.clone(),
            pair: Pair {
                object,
                ..job.pair.clone()
            },
            decision: Decision::Compare,
            sent: None,
            stored: None,
        }))
    }

    /// What is to be done now that the file was read, and has `etag`: `None` is to send it.
    pub(super) fn settled(&self, job: &Job, stamp: Stamp, etag: &str) -> Option<Outcome> {
        if job.decision != Decision::Compare {
            return None;
        }
        let object = job.pair.object.as_ref();
        let same = object.is_some_and(|object| object.size == stamp.size && object.etag == etag);
        match decide_read(&job.pair, same, &self.owner, self.flags) {
            Decision::Conflict(conflict) => Some(Outcome::Conflict(conflict)),
            Decision::Send(_) => None,
            _ => Some(Outcome::Same {
                bytes: stamp.size,
                record: Recorded::same(stamp, etag),
            }),
        }
    }
}

/// Whether an open file still is what it was.
pub(super) fn is_unchanged(file: &File, stamp: Stamp) -> bool {
    Stamp::of_file(file).is_ok_and(|now| now == stamp)
}

pub(super) fn skipped(job: &Job, reason: SkipReason, detail: Option<String>) -> Outcome {
    Outcome::Skipped(Skipped {
        path: job.file.path.clone(),
        reason,
        detail,
    })
}

/// The outcome of a file that could not be read, or that ended early.
pub(super) fn unreadable(job: &Job, error: &io::Error) -> Try {
    if error.kind() == io::ErrorKind::UnexpectedEof {
        return Try::Changed(None);
    }
    let detail = Some(error.to_string());
    Try::Over(skipped(job, SkipReason::Unreadable, detail))
}

/// Runs `work` where blocking is allowed.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
