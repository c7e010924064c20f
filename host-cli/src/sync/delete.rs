//! `--delete`: deletes objects whose local file is gone, where every guard allows it.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Instant;

use super::ownership::CONFIRM_OWNER_EVERY;
use super::summary::Summary;
use crate::error::{Error, Result};
use crate::interrupt::Interrupt;
use crate::pairs::{Pair, Pairs};
use crate::s3::Client;

/// Deletions of one run without `--max-delete`: this many, and one in ten of all objects, at most.
const MAX_DELETIONS: u64 = 1000;
const OBJECTS_PER_DELETION: u64 = 10;

/// The owner of the media is also confirmed after so many deletions.
const CONFIRM_OWNER_AFTER: usize = 100;

/// Objects whose local file is gone.
#[derive(Debug)]
pub(super) struct ToDelete {
    /// Keys of the first of them, as many as may be deleted.
    keys: Vec<String>,
    total: u64,
    /// `--max-delete`.
    max: Option<u64>,
    dry_run: bool,
    root: PathBuf,
}

impl ToDelete {
    /// For the directory `root`; `max` is `--max-delete`.
    pub(super) fn new(root: PathBuf, max: Option<u64>, dry_run: bool) -> Self {
        ToDelete {
            keys: Vec::new(),
            total: 0,
            max,
            dry_run,
            root,
        }
    }

    pub(super) fn add(&mut self, pair: &Pair) {
        self.total += 1;
        if self.total <= self.max()
            && let Some(object) = &pair.object
        {
            self.keys.push(object.key.clone());
        }
    }

    fn max(&self) -> u64 {
        self.max.unwrap_or(MAX_DELETIONS)
    }

    /// Deletes until interrupted. `confirm_owner` fails where the owner of the media has changed: called
    /// before the first deletion and again while it lasts.
    pub(super) async fn delete(
        &self,
        client: &Client,
        pairs: &Pairs,
        summary: &mut Summary,
        interrupt: &Interrupt,
        confirm_owner: impl AsyncFn() -> Result<()>,
    ) -> Result<()> {
        if self.total == 0 {
            return Ok(());
        }
        let bucket = &client.target().bucket;
        self.check(bucket, pairs)?;
        let mut confirmed = None;
        for (number, key) in self.keys.iter().enumerate() {
            if interrupt.is_set() {
                summary.interrupted = true;
                return Ok(());
            }
            let due = confirmed.is_none_or(|at: Instant| at.elapsed() >= CONFIRM_OWNER_EVERY);
            if due || number % CONFIRM_OWNER_AFTER == 0 {
                confirm_owner().await?;
                confirmed = Some(Instant::now());
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

    /// Fails where a file that seems to be gone may exist, or where too many are gone.
    fn check(&self, bucket: &str, pairs: &Pairs) -> Result<()> {
        const LIST: &str = "list them with `--delete --dry-run --verbose`; to delete them, raise the limit with `--max-delete`";
        let refused = |cause: String, hint: &str| {
            let operation = format!("delete {} objects of the bucket `{bucket}`", self.total);
            let cause = format!("{cause}; nothing was deleted");
            Err(Error::new(operation).cause(cause).hint(hint))
        };
        let now = std::fs::metadata(&self.root).ok();
        if now.map(|now| (now.dev(), now.ino())) != pairs.root_id() {
            return refused(
                format!(
                    "`{}` is no longer the directory that it was when this run began",
                    self.root.display()
                ),
                "check that its disk is mounted, then run the command again",
            );
        }
        if !pairs.saw_all_directories() {
            return refused(
                "a directory could not be listed, and files that seem to be deleted may be in it"
                    .to_owned(),
                "make every directory readable, rename one whose name cannot be a key's, follow links with `--follow-links` or put a bind mount in their place, then run the command again",
            );
        }
        if self.total > self.max() {
            return refused(
                format!("that is more than the {} allowed", self.max()),
                LIST,
            );
        }
        let share = pairs.objects() / OBJECTS_PER_DELETION;
        if self.max.is_none() && self.total > share {
            return refused(
                format!(
                    "that is more than a tenth of the {} objects in the bucket",
                    pairs.objects()
                ),
                LIST,
            );
        }
        Ok(())
    }
}
