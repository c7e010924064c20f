//! One file's way into the bucket: read, compare, send, and look whether it changed meanwhile.
//!
//! [`small`] sends a file in one request, [`parts`] a large one in many. Leaves to others: which files,
//! how many at a time, and what their outcome means for a run.

mod content;
mod job;
mod parts;
mod small;

pub mod digest;
pub mod pace;

use std::sync::Arc;
use std::time::Duration;

pub use self::content::content_type;
pub use self::job::{Job, Limits, Outcome, Uploader};
use self::job::{TRIES, Try};
use crate::tree::{SkipReason, Skipped};

/// Brings one file into the bucket, where comparing does not show that it is there or must be left.
pub async fn upload_one(uploader: Arc<Uploader>, mut job: Job) -> (Job, Outcome) {
    for tries in 1..=TRIES {
        match attempt(&uploader, &job, tries > 1).await {
            Try::Over(Outcome::Failed(error)) => {
                return (job, Outcome::Failed(Box::new(error.after(tries - 1))));
            }
            Try::Over(outcome) => return (job, outcome),
            Try::Changed(sent) => {
                if let Some(sent) = sent {
                    job.sent = Some(sent.etag);
                    job.stored = sent.record.or(job.stored);
                }
                if tries < TRIES {
                    tokio::time::sleep(Duration::from_millis(150 * u64::from(tries))).await;
                }
            }
        }
    }
    let skipped = Skipped {
        path: job.file.path.clone(),
        reason: SkipReason::Changing,
        detail: None,
    };
    (job, Outcome::Skipped(skipped))
}

async fn attempt(uploader: &Arc<Uploader>, job: &Job, maybe_sent: bool) -> Try {
    // Boxed where it is rare, so that a small file's task stays small.
    match small::attempt(uploader, job).await {
        small::Attempt::Ended(ended) => ended,
        small::Attempt::Hidden => Try::Over(Outcome::Hidden { maybe_sent }),
        small::Attempt::Large(opened) if opened.stamp.size >= uploader.limits.multipart_from => {
            Box::pin(parts::attempt(uploader, job, opened)).await
        }
        small::Attempt::Large(opened) => Box::pin(small::stream(uploader, job, opened)).await,
    }
}
