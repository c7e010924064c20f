//! Counts files and objects before anything is deleted. So many may be missing from the bucket that
//! something other than Mastodon may have deleted them.

use super::PruneArgs;
use crate::decide::Decision;
use crate::error::Result;
use crate::guards::{MissingObjects, may_count_as_deleted};
use crate::pairs::Pair;
use crate::tree::TreeEntry;

/// Remote media, which Mastodon deletes by itself after a retention period.
const CACHE: &str = "cache/";

/// Files and objects.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Survey {
    /// Local files.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Objects in the bucket.
    pub(super) objects: u64,
    /// Files not in `cache/`.
    own: u64,
    /// Those of them that Mastodon has deleted in the bucket.
    own_deleted: u64,
    /// All files that it has deleted there.
    deleted: u64,
}

impl Survey {
    pub(super) fn add(&mut self, pair: &Pair, decision: Decision) {
        self.objects += u64::from(pair.object.is_some());
        let Some(TreeEntry::File(file)) = &pair.local else {
            return;
        };
        let deleted = u64::from(decision == Decision::DeletedInBucket);
        self.files += 1;
        self.bytes += file.stamp.size;
        self.deleted += deleted;
        if !file.path.starts_with(CACHE) {
            self.own += 1;
            self.own_deleted += deleted;
        }
    }

    /// Fails where the bucket may have lost objects.
    pub(super) fn check(&self, args: &PruneArgs, bucket: &str) -> Result<()> {
        let missing = MissingObjects {
            objects: self.objects,
            deleted: self.deleted,
            own: self.own,
            own_deleted: self.own_deleted,
        };
        may_count_as_deleted(missing, args.max_deleted_in_bucket, bucket)
            .or_problem("take what the bucket lacks for deleted by Mastodon")
    }
}
