//! How the file and its values are written: quotes, spaces, duplicates, stray lines.

use super::super::readers::Reader;
use super::super::settings::{is_secret, looks_like_a_key, settings_inside};
use super::super::values::{Environment, Gem, Value, read};
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
            self.line(
                "stray-line",
                Severity::Warning,
                line,
                "the line is neither `NAME=value` nor a comment, and is passed over",
                if not_ended {
                    "look for a quote that is not closed on the line or above it"
                } else {
                    "put `#` before it, or take it out"
                },
            );
        }
        let lone_names = self.document.lone_names();
        for line in lone_names.into_iter().map(|(line, _)| line) {
            self.line(
                "lone-name",
                Severity::Error,
                line,
                "the line is a name and nothing more: recent Mastodon takes that variable for empty, whatever is set above",
                "put `#` before it, or take it out",
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

    /// A finding about a line rather than a variable: what stands there may be a secret.
    fn line(
        &mut self,
        rule: &'static str,
        severity: Severity,
        line: usize,
        message: &str,
        mend: &str,
    ) {
        self.findings.push(Finding {
            rule,
            severity,
            line: Some(line),
            key: None,
            message: message.to_owned(),
            mend: mend.to_owned(),
        });
    }

    /// Lines that the gem reads as other assignments than an editor shows.
    fn broken_assignments(&mut self) {
        for (line, assignment) in self.document.assignments() {
            let text = String::from_utf8_lossy(assignment.written());
            if !is_one_quoted_text(assignment) && !settings_inside(&text).is_empty() {
                self.line(
                    "several-settings",
                    Severity::Error,
                    line,
                    "several settings stand on this line: all behind the first `=` is read as one value",
                    "give each setting a line of its own",
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
                    "the value is taken from a line further down",
                    "write `NAME=''` for an empty value, and `NAME=value` on one line",
                );
            }
        }
    }

    /// Settings of another file count instead of this one's.
    pub(super) fn outranked(&mut self) {
        for file in &self.known.outranking {
            let path = file.path.display();
            let values = match &file.values {
                Ok(values) => values,
                Err(why) => {
                    self.findings.push(Finding {
                        rule: "outranked",
                        severity: Severity::Error,
                        line: None,
                        key: None,
                        message: format!("`{path}` outranks this file and cannot be read: {why}"),
                        mend: "run the command as a user who may read it".to_owned(),
                    });
                    continue;
                }
            };
            for (key, value) in values {
                if concerns_media(key) && self.values.get(key) != Some(value) {
                    self.findings.push(Finding {
                        rule: "outranked",
                        severity: Severity::Error,
                        line: None,
                        key: Some(key.clone()),
                        message: format!("`{path}` sets `{key}` too, and outranks this file"),
                        mend: format!("take `{key}` out of `{path}`, or set it there"),
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
        let refers =
            assignment.quoting() != Quoting::Single && assignment.written().contains(&b'$');
        if refers && is_secret(key) {
            self.warning(
                "dollar",
                key,
                format!("`{key}` has a `$`, which is replaced by a variable's value"),
                "put the value into single quotes",
            );
            return;
        }
        let value = match self.values.get(key) {
            Some(Value::Known(value)) => value.clone(),
            Some(Value::Unclear(reference)) => {
                let message = format!(
                    "`{key}` depends on `{reference}`, which is not set here: what it is cannot be told"
                );
                self.warning("unclear", key, message, "write the value itself");
                return;
            }
            None => return,
        };
        if value.trim_ascii().is_empty() && key != "S3_PERMISSION" && key != "EXTRA_MEDIA_HOSTS" {
            self.error(
                "empty-value",
                key,
                format!("`{key}` is set to nothing, which is not the same as not set"),
                "give it a value, or take the line out",
            );
        }
        self.outer_characters(assignment, &value);
        if assignment.quoting() == Quoting::Bare && assignment.after().starts_with(b"#") {
            self.error(
                "cut-at-hash",
                key,
                format!("the value of `{key}` ends at the `#`, the rest is read as a comment"),
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
                format!("the value of `{key}` has a character in it that does not show"),
                "type it anew, rather than paste it",
            );
        }
        if !is_secret(key) && looks_like_a_key(&value) {
            self.error(
                "key-in-wrong-place",
                key,
                format!("`{key}` holds what looks like an application key"),
                "the key belongs into `AWS_SECRET_ACCESS_KEY`, its id into `AWS_ACCESS_KEY_ID`",
            );
        }
    }

    /// What stands at the value's ends: space, quotes, a comment.
    fn outer_characters(&mut self, assignment: &Assignment, value: &str) {
        let key = assignment.key();
        let strange_quote = |c: char| "'\"`“”‘’«»".contains(c);
        if value.trim().len() != value.len() {
            self.error(
                "outer-space",
                key,
                format!("`{key}` begins or ends with a space inside its quotes"),
                "take the space out",
            );
        }
        if assignment.after().starts_with(b" ") && assignment.after().trim_ascii().is_empty() {
            self.warning(
                "trailing-space",
                key,
                format!("a space follows the value of `{key}`; Docker takes it as part of it"),
                "take the space out",
            );
        }
        if value.starts_with(strange_quote) || value.ends_with(strange_quote) {
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
        } else if !assignment.written().contains(&b'$') {
            self.other_readers(key, value);
        }
    }

    /// Whoever runs Mastodon by systemd's `EnvironmentFile=` or by Compose has another value.
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
                    "{} reads another value of `{key}` than Mastodon itself does",
                    reader.name()
                ),
                "write the value alone on its line, a comment on a line of its own",
            );
        }
    }
}

/// Whether the quotes at the value's ends are one pair: `A='b' C='d'` has two.
fn is_one_quoted_text(assignment: &Assignment) -> bool {
    let [quote, inner @ .., _] = assignment.written() else {
        return false;
    };
    let ends = |pair: &[u8]| pair[1] == *quote && pair[0] != b'\\';
    assignment.quoting() != Quoting::Bare
        && inner.first() != Some(quote)
        && !inner.windows(2).any(ends)
}
