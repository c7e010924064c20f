//! The form of the file and its values: quotes, spaces, duplicates, stray lines.

use super::super::readers::Reader;
use super::super::settings::{has_key_form, is_secret, settings_inside};
use super::super::values::{Environment, Gem, Value, read};
use super::super::{Assignment, Quoting};
use super::{Lint, LintFinding, Severity, concerns_media};

impl Lint<'_> {
    /// The file as a whole.
    pub(super) fn file(&mut self) {
        if let Some(mode) = self.context.mode.filter(|mode| mode & 0o007 != 0) {
            self.findings.push(LintFinding {
                rule: "file-mode",
                severity: Severity::Warning,
                line: None,
                key: None,
                message: format!(
                    "every user of this machine can read the file: its mode is {mode:04o}"
                ),
                hint: "run `chmod o-rwx` on it: it contains the instance's secrets".to_owned(),
            });
        }
        for (line, text) in self.document.stray_lines() {
            let has_quote = text.iter().any(|b| matches!(b, b'\'' | b'"'));
            self.line(
                "stray-line",
                Severity::Warning,
                line,
                "the line is neither `NAME=value` nor a comment, and is ignored",
                if has_quote {
                    "look for an open quote on this line or above it"
                } else {
                    "comment it out with `#`, or remove it"
                },
            );
        }
        let lone_names = self.document.lone_names();
        for line in lone_names.into_iter().map(|(line, _)| line) {
            self.line(
                "lone-name",
                Severity::Error,
                line,
                "the line is a name without `=`: recent versions of Mastodon set that variable to nothing, whatever is set above",
                "comment it out with `#`, or remove it",
            );
        }
        if let Err(refused) = read(self.document, Gem::V3_1_5, &Environment::default()) {
            self.line(
                "refused",
                Severity::Error,
                refused.line(),
                &format!("Mastodon does not start with this file: {refused}"),
                "write `NAME=''` for an empty value, and the file as UTF-8",
            );
        }
        self.broken_assignments();
    }

    /// A finding about a line, without its content, which may be a secret.
    fn line(
        &mut self,
        rule: &'static str,
        severity: Severity,
        line: usize,
        message: &str,
        hint: &str,
    ) {
        self.findings.push(LintFinding {
            rule,
            severity,
            line: Some(line),
            key: None,
            message: message.to_owned(),
            hint: hint.to_owned(),
        });
    }

    /// Lines that the gem parses otherwise than they seem to be meant.
    fn broken_assignments(&mut self) {
        for (line, assignment) in self.document.assignments() {
            let text = String::from_utf8_lossy(assignment.written());
            if !is_single_quoted_text(assignment) && !settings_inside(&text).is_empty() {
                self.line(
                    "several-settings",
                    Severity::Error,
                    line,
                    "the line has several settings: everything after the first `=` is read as one value",
                    "write each setting on a line of its own",
                );
            }
            if assignment.separator.contains(&b'\n') || assignment.separator.contains(&b'\r') {
                let severity = if concerns_media(assignment.key()) {
                    Severity::Error
                } else {
                    Severity::Warning
                };
                self.line(
                    "next-line",
                    severity,
                    line,
                    "the value is read from a later line",
                    "write `NAME=''` for an empty value, and `NAME=value` on one line",
                );
            }
        }
    }

    /// Settings of other files that outrank this one.
    pub(super) fn outranked(&mut self) {
        for file in &self.context.outranking {
            let path = file.path.display();
            let values = match &file.values {
                Ok(values) => values,
                Err(why) => {
                    self.findings.push(LintFinding {
                        rule: "outranked",
                        severity: Severity::Error,
                        line: None,
                        key: None,
                        message: format!("`{path}` outranks this file and cannot be read: {why}"),
                        hint: "run the command as a user who may read it".to_owned(),
                    });
                    continue;
                }
            };
            for (key, value) in values {
                if concerns_media(key) && self.values.get(key) != Some(value) {
                    self.findings.push(LintFinding {
                        rule: "outranked",
                        severity: Severity::Error,
                        line: None,
                        key: Some(key.clone()),
                        message: format!("`{path}` sets `{key}` too, and outranks this file"),
                        hint: format!("remove `{key}` from `{path}`, or set it there"),
                    });
                }
            }
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
                self.findings.push(LintFinding {
                    rule: "duplicate",
                    severity: Severity::Warning,
                    line: Some(*line),
                    key: Some(key.to_owned()),
                    message: format!("`{key}` is set again below, and the last line counts"),
                    hint: "remove this line".to_owned(),
                });
                continue;
            }
            self.spelling(assignment);
        }
    }

    fn spelling(&mut self, assignment: &Assignment) {
        let key = assignment.key();
        let refers =
            assignment.quoting() != Quoting::Single && assignment.written().contains(&b'$');
        if refers && is_secret(key) {
            self.warning(
                "dollar",
                key,
                format!("`{key}` contains a `$`, which is replaced by the value of a variable"),
                "put the value into single quotes",
            );
            return;
        }
        let value = match self.values.get(key) {
            Some(Value::Known(value)) => value.clone(),
            Some(Value::Unresolved(reference)) => {
                let message = format!(
                    "`{key}` depends on `{reference}`, which is not set here: its value cannot be determined"
                );
                self.warning("unresolved", key, message, "write the value itself");
                return;
            }
            None => return,
        };
        if value.trim_ascii().is_empty() && key != "S3_PERMISSION" && key != "EXTRA_MEDIA_HOSTS" {
            self.error(
                "empty-value",
                key,
                format!("`{key}` has an empty value, which differs from not being set"),
                "set a value, or remove the line",
            );
        }
        self.outer_characters(assignment, &value);
        if assignment.quoting() == Quoting::Bare && assignment.after().starts_with(b"#") {
            self.error(
                "cut-at-hash",
                key,
                format!("the value of `{key}` ends at the `#`; the rest is read as a comment"),
                "put the value into single quotes",
            );
        }
        if value
            .chars()
            .any(|c| c.is_control() || "\u{feff}\u{200b}\u{a0}\u{fffd}".contains(c))
        {
            self.error(
                "invisible",
                key,
                format!("the value of `{key}` contains an invisible character"),
                "type it instead of pasting it",
            );
        }
        if !is_secret(key) && has_key_form(&value) {
            self.error(
                "key-in-wrong-place",
                key,
                format!("`{key}` has the form of an application key"),
                "set `AWS_SECRET_ACCESS_KEY` to the key, and `AWS_ACCESS_KEY_ID` to its id",
            );
        }
    }

    /// Spaces, quotes and comments at the ends of a value.
    fn outer_characters(&mut self, assignment: &Assignment, value: &str) {
        let key = assignment.key();
        let strange_quote = |c: char| "'\"`“”‘’«»".contains(c);
        if value.trim().len() != value.len() {
            self.error(
                "outer-space",
                key,
                format!("`{key}` begins or ends with a space inside its quotes"),
                "remove the space",
            );
        }
        if assignment.after().starts_with(b" ") && assignment.after().trim_ascii().is_empty() {
            self.warning(
                "trailing-space",
                key,
                format!("a space follows the value of `{key}`; `docker run --env-file` includes it in the value"),
                "remove the space",
            );
        }
        if value.starts_with(strange_quote) || value.ends_with(strange_quote) {
            self.error(
                "quotes-in-value",
                key,
                format!(
                    "the value of `{key}` begins or ends with a quote, as when it was pasted with quotes"
                ),
                "write the value without quotes",
            );
        } else if assignment.quoting() != Quoting::Bare && key.starts_with("AWS_") {
            self.warning(
                "quoted-key",
                key,
                format!(
                    "`{key}` is quoted; `docker run --env-file` includes the quotes in the value"
                ),
                "write the value without quotes",
            );
        } else if !assignment.written().contains(&b'$') {
            self.other_readers(key, value);
        }
    }

    /// Values that systemd's `EnvironmentFile=` or Compose reads differently.
    fn other_readers(&mut self, key: &str, value: &str) {
        let text = String::from_utf8_lossy(&self.document.to_bytes()).into_owned();
        let differs = |reader: &Reader| {
            let values = reader.read(&text);
            values.get(key).is_some_and(|other| other != value)
        };
        let readers = [Reader::Systemd, Reader::Compose];
        if let Some(reader) = readers.into_iter().find(differs) {
            self.warning(
                "readers-differ",
                key,
                format!(
                    "{} reads another value of `{key}` than Mastodon",
                    reader.name()
                ),
                "write comments on a line of their own",
            );
        }
    }
}

/// Whether the quotes at both ends are one pair: `A='b' C='d'` has two pairs.
fn is_single_quoted_text(assignment: &Assignment) -> bool {
    let [quote, inner @ .., _] = assignment.written() else {
        return false;
    };
    let ends = |pair: &[u8]| pair[1] == *quote && pair[0] != b'\\';
    assignment.quoting() != Quoting::Bare
        && inner.first() != Some(quote)
        && !inner.windows(2).any(ends)
}
