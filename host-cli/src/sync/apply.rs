//! One file's way into the bucket: read, compare, send, and look whether it changed meanwhile.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::content::CACHE_CONTROL;
use super::desk::Desk;
use super::digest;
use super::journal::Record;
use super::large;
use super::plan::{self, Action, Why};
use super::read::{self, Opened, SMALL};
use super::walk::{LocalFile, SkipReason, Skipped, Stamp};
use crate::buffers;
use crate::s3::{Body, Client, ErrorKind, Listed, PutRequest, ReadBytes, S3Error};

/// How often a file that changes while it is read is begun again.
const TRIES: u32 = 4;

/// Memory for what is read and not yet handed to the network, in units of 1 KiB.
const MEMORY_KIBIBYTES: u32 = 8 * 1024;

/// What the connection of a small file takes by itself, in the same units: where there are many, there is
/// less room for what they send.
const CONNECTION_KIBIBYTES: u32 = 20;

/// What a file that is sent in pieces holds at a time, in the same units.
const STREAM_KIBIBYTES: u32 = 512;

/// What all uploads of a run share.
#[derive(Debug)]
pub(super) struct Workshop {
    pub(super) client: Client,
    pub(super) part_size: u64,
    pub(super) multipart_from: u64,
    pub(super) dry_run: bool,
    desk: Desk,
    memory: Arc<Semaphore>,
    /// Held by each file that is sent in parts, until its end.
    pub(super) in_parts: Semaphore,
}

/// One file to bring into the bucket.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) file: LocalFile,
    /// The object as listed, where there is one.
    pub(super) remote: Option<Listed>,
    /// Decided already, or to be decided by reading.
    pub(super) why: Option<Why>,
}

/// How a file's turn ended.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Sent (or, in a dry run, to be sent).
    Uploaded { bytes: u64, record: Option<Record> },
    /// Read, and found equal to its object.
    Unchanged { bytes: u64, record: Option<Record> },
    /// Not to be sent.
    Skipped(Skipped),
    /// The bucket did not take it.
    Failed(Box<S3Error>),
}

/// One try; `Changed` asks for another.
pub(super) enum Try {
    Over(Outcome),
    Changed,
}

impl Workshop {
    pub(super) fn new(
        client: Client,
        root: PathBuf,
        part_size: u64,
        multipart_from: u64,
        dry_run: bool,
    ) -> Self {
        Workshop {
            client,
            part_size,
            multipart_from,
            dry_run,
            desk: Desk::new(root),
            memory: Arc::new(Semaphore::new(MEMORY_KIBIBYTES as usize)),
            in_parts: Semaphore::new(large::FILES_AT_ONCE),
        }
    }

    /// Waits until there is room for `kibibytes`.
    pub(super) async fn room(&self, kibibytes: u32) -> Option<OwnedSemaphorePermit> {
        let kibibytes = kibibytes.clamp(1, MEMORY_KIBIBYTES);
        // The semaphore is never closed, so there always is a permit in the end.
        let memory = self.memory.clone();
        memory.acquire_many_owned(kibibytes).await.ok()
    }

    /// Room for a stream's buffers.
    pub(super) async fn stream_room(&self) -> Option<OwnedSemaphorePermit> {
        self.room(STREAM_KIBIBYTES).await
    }
}

/// Brings one file into the bucket.
pub(super) async fn bring(workshop: Arc<Workshop>, job: Job) -> (String, Outcome) {
    for tries in 1..=TRIES {
        match attempt(&workshop, &job).await {
            Try::Over(outcome) => return (job.file.path, outcome),
            Try::Changed if tries < TRIES => {
                tokio::time::sleep(Duration::from_millis(150 * u64::from(tries))).await;
            }
            Try::Changed => {}
        }
    }
    let skipped = Skipped {
        path: job.file.path.clone(),
        reason: SkipReason::Changing,
        detail: None,
    };
    (job.file.path, Outcome::Skipped(skipped))
}

async fn attempt(workshop: &Arc<Workshop>, job: &Job) -> Try {
    // One byte more than the file is read, to see that it ends.
    let expected = usize::try_from(job.file.stamp.size.min(SMALL) + 1).unwrap_or(1);
    let kibibytes = u32::try_from(buffers::class(expected) / 1024).unwrap_or(1);
    let mut room = workshop.room(kibibytes + CONNECTION_KIBIBYTES).await;
    // Kept to the end of a small file; the rest goes with its bytes.
    let connection = room
        .as_mut()
        .and_then(|room| room.split(CONNECTION_KIBIBYTES as usize));
    let Some(opened) = workshop.desk.open(job.file.path.clone()).await else {
        let ended = io::Error::other("the threads that read files have ended");
        return Try::Over(local_failure(workshop, job, ended));
    };
    match opened {
        Opened::Changed => Try::Changed,
        Opened::Skipped(reason, detail) => Try::Over(Outcome::Skipped(Skipped {
            path: job.file.path.clone(),
            reason,
            detail,
        })),
        Opened::Small {
            bytes,
            file,
            md5,
            stamp,
            content_type,
        } => {
            let bytes = Bytes::from_owner(Held { bytes, _room: room });
            let whole = Whole {
                body: Body::Read(Arc::new(ReadBytes::new(bytes, file.clone()))),
                md5,
                stamp,
                content_type,
            };
            match whole.put_or_leave(workshop, job).await {
                // What was sent again was read again, and is another file by now.
                Outcome::Failed(e)
                    if (e.kind.is_wrong_content() || matches!(*e.kind, ErrorKind::Local(_)))
                        && !still(&file, stamp) =>
                {
                    Try::Changed
                }
                outcome => Try::Over(outcome),
            }
        }
        Opened::Large {
            file,
            stamp,
            content_type,
        } => {
            drop((room, connection));
            if stamp.size >= workshop.multipart_from {
                // Each of its parts takes its own room. Boxed, so that small files' tasks stay small.
                Box::pin(large::attempt(workshop, job, file, stamp, content_type)).await
            } else {
                let _room = workshop.stream_room().await;
                Box::pin(stream(workshop, job, file, stamp, content_type)).await
            }
        }
    }
}

/// A file of middle size: digested first, then read again while it is sent.
async fn stream(
    workshop: &Arc<Workshop>,
    job: &Job,
    file: Arc<File>,
    stamp: Stamp,
    content_type: String,
) -> Try {
    let reader = file.clone();
    let md5 = match blocking(move || digest::of_range(&reader, 0, stamp.size)).await {
        Ok(md5) => md5,
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Try::Changed,
        Err(e) => return Try::Over(unreadable(job, &e)),
    };
    if !still(&file, stamp) {
        return Try::Changed;
    }
    let whole = Whole {
        body: Body::File {
            file: file.clone(),
            offset: 0,
            length: stamp.size,
        },
        md5,
        stamp,
        content_type,
    };
    let outcome = whole.put_or_leave(workshop, job).await;
    if still(&file, stamp) {
        return Try::Over(outcome);
    }
    match outcome {
        // Content-MD5 was checked, so what is stored is whole; but it is not the file any more.
        Outcome::Uploaded { .. } | Outcome::Unchanged { .. } => Try::Changed,
        Outcome::Failed(e) if !e.is_fatal() => Try::Changed,
        other => Try::Over(other),
    }
}

/// Bytes, and the room that they take until they are let go.
struct Held {
    bytes: Bytes,
    _room: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What is sent in one request.
struct Whole {
    body: Body,
    md5: [u8; 16],
    stamp: Stamp,
    content_type: String,
}

impl Whole {
    /// Compares with the object where that is open, and sends what differs.
    async fn put_or_leave(self, workshop: &Workshop, job: &Job) -> Outcome {
        let record = Some(Record {
            stamp: self.stamp,
            md5: self.md5,
            parts: 0,
        });
        let bytes = self.stamp.size;
        if is_same(job, bytes, &hex::encode(self.md5)) {
            return Outcome::Unchanged { bytes, record };
        }
        if workshop.dry_run {
            return Outcome::Uploaded {
                bytes,
                record: None,
            };
        }
        let request = PutRequest {
            key: workshop.client.target().key(&job.file.path),
            body: self.body,
            md5: self.md5,
            content_type: self.content_type,
            cache_control: Some(CACHE_CONTROL.to_owned()),
        };
        let mut tries = 1;
        loop {
            match workshop.client.put_object(&request).await {
                Ok(_) => return Outcome::Uploaded { bytes, record },
                Err(e) if e.kind.is_wrong_content() && tries < TRIES => tries += 1,
                Err(e) => return Outcome::Failed(Box::new(e)),
            }
        }
    }
}

/// Whether the object is the same as a file of `size` bytes with this digest.
pub(super) fn is_same(job: &Job, size: u64, etag: &str) -> bool {
    let local = plan::Local {
        size,
        etag: Some(etag),
    };
    let remote = job.remote.as_ref().map(|listed| plan::Remote {
        size: listed.size,
        etag: &listed.etag,
    });
    // What is open here is only the content; a forced upload is not decided again.
    job.why.is_none()
        && plan::decide(Some(local), remote, plan::Rules::default()) == Action::Unchanged
}

pub(super) fn still(file: &File, stamp: Stamp) -> bool {
    read::is_unchanged(file, stamp).unwrap_or(false)
}

pub(super) fn unreadable(job: &Job, error: &io::Error) -> Outcome {
    Outcome::Skipped(Skipped {
        path: job.file.path.clone(),
        reason: SkipReason::Unreadable,
        detail: Some(error.to_string()),
    })
}

fn local_failure(workshop: &Workshop, job: &Job, error: io::Error) -> Outcome {
    Outcome::Failed(Box::new(S3Error {
        method: Method::PUT,
        uri: workshop.client.target().key(&job.file.path),
        attempts: 0,
        elapsed: Duration::ZERO,
        kind: Box::new(ErrorKind::Local(error)),
    }))
}

/// Runs `work` where blocking is allowed.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
