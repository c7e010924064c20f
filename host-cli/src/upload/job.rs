//! What one upload is given, and how its attempts and the whole of it end.

use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::decide::{Conflict, Decision};
use crate::journal::Recorded;
use crate::pairs::Pair;
use crate::s3::S3Error;
use crate::tree::{LocalFile, SkipReason, Skipped, Stamp};

/// One file that is to be sent, or to be read first.
#[derive(Debug)]
pub struct Job {
    /// The file.
    pub file: LocalFile,
    /// All that is known of its path.
    pub pair: Pair,
    /// [`Decision::Send`] or [`Decision::Compare`].
    pub decision: Decision,
    /// ETag of the version of the file that an earlier attempt has sent, or may have.
    pub sent_etag: Option<String>,
    /// Record of the version of the file that an earlier attempt has stored for certain.
    pub stored_record: Option<Recorded>,
}

/// How the upload of a file ended.
#[derive(Debug)]
pub enum UploadOutcome {
    /// Sent (or, in a dry run, to be sent).
    Uploaded {
        /// Bytes of the file.
        bytes: u64,
        /// The record for the journal.
        record: Option<Recorded>,
    },
    /// Read, and found equal to its object.
    Same {
        /// Bytes of the file.
        bytes: u64,
        /// The record for the journal.
        record: Option<Recorded>,
    },
    /// Read, found to differ, and left.
    Conflict(Conflict),
    /// Hidden by Mastodon since the walk.
    Hidden {
        /// An earlier attempt may have stored it.
        maybe_sent: bool,
    },
    /// Not to be sent.
    Skipped(Skipped),
    /// The bucket did not take it.
    Failed(Box<S3Error>),
}

/// How one attempt ended.
pub(super) enum Attempt {
    /// There is nothing to try again.
    Finished(UploadOutcome),
    /// The file changed while it was read or sent. With the version that was sent, if one was.
    FileChanged(Option<SentVersion>),
    /// The file is unchanged, and the service received other bytes.
    Corrupted(Box<S3Error>),
}

impl Attempt {
    /// At a file that is unchanged: a damaged transfer is tried again.
    pub(super) fn of(outcome: UploadOutcome) -> Attempt {
        match outcome {
            UploadOutcome::Failed(error) if error.kind.is_wrong_content() => {
                Attempt::Corrupted(error)
            }
            outcome => Attempt::Finished(outcome),
        }
    }

    /// At a file that could not be read; one that has become shorter has changed.
    pub(super) fn unreadable(job: &Job, error: &io::Error) -> Attempt {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Attempt::FileChanged(None);
        }
        let detail = Some(error.to_string());
        Attempt::Finished(skipped(job, SkipReason::Unreadable, detail))
    }
}

/// A version of the file that was sent and is no longer the file.
pub(super) struct SentVersion {
    pub(super) etag: String,
    /// `None` where it may not have been stored.
    pub(super) record: Option<Recorded>,
}

/// A file that is open, to be read while it is sent.
pub(super) struct OpenedFile {
    pub(super) file: Arc<File>,
    pub(super) stamp: Stamp,
    pub(super) content_type: String,
}

/// Whether an open file is still in the state of `stamp`.
pub(super) fn is_unchanged(file: &File, stamp: Stamp) -> bool {
    Stamp::of_file(file).is_ok_and(|now| now == stamp)
}

/// The outcome of a file that is skipped.
pub(super) fn skipped(job: &Job, reason: SkipReason, detail: Option<String>) -> UploadOutcome {
    UploadOutcome::Skipped(Skipped {
        path: job.file.path.clone(),
        reason,
        detail,
    })
}

/// Runs `work` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(io::Error::other)?
}
