//! What all uploads of a run share: client, memory budget, and the two checks of every file before it is
//! sent: by its content, and by the object that exists now.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::job::{Job, UploadOutcome};
use crate::decide::{Decision, DecisionOptions, decide_read};
use crate::journal::{Journal, Recorded};
use crate::mastodon::Owner;
use crate::pairs::Pair;
use crate::s3::{Client, ListedObject, S3Result};
use crate::tree::Stamp;

/// Memory budget of all files that are being sent, KiB.
const MEMORY_KIBIBYTES: u32 = 16 * 1024;

/// Memory of one request whose body is read from the file while it is sent, KiB.
const STREAM_KIBIBYTES: u32 = 512;

/// Files that are sent in parts at a time. With more, the page cache would drop what was digested
/// before it is sent.
const MULTIPART_FILES: usize = 4;

/// When a file is sent in parts, and how.
#[derive(Clone, Copy, Debug)]
pub struct MultipartOptions {
    /// Files of so many bytes and more are sent in parts.
    pub from: u64,
    /// Bytes of one part.
    pub part_size: u64,
}

/// How files are decided upon and sent.
#[derive(Clone, Debug)]
pub struct UploadOptions {
    /// When a file is sent in parts.
    pub multipart: MultipartOptions,
    /// Send nothing.
    pub dry_run: bool,
    /// Who owns the media.
    pub owner: Owner,
    /// No Mastodon uses the directory.
    pub no_mastodon: bool,
    /// Options of the decisions.
    pub decision: DecisionOptions,
}

/// What all uploads of a run share.
#[derive(Debug)]
pub struct Uploader {
    pub(super) client: Client,
    pub(super) journal: Journal,
    pub(super) options: UploadOptions,
    /// Mastodon may write to the bucket during the run: each object is looked up right before its
    /// file is sent.
    looks_up_objects: bool,
    memory: Arc<Semaphore>,
    /// A permit for each file that is sent in parts.
    pub(super) multipart_files: Semaphore,
}

/// What follows from the content of a file.
pub(super) enum NextStep {
    Send,
    Finish(UploadOutcome),
}

/// Whether the listing, which may be hours old, still holds for an object.
pub(super) enum ObjectNow {
    /// It does, or what is there is this run's own.
    AsListed,
    /// An object that was not listed: the job with it, to be compared.
    Appeared(Box<Job>),
}

impl Uploader {
    /// Sends nothing yet.
    pub fn new(client: Client, journal: Journal, options: UploadOptions) -> Self {
        Uploader {
            looks_up_objects: options.owner != Owner::Disk && !options.no_mastodon,
            client,
            journal,
            options,
            memory: Arc::new(Semaphore::new(MEMORY_KIBIBYTES as usize)),
            multipart_files: Semaphore::new(MULTIPART_FILES),
        }
    }

    /// Takes `bytes` from the memory budget, all of it at most; waits until they are free.
    pub(super) async fn memory(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let kibibytes = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        let kibibytes = kibibytes.clamp(1, MEMORY_KIBIBYTES);
        // `None` only where the semaphore is closed, which it never is.
        let memory = self.memory.clone();
        memory.acquire_many_owned(kibibytes).await.ok()
    }

    /// Takes the memory of one request that reads from its file.
    pub(super) async fn stream_memory(&self) -> Option<OwnedSemaphorePermit> {
        self.memory(u64::from(STREAM_KIBIBYTES) * 1024).await
    }

    /// Decides now that the file was read and has `etag`.
    pub(super) fn decide_by_content(&self, job: &Job, stamp: Stamp, etag: &str) -> NextStep {
        if job.decision != Decision::Compare {
            return NextStep::Send;
        }
        let object = job.pair.object.as_ref();
        let same = object.is_some_and(|object| object.size == stamp.size && object.etag == etag);
        match decide_read(&job.pair, same, &self.options.owner, self.options.decision) {
            Decision::Send(_) => NextStep::Send,
            Decision::Conflict(conflict) => NextStep::Finish(UploadOutcome::Conflict(conflict)),
            _ => NextStep::Finish(UploadOutcome::Same {
                bytes: stamp.size,
                record: Recorded::same(stamp, etag),
            }),
        }
    }

    /// Looks the object up where Mastodon may have written it since the listing.
    pub(super) async fn object_now(&self, job: &Job) -> S3Result<ObjectNow> {
        if !self.looks_up_objects {
            return Ok(ObjectNow::AsListed);
        }
        let key = self.client.target().key(&job.file.path);
        let head = match self.client.head_object(&key).await {
            Ok(head) => head,
            Err(e) if e.is_not_found() => return Ok(ObjectNow::AsListed),
            Err(e) => return Err(e),
        };
        if job.sent_etag.as_ref() == Some(&head.etag) {
            return Ok(ObjectNow::AsListed);
        }
        let object = Some(ListedObject {
            key,
            size: head.size,
            etag: head.etag,
        });
        Ok(ObjectNow::Appeared(Box::new(Job {
            file: job.file.clone(),
            pair: Pair {
                object,
                ..job.pair.clone()
            },
            decision: Decision::Compare,
            sent_etag: None,
            stored_record: None,
        })))
    }
}
