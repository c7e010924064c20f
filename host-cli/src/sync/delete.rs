//! `--delete`: what is only in the bucket goes, where every guard allows it.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::summary::Summary;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::pairs::{Pair, Pairs};
use crate::s3::Client;

/// Most deletions of one run, where nobody has said how many: the least of both.
const MOST_DELETIONS: u64 = 1000;
/// One in so many of the objects that are there.
const SHARE_OF_DELETIONS: u64 = 10;

/// After so many deletions the owner of the media is asked for again.
const ASK_AFTER: usize = 100;
/// After so much time too.
const ASK_EVERY: Duration = Duration::from_secs(60);

/// Objects whose local file is gone.
#[derive(Debug)]
pub(super) struct ToDelete {
    /// As many as may be deleted.
    keys: Vec<String>,
    total: u64,
    /// None: a thousand, and a tenth of those that are there.
    most: Option<u64>,
    dry_run: bool,
    root: PathBuf,
}

impl ToDelete {
    /// Of the directory `root`; `most`: more than this are not deleted.
    pub(super) fn new(root: PathBuf, most: Option<u64>, dry_run: bool) -> Self {
        ToDelete {
            keys: Vec::new(),
            total: 0,
            most,
            dry_run,
            root,
        }
    }

    pub(super) fn add(&mut self, pair: &Pair) {
        self.total += 1;
        if self.total <= self.most()
            && let Some(object) = &pair.object
        {
            self.keys.push(object.key.clone());
        }
    }

    fn most(&self) -> u64 {
        self.most.unwrap_or(MOST_DELETIONS)
    }

    /// Deletes until interrupted, where `owner_is_the_same` after all else was looked at: asked before
    /// the first, and again while it goes on.
    pub(super) async fn delete(
        &self,
        client: &Client,
        pairs: &Pairs,
        summary: &mut Summary,
        interrupt: &Interrupt,
        owner_is_the_same: impl AsyncFn() -> Result<()>,
    ) -> Result<()> {
        if self.total == 0 {
            return Ok(());
        }
        let bucket = &client.target().bucket;
        self.check(bucket, pairs)?;
        let mut asked = None;
        for (number, key) in self.keys.iter().enumerate() {
            if interrupt.is_set() {
                summary.interrupted = true;
                return Ok(());
            }
            let due = asked.is_none_or(|asked: Instant| asked.elapsed() >= ASK_EVERY);
            if due || number % ASK_AFTER == 0 {
                owner_is_the_same().await?;
                asked = Some(Instant::now());
            }
            if !self.dry_run {
                client.delete_object(key).await.map_err(|e| {
                    e.into_error(format!("delete `{key}` of the bucket `{bucket}`"))
                })?;
            }
            summary.deleted += 1;
        }
        Ok(())
    }

    /// Every reason to delete nothing of what seems to be gone.
    fn check(&self, bucket: &str, pairs: &Pairs) -> Result<()> {
        const LOOK: &str = "look at them with `--delete --dry-run --verbose`; if they are to go, allow as many with `--max-delete`";
        let refused = |cause: String, hint: &str| {
            let operation = format!("delete {} objects of the bucket `{bucket}`", self.total);
            let cause = format!("{cause}; nothing was deleted");
            Err(Error::new(operation).cause(cause).hint(hint))
        };
        let now = std::fs::metadata(&self.root).ok();
        if now.map(|now| (now.dev(), now.ino())) != pairs.root_id() {
            return refused(
                format!(
                    "`{}` is not the directory it was when this run began",
                    self.root.display()
                ),
                "check that its disk is mounted, then run the command again",
            );
        }
        if !pairs.saw_everything() {
            return refused(
                "a directory could not be looked into, and what seems missing may be in it"
                    .to_owned(),
                "make every directory readable, rename one whose name cannot be a key's, follow links with `--follow-links` or put a bind mount in their place, then run the command again",
            );
        }
        if self.total > self.most() {
            return refused(
                format!("that is more than the {} allowed", self.most()),
                LOOK,
            );
        }
        let share = pairs.objects() / SHARE_OF_DELETIONS;
        if self.most.is_none() && self.total > share {
            return refused(
                format!(
                    "that is more than a tenth of the {} that are there",
                    pairs.objects()
                ),
                LOOK,
            );
        }
        Ok(())
    }
}
