//! The report of `prune`.

use std::path::PathBuf;

use serde::Serialize;

use super::pruner::PruneOutcome;
use super::{Proof, PruneArgs};
use crate::context::Context;
use crate::directory_and_bucket::DirectoryAndBucket;
use crate::error::Result;
use crate::format::{counted, human_bytes};
use crate::pairs::Pair;
use crate::prove::ReadError;
use crate::reported::ReportedPaths;

#[derive(Debug, Serialize)]
pub(super) struct PruneReport {
    pub(super) directory: PathBuf,
    pub(super) proof: Proof,
    pub(super) dry_run: bool,
    /// Files that were deleted, or would be.
    pub(super) deleted: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Those of them that Mastodon had deleted in the bucket.
    pub(super) deleted_in_bucket: u64,
    /// Bytes that were freed: less than `bytes` where files have other hard links.
    pub(super) freed: u64,
    pub(super) directories_removed: u64,
    /// Files that were deleted by others during the run.
    pub(super) vanished: u64,
    /// Files that were not deleted, and why.
    pub(super) kept: ReportedPaths,
    pub(super) interrupted: bool,
}

impl PruneReport {
    pub(super) fn of(args: &PruneArgs, media: &DirectoryAndBucket) -> PruneReport {
        PruneReport {
            directory: media.root.clone(),
            proof: args.prove,
            dry_run: args.dry_run,
            deleted: 0,
            bytes: 0,
            deleted_in_bucket: 0,
            freed: 0,
            directories_removed: 0,
            vanished: 0,
            kept: ReportedPaths::default(),
            interrupted: false,
        }
    }

    pub(super) fn add(
        &mut self,
        pair: &Pair,
        outcome: PruneOutcome,
        context: &Context,
    ) -> Result<()> {
        let path = &pair.path;
        match outcome {
            PruneOutcome::Deleted {
                deleted_in_bucket,
                freed,
            } => {
                self.deleted += 1;
                self.deleted_in_bucket += u64::from(deleted_in_bucket);
                self.bytes += pair.file_size();
                self.freed += freed;
                let verb = if self.dry_run {
                    "would delete"
                } else {
                    "deleted"
                };
                context.ui.detail(format!("{verb} {}", path.escape_debug()));
            }
            PruneOutcome::Vanished => self.vanished += 1,
            PruneOutcome::Kept(reason) => self.keep(path, reason, context),
            PruneOutcome::Refused(e) => {
                self.keep(path, ReadError::Service(*e).to_string(), context);
            }
            PruneOutcome::Stop(e) => return Err(e),
        }
        Ok(())
    }

    fn keep(&mut self, path: &str, reason: String, context: &Context) {
        let shown = path.escape_debug();
        context.ui.detail(format!("kept {shown}: {reason}"));
        self.kept.add(path, reason);
    }

    pub(super) fn text(&self) -> String {
        let proven = match self.proof {
            Proof::Read => "read back from the bucket and compared",
            Proof::Head => "compared with the bucket by size and MD5",
        };
        let verb = if self.dry_run {
            "would be deleted"
        } else {
            "deleted"
        };
        let each = if self.deleted == 1 { "" } else { "each " };
        let mut out = format!(
            "{} ({}) {verb}, {each}{proven}\n",
            counted(self.deleted, "file", "files"),
            human_bytes(self.bytes)
        );
        if self.deleted_in_bucket > 0 {
            out.push_str(&format!(
                "  {} deleted in the bucket by Mastodon\n",
                counted(self.deleted_in_bucket, "of them was", "of them were")
            ));
        }
        if self.vanished > 0 {
            out.push_str(&format!(
                "{} deleted by another process during this run\n",
                counted(self.vanished, "file was", "files were")
            ));
        }
        if self.kept.count > 0 {
            out.push_str(&format!(
                "{}:\n{}",
                counted(
                    self.kept.count,
                    "entry is not proven to be in the bucket and was kept",
                    "entries are not proven to be in the bucket and were kept"
                ),
                self.kept.lines()
            ));
        }
        if self.interrupted {
            out.push_str("interrupted; run the command again to continue\n");
        }
        if !self.dry_run {
            out.push_str(&format!(
                "freed {} in `{}`, and removed {}",
                human_bytes(self.freed),
                self.directory.display(),
                counted(
                    self.directories_removed,
                    "empty directory",
                    "empty directories"
                )
            ));
        }
        out
    }
}
