//! A [`Summary`] as text, and one line for each path that is reported while a run lasts.

use std::fmt::Write as _;

use super::{FileCount, LeftPath, Summary};
use crate::format::{binary_bytes, counted, grouped};
use crate::tree::Skipped;

/// Paths of each kind that the text repeats at the end.
const REPEATED: usize = 10;

impl Summary {
    /// How far the run is: `12 uploaded, 3 unchanged`.
    pub(crate) fn so_far(&self) -> String {
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

    /// The summary as text.
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
            line(deleted, counted(self.deleted, "object", "objects"));
        }
        if self.only_in_bucket > 0 {
            let objects = counted(self.only_in_bucket, "object", "objects");
            let value = format!("{objects}, not deleted");
            line("only in bucket", value);
        }
        if self.not_recorded > 0 {
            let value = format!(
                "{} of them not deleted by `--delete`: the journal has no record of a local file, so they may be Mastodon's own uploads",
                grouped(self.not_recorded)
            );
            line("", value);
        }
        if self.deleted_in_bucket > 0 {
            let value = format!(
                "{} that Mastodon has deleted in the bucket",
                counted(self.deleted_in_bucket, "file", "files")
            );
            line("not uploaded", value);
        }
        if self.excluded > 0 {
            line("excluded", counted(self.excluded, "file", "files"));
        }
        if self.hidden > 0 {
            let value = format!(
                "{} that Mastodon has hidden (suspended accounts), not uploaded; `--include-hidden` with `--include` or `--files-from` uploads them",
                counted(self.hidden, "file", "files")
            );
            line("hidden", value);
            if self.hidden_in_bucket > 0 {
                let number = grouped(self.hidden_in_bucket);
                line(
                    "",
                    format!("{number} of them in the bucket, uploaded before they were hidden"),
                );
            }
        }
        for (reason, number) in &self.conflicts {
            line(
                "left",
                format!("{}: {}", grouped(*number), reason.description()),
            );
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
            retries => format!(
                "{}, including {}",
                grouped(self.requests),
                counted(retries, "retry", "retries")
            ),
        };
        line("requests", requests);
        text
    }

    /// What went wrong, by path: for `--quiet`, which reports nothing while the run lasts.
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

/// One line about a file that failed. Control characters are escaped, here and below: a name may have
/// any, and a terminal would interpret them.
pub(crate) fn fail_line(path: &str, error: &str) -> String {
    format!("failed: `{}`: {error}", path.escape_debug())
}

/// One line about a path that is left.
pub(super) fn conflict_line(left: &LeftPath) -> String {
    format!(
        "left: `{}`: {}",
        left.path.escape_debug(),
        left.reason.description()
    )
}

/// One line about a hidden file.
pub(super) fn hidden_line(path: &str) -> String {
    format!("hidden: `{}`: not uploaded", path.escape_debug())
}

/// One line about a skipped entry.
pub(super) fn skip_line(skipped: &Skipped) -> String {
    let path = skipped.path.escape_debug().to_string();
    match &skipped.detail {
        Some(detail) => format!("skipped: `{path}`: {} ({detail})", skipped.reason),
        None => format!("skipped: `{path}`: {}", skipped.reason),
    }
}

/// `1,234 files (5.6 MiB)`.
fn count(count: FileCount) -> String {
    let files = counted(count.files, "file", "files");
    format!("{files} ({})", binary_bytes(count.bytes))
}
