//! A look at both sides before anything is deleted: how much there is to do, and whether so much was
//! deleted in the bucket that something else than Mastodon may have done it.

use super::PruneArgs;
use crate::decide::Decision;
use crate::error::Result;
use crate::guards::{MissingObjects, may_count_as_deleted};
use crate::pairs::Pair;
use crate::tree::Entry;

/// Remote media, which Mastodon deletes by itself after a retention period.
const CACHE: &str = "cache/";

/// What is on both sides.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Survey {
    /// Local files.
    pub(super) files: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Objects in the bucket.
    pub(super) objects: u64,
    /// Files outside `cache/`.
    own: u64,
    /// Those of them that Mastodon has deleted in the bucket.
    own_deleted: u64,
    /// All that it has deleted there.
    deleted: u64,
}

impl Survey {
    pub(super) fn add(&mut self, pair: &Pair, decision: Decision) {
        self.objects += u64::from(pair.object.is_some());
        let Some(Entry::File(file)) = &pair.local else {
            return;
        };
        let deleted = u64::from(decision == Decision::DeletedThere);
        self.files += 1;
        self.bytes += file.stamp.size;
        self.deleted += deleted;
        if !file.path.starts_with(CACHE) {
            self.own += 1;
            self.own_deleted += deleted;
        }
    }

    /// Fails where what the bucket lacks looks like a loss.
    pub(super) fn check(&self, args: &PruneArgs, bucket: &str) -> Result<()> {
        let missing = MissingObjects {
            objects: self.objects,
            deleted: self.deleted,
            own: self.own,
            own_deleted: self.own_deleted,
        };
        may_count_as_deleted(missing, args.max_settled, bucket)
            .or_problem("take what the bucket lacks for deleted by Mastodon")
    }
}
