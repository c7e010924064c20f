//! Counts files and objects before anything is deleted. So many may be missing from the bucket that
//! something other than Mastodon may have deleted them.

use super::PruneArgs;
use crate::decide::{Compare, Decision};
use crate::directory_and_bucket::DirectoryAndBucket;
use crate::error::Result;
use crate::guards::{MissingObjects, may_count_as_deleted};
use crate::interrupt::Interrupt;

/// Remote media, which Mastodon deletes by itself after a retention period.
const CACHE: &str = "cache/";

/// Counts the files and objects; none where it was interrupted.
pub(super) async fn count_missing(
    media: &DirectoryAndBucket,
    interrupt: &Interrupt,
) -> Result<Option<MissingObjects>> {
    let mut pairs = media.pairs()?;
    let mut missing = MissingObjects::default();
    while let Some(pair) = pairs.next().await? {
        if interrupt.is_set() {
            return Ok(None);
        }
        missing.objects += u64::from(pair.object.is_some());
        let Some(file) = pair.file() else {
            continue;
        };
        let decision = media.decide(&pair, Compare::SizeOnly);
        let deleted = u64::from(decision == Decision::DeletedInBucket);
        missing.deleted += deleted;
        if !file.path.starts_with(CACHE) {
            missing.own += 1;
            missing.own_deleted += deleted;
        }
    }
    Ok(Some(missing))
}

/// Fails where the bucket may have lost objects.
pub(super) fn check_missing(missing: MissingObjects, args: &PruneArgs, bucket: &str) -> Result<()> {
    may_count_as_deleted(missing, args.max_deleted_in_bucket, bucket)
        .or_problem("delete local files that the bucket lacks")
}
