//! What a run did: counted, and what went wrong by name. The text and the JSON say the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytesize::ByteSize;
use serde::Serialize;

use super::walk::{SkipReason, Skipped};
use crate::exit::Exit;

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
    pub(super) fn skip(&mut self, skipped: Skipped) {
        *self.skipped.entry(skipped.reason).or_default() += 1;
        if self.skips.len() < KEPT {
            self.skips.push(skipped);
        }
    }

    pub(super) fn fail(&mut self, path: String, error: String) {
        self.failed += 1;
        if self.failures.len() < KEPT {
            self.failures.push(Failure { path, error });
        }
    }

    /// Entries passed over, all reasons together.
    pub fn skipped_total(&self) -> u64 {
        self.skipped.values().sum()
    }

    /// Whether nothing was done and nothing went wrong.
    pub fn is_empty(&self) -> bool {
        self.done().files == 0 && self.failed == 0 && self.skipped_total() == 0
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
        } else if self.failed > 0 || self.skipped_total() > 0 {
            Exit::Partly
        } else {
            Exit::Done
        }
    }

    /// The report as text. `names` repeats what failed and what was skipped, for those who were
    /// not told while the run went on.
    pub fn text(&self, names: bool) -> String {
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
        if self.excluded > 0 {
            line("excluded", format!("{} files", grouped(self.excluded)));
        }
        line("failed", grouped(self.failed));
        line("skipped", grouped(self.skipped_total()));
        for (reason, number) in &self.skipped {
            line("", format!("{}: {reason}", grouped(*number)));
        }
        let rate = if self.seconds > 0.0 {
            format!(
                ", {}/s",
                bytes((self.uploaded.bytes as f64 / self.seconds) as u64)
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
        if !names {
            return text;
        }
        for failure in self.failures.iter().take(REPEATED) {
            let _ = writeln!(text, "{}", fail_line(&failure.path, &failure.error));
        }
        if self.failed > REPEATED as u64 {
            let _ = writeln!(
                text,
                "… and {} more failed; without `--quiet` all are named",
                self.failed - REPEATED as u64
            );
        }
        for skipped in self.skips.iter().take(REPEATED) {
            let _ = writeln!(text, "{}", skip_line(skipped));
        }
        if self.skipped_total() > REPEATED as u64 {
            let more = self.skipped_total() - REPEATED as u64;
            let _ = writeln!(
                text,
                "… and {more} more skipped; without `--quiet` all are named"
            );
        }
        text
    }
}

/// One line about a file that failed. A name may hold anything, a line break too: what a terminal would
/// obey is escaped, here and below.
pub(super) fn fail_line(path: &str, error: &str) -> String {
    format!("failed: `{}`: {error}", path.escape_debug())
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
pub(super) fn count(count: Count) -> String {
    let files = if count.files == 1 { "file" } else { "files" };
    format!("{} {files} ({})", grouped(count.files), bytes(count.bytes))
}

/// `5.6 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    ByteSize::b(bytes).display().iec().to_string()
}

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_three() {
        for (number, expected) in [
            (0, "0"),
            (999, "999"),
            (1000, "1,000"),
            (1_234_567, "1,234,567"),
        ] {
            assert_eq!(grouped(number), expected);
        }
    }

    #[test]
    fn the_exit_code_tells_the_worst() {
        let mut summary = Summary::default();
        assert_eq!(summary.exit(), Exit::Done);
        summary.skip(Skipped {
            path: "a".to_owned(),
            reason: SkipReason::Symlink,
            detail: None,
        });
        assert_eq!(summary.exit(), Exit::Partly);
        summary.interrupted = true;
        assert_eq!(summary.exit(), Exit::Interrupted);
    }

    #[test]
    fn the_report_names_what_went_wrong() {
        let mut summary = Summary::default();
        summary.uploaded.add(2048);
        summary.fail("a/b".to_owned(), "no answer in time".to_owned());
        let text = summary.text(true);
        assert!(text.contains("uploaded  1 file (2.0 KiB)"), "{text}");
        assert!(text.contains("failed: `a/b`: no answer in time"), "{text}");
    }
}
