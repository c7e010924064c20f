//! The upload of one file: read, compare, send, and retry if the file changed during that.
//!
//! [`single_request`] sends a file in one request, [`parts`] a large one in many. Leaves to others: which files,
//! how many at a time, and what their outcome means for a run.

mod attempts;
mod content;
mod job;
mod parts;
mod single_request;
mod uploader;

pub mod concurrency;
pub mod digest;

use std::sync::Arc;

use self::attempts::Attempts;
pub use self::content::content_type;
use self::job::{Attempt, skipped};
pub use self::job::{Job, UploadOutcome};
use self::single_request::ReadFile;
pub use self::uploader::{MultipartOptions, UploadOptions, Uploader};
use crate::tree::SkipReason;

/// Uploads one file, unless comparing shows that its object is the same or must be left.
pub async fn upload_one(uploader: Arc<Uploader>, mut job: Job) -> (Job, UploadOutcome) {
    let mut attempts = Attempts::new();
    loop {
        // The outcome, if no attempt is left.
        let outcome_if_last = match attempt_upload(&uploader, &job, &mut attempts).await {
            Attempt::Finished(outcome) => break (job, with_earlier_attempts(outcome, &attempts)),
            Attempt::Corrupted(error) => UploadOutcome::Failed(error),
            Attempt::FileChanged(sent) => {
                if let Some(sent) = sent {
                    job.sent_etag = Some(sent.etag);
                    job.stored_record = sent.record.or(job.stored_record);
                }
                skipped(&job, SkipReason::Changing, None)
            }
        };
        if !attempts.next().await {
            break (job, with_earlier_attempts(outcome_if_last, &attempts));
        }
    }
}

/// Reads the file and sends it by its size.
async fn attempt_upload(uploader: &Arc<Uploader>, job: &Job, attempts: &mut Attempts) -> Attempt {
    match single_request::read(uploader, job).await {
        Ok(ReadFile::InMemory(file)) => single_request::send_from_memory(uploader, job, file).await,
        // Boxed where it is rare, so that a small file's task stays small.
        Ok(ReadFile::Open(opened)) if opened.stamp.size >= uploader.options.multipart.from => {
            Box::pin(parts::send_in_parts(uploader, job, opened, attempts)).await
        }
        Ok(ReadFile::Open(opened)) => {
            Box::pin(single_request::send_from_disk(uploader, job, opened)).await
        }
        Ok(ReadFile::Changed) => Attempt::FileChanged(None),
        Ok(ReadFile::Hidden) => {
            let maybe_sent = attempts.earlier() > 0;
            Attempt::Finished(UploadOutcome::Hidden { maybe_sent })
        }
        Err(ended) => ended,
    }
}

/// The outcome, whose error counts the requests of earlier attempts too: one of them may have stored
/// the file.
fn with_earlier_attempts(outcome: UploadOutcome, attempts: &Attempts) -> UploadOutcome {
    match outcome {
        UploadOutcome::Failed(error) => {
            UploadOutcome::Failed(Box::new(error.after(attempts.earlier())))
        }
        outcome => outcome,
    }
}
