//! A look at both sides before anything is deleted: how much there is to do, and whether so much was
//! deleted in the bucket that something else than Mastodon may have done it.

use super::PruneArgs;
use crate::decide::Decision;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::pairs::Pair;
use crate::tree::Entry;

/// Remote media, which Mastodon deletes by itself after a retention period.
const CACHE: &str = "cache/";

/// Deletions of local accounts' media that pass without a question, the lesser of both: posts and
/// accounts are deleted every day.
const UNQUESTIONED: u64 = 1_000;
/// One in so many of the files outside `cache/`.
const UNQUESTIONED_SHARE: u64 = 10;
/// So many pass on the smallest instance.
const ALWAYS_UNQUESTIONED: u64 = 20;

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
        let operation = "take what the bucket lacks for deleted by Mastodon";
        let lost = |cause: String| {
            Err(Error::new(operation)
                .exit(Exit::Problem)
                .cause(cause)
                .hint("look at the bucket: if it has lost objects, these files are their last copies; if Mastodon has deleted so many, add `--max-settled N`; nothing was deleted"))
        };
        if self.objects == 0 && self.deleted > 0 {
            return lost(format!("the bucket `{bucket}` has no object at all"));
        }
        let share = self.own / UNQUESTIONED_SHARE;
        let most = share.clamp(ALWAYS_UNQUESTIONED, UNQUESTIONED);
        let most = args.max_settled.unwrap_or(most);
        if self.own_deleted > most {
            return lost(format!(
                "{} of {} files outside `{CACHE}` are gone from the bucket `{bucket}`, more than {most}",
                self.own_deleted, self.own
            ));
        }
        Ok(())
    }
}
