//! What a run did: counted, and what went wrong by name. The text and the JSON say the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::decide::Conflict;
use crate::exit::Exit;
use crate::format::{binary_bytes, counted, grouped};
use crate::tree::{SkipReason, Skipped};

/// How many names of each kind are kept; all of them are told while the run goes on.
const KEPT: usize = 1000;

/// How many names of each kind the text repeats at the end.
const REPEATED: usize = 10;

/// Files and their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How many files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Count {
    pub(super) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// A file that the bucket did not take.
#[derive(Clone, Debug, Serialize)]
pub struct Failure {
    /// Its path.
    pub path: String,
    /// Why.
    pub error: String,
}

/// A path where both sides were left as they are.
#[derive(Clone, Debug, Serialize)]
pub struct Left {
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
    pub uploaded: Count,
    /// The same on both sides.
    pub unchanged: Count,
    /// Deleted from the bucket.
    pub deleted: u64,
    /// Objects without a local file, left alone.
    pub only_in_bucket: u64,
    /// Those of them that `--delete` left: no record says that they ever were files here.
    pub not_recorded: u64,
    /// The first thousand of them.
    pub not_recorded_paths: Vec<String>,
    /// Objects that Mastodon has deleted and whose files are still here: left so.
    pub deleted_there: u64,
    /// Paths where both sides differ and were left, by reason.
    pub conflicts: BTreeMap<Conflict, u64>,
    /// The first thousand of them.
    pub conflict_paths: Vec<Left>,
    /// Files that Mastodon has hidden, left out.
    pub hidden: u64,
    /// Those of them that are in the bucket all the same, from before they were hidden.
    pub hidden_in_bucket: u64,
    /// The first thousand hidden ones.
    pub hidden_paths: Vec<String>,
    /// Files that the bucket did not take.
    pub failed: u64,
    /// The first thousand of them.
    pub failures: Vec<Failure>,
    /// Entries passed over, by reason.
    pub skipped: BTreeMap<SkipReason, u64>,
    /// The first thousand of them.
    pub skips: Vec<Skipped>,
    /// Paths left out by `--include` and `--exclude`.
    pub excluded: u64,
    /// Requests sent, retries included.
    pub requests: u64,
    /// Requests sent again.
    pub retries: u64,
    /// Time from the beginning.
    pub seconds: f64,
    /// Why the run stopped before its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

impl Summary {
    /// Counts an entry that is passed over, and says so.
    pub(super) fn skip(&mut self, skipped: Skipped) -> String {
        *self.skipped.entry(skipped.reason).or_default() += 1;
        let line = skip_line(&skipped);
        keep(&mut self.skips, skipped);
        line
    }

    /// Counts a path that is left as it is, and says so.
    pub(super) fn conflict(&mut self, path: String, reason: Conflict) -> String {
        *self.conflicts.entry(reason).or_default() += 1;
        let left = Left { path, reason };
        let line = conflict_line(&left);
        keep(&mut self.conflict_paths, left);
        line
    }

    /// Counts a hidden file, and says so.
    pub(super) fn hide(&mut self, path: String, in_bucket: bool) -> String {
        self.hidden += 1;
        self.hidden_in_bucket += u64::from(in_bucket);
        let mut line = hidden_line(&path);
        if in_bucket {
            line.push_str("; the bucket has it, from before it was hidden");
        }
        keep(&mut self.hidden_paths, path);
        line
    }

    /// Counts an object that `--delete` leaves, and says so.
    pub(super) fn leave_not_recorded(&mut self, path: String) -> String {
        self.not_recorded += 1;
        let line = format!(
            "left: `{}`: in the bucket only, and no record says that it is the file that was here",
            path.escape_debug()
        );
        keep(&mut self.not_recorded_paths, path);
        line
    }

    pub(super) fn fail(&mut self, path: String, error: String) {
        self.failed += 1;
        keep(&mut self.failures, Failure { path, error });
    }

    /// Entries passed over, all reasons together.
    pub fn skipped_total(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Paths that were left as they are, all reasons together.
    pub fn conflicts_total(&self) -> u64 {
        self.conflicts.values().sum()
    }

    /// What did not go as asked. That a running instance deletes files meanwhile is nothing of the kind.
    fn problems(&self) -> u64 {
        let vanished = self.skipped.get(&SkipReason::Vanished);
        let skipped = self.skipped_total() - vanished.copied().unwrap_or(0);
        self.failed + skipped + self.conflicts_total()
    }

    /// How far the run is: `12 uploaded, 3 unchanged`.
    pub(super) fn so_far(&self) -> String {
        let mut text = format!(
            "{} uploaded, {} unchanged",
            grouped(self.uploaded.files),
            grouped(self.unchanged.files)
        );
        if self.problems() > 0 {
            let _ = write!(text, ", {} with problems", grouped(self.problems()));
        }
        text
    }

    /// Whether nothing was done and nothing went wrong.
    pub fn is_empty(&self) -> bool {
        self.done().files == 0 && self.problems() == 0 && self.hidden == 0
    }

    /// Files that are done: uploaded or found equal.
    pub fn done(&self) -> Count {
        Count {
            files: self.uploaded.files + self.unchanged.files,
            bytes: self.uploaded.bytes + self.unchanged.bytes,
        }
    }

    /// The exit code of a run that came to its end.
    pub fn exit(&self) -> Exit {
        if self.interrupted {
            Exit::Interrupted
        } else if self.problems() > 0 {
            Exit::Partly
        } else {
            Exit::Done
        }
    }

    /// The report as text.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let (sent, deleted) = if self.dry_run {
            ("would upload", "would delete")
        } else {
            ("uploaded", "deleted")
        };
        let mut line = |name: &str, value: String| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{name:>14}  {value}");
        };
        line(sent, count(self.uploaded));
        line("unchanged", count(self.unchanged));
        if self.deleted > 0 {
            line(deleted, format!("{} objects", grouped(self.deleted)));
        }
        if self.only_in_bucket > 0 {
            let value = format!("{} objects, left alone", grouped(self.only_in_bucket));
            line("only in bucket", value);
        }
        if self.not_recorded > 0 {
            let value = format!(
                "{} of them that `--delete` leaves: no record says that they ever were files here, so they may be Mastodon's own uploads",
                grouped(self.not_recorded)
            );
            line("", value);
        }
        if self.deleted_there > 0 {
            let value = format!(
                "{} that Mastodon has deleted in the bucket, left so",
                counted(self.deleted_there, "file", "files")
            );
            line("deleted there", value);
        }
        if self.excluded > 0 {
            line("excluded", format!("{} files", grouped(self.excluded)));
        }
        if self.hidden > 0 {
            let value = format!(
                "{} that Mastodon has hidden (suspended accounts), left out; `--include-hidden` with `--include` or `--files-from` sends them",
                counted(self.hidden, "file", "files")
            );
            line("hidden", value);
            if self.hidden_in_bucket > 0 {
                let number = grouped(self.hidden_in_bucket);
                line(
                    "",
                    format!("{number} of them are in the bucket all the same, from before"),
                );
            }
        }
        for (reason, number) in &self.conflicts {
            line("left", format!("{}: {}", grouped(*number), reason.words()));
        }
        line("failed", grouped(self.failed));
        line("skipped", grouped(self.skipped_total()));
        for (reason, number) in &self.skipped {
            line("", format!("{}: {reason}", grouped(*number)));
        }
        let rate = if self.seconds > 0.0 {
            format!(
                ", {}/s",
                binary_bytes((self.uploaded.bytes as f64 / self.seconds) as u64)
            )
        } else {
            String::new()
        };
        line("time", format!("{:.1} s{rate}", self.seconds));
        let requests = match self.retries {
            0 => grouped(self.requests),
            again => format!(
                "{}, of these {} again",
                grouped(self.requests),
                grouped(again)
            ),
        };
        line("requests", requests);
        text
    }

    /// What went wrong, by name: for those who were not told while the run went on.
    pub fn problem_lines(&self) -> String {
        let failed = self.failures.iter().map(|f| fail_line(&f.path, &f.error));
        let left = self.conflict_paths.iter().map(conflict_line);
        let skipped = self.skips.iter().map(skip_line);
        let mut text = String::new();
        for (lines, total, what) in [
            (failed.collect::<Vec<_>>(), self.failed, "failed"),
            (left.collect(), self.conflicts_total(), "were left"),
            (skipped.collect(), self.skipped_total(), "were skipped"),
        ] {
            for line in lines.iter().take(REPEATED) {
                let _ = writeln!(text, "{line}");
            }
            let more = total.saturating_sub(REPEATED as u64);
            if more > 0 {
                let _ = writeln!(
                    text,
                    "… and {more} more {what}; without `--quiet` all are named"
                );
            }
        }
        text
    }
}

fn keep<T>(kept: &mut Vec<T>, one: T) {
    if kept.len() < KEPT {
        kept.push(one);
    }
}

/// One line about a file that failed. A name may hold anything, a line break too: what a terminal would
/// obey is escaped, here and below.
pub(super) fn fail_line(path: &str, error: &str) -> String {
    format!("failed: `{}`: {error}", path.escape_debug())
}

/// One line about a path that is left.
fn conflict_line(left: &Left) -> String {
    format!(
        "left: `{}`: {}",
        left.path.escape_debug(),
        left.reason.words()
    )
}

/// One line about a hidden file.
fn hidden_line(path: &str) -> String {
    format!("hidden: `{}`: left out", path.escape_debug())
}

/// One line about a skipped entry.
fn skip_line(skipped: &Skipped) -> String {
    let path = skipped.path.escape_debug().to_string();
    match &skipped.detail {
        Some(detail) => format!("skipped: `{path}`: {} ({detail})", skipped.reason),
        None => format!("skipped: `{path}`: {}", skipped.reason),
    }
}

/// `1,234 files (5.6 MiB)`.
fn count(count: Count) -> String {
    let files = counted(count.files, "file", "files");
    format!("{files} ({})", binary_bytes(count.bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exit_code_tells_the_worst() {
        let mut summary = Summary::default();
        let skipped = |reason| Skipped {
            path: "a".to_owned(),
            reason,
            detail: None,
        };
        summary.skip(skipped(SkipReason::Vanished));
        summary.hide("b".to_owned(), true);
        summary.deleted_there = 1;
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
    fn the_report_names_what_went_wrong() {
        let mut summary = Summary::default();
        summary.uploaded.add(2048);
        summary.fail("a/b".to_owned(), "no answer in time".to_owned());
        let text = summary.text();
        assert!(text.contains("uploaded  1 file (2.0 KiB)"), "{text}");
        let text = summary.problem_lines();
        assert!(text.contains("failed: `a/b`: no answer in time"), "{text}");
    }
}
