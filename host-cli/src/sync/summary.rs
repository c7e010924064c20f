//! What a run did: counters, and the paths where something went wrong. [`text`] is the same for people.

mod text;

use std::collections::BTreeMap;

use serde::Serialize;

pub(super) use self::text::fail_line;
use self::text::{conflict_line, hidden_line, skip_line};

use crate::decide::Conflict;
use crate::exit::Exit;
use crate::tree::{SkipReason, Skipped};

/// Paths of each kind that are kept; every one is reported while the run lasts.
const KEPT: usize = 1000;

/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FileCount {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl FileCount {
    pub(super) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// A file that the bucket did not take.
#[derive(Clone, Debug, Serialize)]
pub struct FailedFile {
    /// Its path.
    pub path: String,
    /// Why.
    pub error: String,
}

/// A path where file and object were left as they are.
#[derive(Clone, Debug, Serialize)]
pub struct LeftPath {
    /// The path.
    pub path: String,
    /// Why.
    pub reason: Conflict,
}

/// The report of a run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Summary {
    /// Nothing was changed: what counts as uploaded and deleted would have been.
    pub dry_run: bool,
    /// Ended by Ctrl-C or SIGTERM.
    pub interrupted: bool,
    /// Sent, and confirmed by the bucket.
    pub uploaded: FileCount,
    /// File and object are the same.
    pub unchanged: FileCount,
    /// Deleted from the bucket.
    pub deleted: u64,
    /// Objects without a local file, left.
    pub only_in_bucket: u64,
    /// Those of them that `--delete` left, because no record shows that they were files here.
    pub not_recorded: u64,
    /// The first thousand of them.
    pub not_recorded_paths: Vec<String>,
    /// Local files whose object Mastodon has deleted: not sent again.
    pub deleted_in_bucket: u64,
    /// Paths where file and object differ and were left, by reason.
    pub conflicts: BTreeMap<Conflict, u64>,
    /// The first thousand of them.
    pub conflict_paths: Vec<LeftPath>,
    /// Files that Mastodon has hidden: not sent.
    pub hidden: u64,
    /// Those of them that are in the bucket, from before they were hidden.
    pub hidden_in_bucket: u64,
    /// The first thousand hidden ones.
    pub hidden_paths: Vec<String>,
    /// Files that the bucket did not take.
    pub failed: u64,
    /// The first thousand of them.
    pub failures: Vec<FailedFile>,
    /// Skipped entries, by reason.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// The first thousand of them.
    pub skips: Vec<Skipped>,
    /// Paths excluded by `--include` and `--exclude`.
    pub excluded: u64,
    /// Requests sent, retries included.
    pub requests: u64,
    /// Retries.
    pub retries: u64,
    /// Duration of the run.
    pub seconds: f64,
    /// Why the run stopped before its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

impl Summary {
    /// Counts a skipped entry. Returns the line that reports it.
    pub(super) fn skip(&mut self, skipped: Skipped) -> String {
        *self.skipped.entry(skipped.reason).or_default() += 1;
        let line = skip_line(&skipped);
        keep(&mut self.skips, skipped);
        line
    }

    /// Counts a path where file and object are left. Returns the line that reports it.
    pub(super) fn conflict(&mut self, path: String, reason: Conflict) -> String {
        *self.conflicts.entry(reason).or_default() += 1;
        let left = LeftPath { path, reason };
        let line = conflict_line(&left);
        keep(&mut self.conflict_paths, left);
        line
    }

    /// Counts a hidden file. Returns the line that reports it.
    pub(super) fn hide(&mut self, path: String, in_bucket: bool) -> String {
        self.hidden += 1;
        self.hidden_in_bucket += u64::from(in_bucket);
        let mut line = hidden_line(&path);
        if in_bucket {
            line.push_str("; the bucket has it, since it was uploaded before it was hidden");
        }
        keep(&mut self.hidden_paths, path);
        line
    }

    /// Counts an object that `--delete` leaves. Returns the line that reports it.
    pub(super) fn leave_not_recorded(&mut self, path: String) -> String {
        self.not_recorded += 1;
        let line = format!(
            "left: `{}`: only in the bucket, and the journal has no record of a local file",
            path.escape_debug()
        );
        keep(&mut self.not_recorded_paths, path);
        line
    }

    pub(super) fn fail(&mut self, path: String, error: String) {
        self.failed += 1;
        keep(&mut self.failures, FailedFile { path, error });
    }

    /// Skipped entries of every reason.
    pub fn skipped_total(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Conflicts of every reason.
    pub fn conflicts_total(&self) -> u64 {
        self.conflicts.values().sum()
    }

    /// Paths that should have been copied and were not. A file that a running instance has deleted is not
    /// counted.
    fn problems(&self) -> u64 {
        let vanished = self.skipped.get(&SkipReason::Vanished);
        let skipped = self.skipped_total() - vanished.copied().unwrap_or(0);
        self.failed + skipped + self.conflicts_total()
    }

    /// Whether nothing was done and nothing went wrong.
    pub fn is_empty(&self) -> bool {
        self.done().files == 0 && self.problems() == 0 && self.hidden == 0
    }

    /// Files that are done: uploaded or found equal.
    pub fn done(&self) -> FileCount {
        FileCount {
            files: self.uploaded.files + self.unchanged.files,
            bytes: self.uploaded.bytes + self.unchanged.bytes,
        }
    }

    /// The exit code of a run that was not stopped by an error.
    pub fn exit(&self) -> Exit {
        if self.interrupted {
            Exit::Interrupted
        } else if self.problems() > 0 {
            Exit::Partly
        } else {
            Exit::Done
        }
    }
}

fn keep<T>(kept: &mut Vec<T>, one: T) {
    if kept.len() < KEPT {
        kept.push(one);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_is_that_of_the_worst_result() {
        let mut summary = Summary::default();
        let skipped = |reason| Skipped {
            path: "a".to_owned(),
            reason,
            detail: None,
        };
        summary.skip(skipped(SkipReason::Vanished));
        summary.hide("b".to_owned(), true);
        summary.deleted_in_bucket = 1;
        assert_eq!(summary.exit(), Exit::Done);
        summary.conflict("c".to_owned(), Conflict::NotOurs);
        assert_eq!(summary.exit(), Exit::Partly);
        summary.conflicts.clear();
        summary.skip(skipped(SkipReason::Symlink));
        assert_eq!(summary.exit(), Exit::Partly);
        summary.interrupted = true;
        assert_eq!(summary.exit(), Exit::Interrupted);
    }

    #[test]
    fn the_text_names_what_went_wrong() {
        let mut summary = Summary::default();
        summary.uploaded.add(2048);
        summary.fail("a/b".to_owned(), "no answer in time".to_owned());
        let text = summary.text();
        assert!(text.contains("uploaded  1 file (2.0 KiB)"), "{text}");
        let text = summary.problem_lines();
        assert!(text.contains("failed: `a/b`: no answer in time"), "{text}");
    }
}
