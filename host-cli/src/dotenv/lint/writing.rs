//! How the file and its values are written: quotes, spaces, duplicates, stray lines.

use super::super::settings::{is_secret, looks_like_a_key};
use super::super::{Assignment, Quoting};
use super::{Finding, Lint, Severity, concerns_media};

impl Lint<'_> {
    /// The file as a whole.
    pub(super) fn file(&mut self) {
        if let Some(mode) = self.known.mode.filter(|mode| mode & 0o007 != 0) {
            self.findings.push(Finding {
                rule: "file-mode",
                severity: Severity::Warning,
                line: None,
                key: None,
                message: format!(
                    "everybody on this machine may read the file: its mode is {mode:04o}"
                ),
                mend: "`chmod o-rwx` it; it holds the instance's secrets".to_owned(),
            });
        }
        for (line, text) in self.document.stray_lines() {
            let not_ended = text.iter().any(|b| matches!(b, b'\'' | b'"'));
            self.findings.push(Finding {
                rule: "stray-line",
                severity: Severity::Warning,
                line: Some(line),
                key: None,
                message: "the line is neither `NAME=value` nor a comment, and is passed over"
                    .to_owned(),
                mend: if not_ended {
                    "look for a quote that is not closed on the line or above it".to_owned()
                } else {
                    "put `#` before it, or take it out".to_owned()
                },
            });
        }
    }

    /// How values are written.
    pub(super) fn writing(&mut self) {
        let document = self.document;
        let assignments = document.assignments();
        for (index, (line, assignment)) in assignments.iter().enumerate() {
            let key = assignment.key();
            if !concerns_media(key) {
                continue;
            }
            if assignments[index + 1..].iter().any(|(_, a)| a.key() == key) {
                self.findings.push(Finding {
                    rule: "duplicate",
                    severity: Severity::Warning,
                    line: Some(*line),
                    key: Some(key.to_owned()),
                    message: format!("`{key}` is set again further down, and the last one counts"),
                    mend: "take this line out".to_owned(),
                });
                continue;
            }
            self.spelling(assignment);
        }
    }

    fn spelling(&mut self, assignment: &Assignment) {
        let key = assignment.key();
        let written = assignment.written();
        let value = assignment.value();
        if value.trim_ascii().is_empty() && key != "S3_PERMISSION" && key != "EXTRA_MEDIA_HOSTS" {
            self.error(
                "empty-value",
                key,
                format!("`{key}` is set to nothing, which is not the same as not set"),
                "give it a value, or take the line out",
            );
        }
        if value.trim_ascii().len() != value.len() {
            self.error(
                "outer-space",
                key,
                format!("`{key}` begins or ends with a space inside its quotes"),
                "take the space out",
            );
        } else if assignment.after().starts_with(b" ") || assignment.after().starts_with(b"\t") {
            let comment = assignment.after().trim_ascii_start().starts_with(b"#");
            if !comment {
                self.warning(
                    "trailing-space",
                    key,
                    format!("a space follows the value of `{key}`; Docker takes it as part of it"),
                    "take the space out",
                );
            }
        }
        let text = String::from_utf8_lossy(&value);
        let strange_quote = |c: char| "'\"`“”‘’«»".contains(c);
        if text.starts_with(strange_quote) || text.ends_with(strange_quote) {
            self.error(
                "quotes-in-value",
                key,
                format!(
                    "the value of `{key}` has a quote in it, as when one is pasted with its quotes"
                ),
                "write the value without any",
            );
        } else if assignment.quoting() != Quoting::Bare && key.starts_with("AWS_") {
            self.warning(
                "quoted-key",
                key,
                format!(
                    "`{key}` is quoted; `docker run --env-file` takes the quotes as part of it"
                ),
                "write the value without quotes",
            );
        }
        if assignment.quoting() == Quoting::Bare && assignment.after().starts_with(b"#") {
            self.error(
                "cut-at-hash",
                key,
                format!("the value of `{key}` ends at the `#`, the rest is read as a comment"),
                "put the value into single quotes",
            );
        }
        if assignment.quoting() != Quoting::Single && written.contains(&b'$') {
            self.warning(
                "dollar",
                key,
                format!("`{key}` has a `$`, which is replaced by a variable's value"),
                "put the value into single quotes",
            );
        }
        if std::str::from_utf8(&value).is_err() {
            self.error(
                "not-utf8",
                key,
                format!("the value of `{key}` has bytes that are not UTF-8"),
                "type it anew",
            );
        } else if text
            .chars()
            .any(|c| c.is_control() || "\u{feff}\u{200b}\u{a0}".contains(c))
        {
            self.error(
                "invisible",
                key,
                format!("the value of `{key}` has a character in it that does not show"),
                "type it anew, rather than paste it",
            );
        }
        if !is_secret(key) && looks_like_a_key(&text) {
            self.error(
                "key-in-wrong-place",
                key,
                format!("`{key}` holds what looks like an application key"),
                "the key belongs into `AWS_SECRET_ACCESS_KEY`, its id into `AWS_ACCESS_KEY_ID`",
            );
        }
    }
}
