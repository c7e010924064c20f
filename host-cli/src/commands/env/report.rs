//! What `env` prints: changes with secrets masked, findings with their mend.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::dotenv::Document;
use crate::dotenv::lint::{Finding, Severity};
use crate::dotenv::settings::{is_secret, shown};
use crate::words::counted;

/// One line of the file that was changed or added. Holds no secret.
#[derive(Debug, Serialize)]
pub(super) struct Edit {
    key: String,
    pub(super) line: usize,
    /// The old value; none where the key is new.
    before: Option<String>,
    after: String,
    secret: bool,
}

impl Edit {
    pub(super) fn new(document: &Document, key: &str, before: Option<&str>) -> Self {
        let line = document
            .assignments()
            .iter()
            .rfind(|(_, a)| a.key() == key)
            .map_or(0, |(line, _)| *line);
        let after = document.value(key).unwrap_or_default();
        Edit {
            key: key.to_owned(),
            line,
            before: before.map(|value| shown(key, value)),
            after: shown(key, &after),
            secret: is_secret(key),
        }
    }
}

/// The result of one run.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    file: PathBuf,
    /// `lint`, `announce` or `switch`.
    stage: &'static str,
    dry_run: bool,
    pub(super) edits: Vec<Edit>,
    /// Where the old file is kept, if it was replaced.
    pub(super) backup: Option<PathBuf>,
    pub(super) findings: Vec<Finding>,
    /// Rules that could not be looked at, since what they need is not known.
    unchecked: Vec<&'static str>,
}

impl Report {
    pub(super) fn lint(file: &Path, findings: Vec<Finding>, visibility_known: bool) -> Self {
        Report {
            file: file.to_owned(),
            stage: "lint",
            dry_run: true,
            edits: Vec::new(),
            backup: None,
            findings,
            unchecked: if visibility_known {
                Vec::new()
            } else {
                vec!["permission"]
            },
        }
    }

    pub(super) fn change(file: &Path, edits: Vec<Edit>, dry_run: bool, announce: bool) -> Self {
        Report {
            file: file.to_owned(),
            stage: if announce { "announce" } else { "switch" },
            dry_run,
            edits,
            backup: None,
            findings: Vec::new(),
            unchecked: Vec::new(),
        }
    }

    pub(super) fn text(&self) -> String {
        let mut out = String::new();
        let file = self.file.display();
        if !self.edits.is_empty() {
            let _ = writeln!(out, "--- {file}\n+++ {file}");
            for edit in &self.edits {
                let _ = writeln!(out, "@@ line {} @@", edit.line);
                if let Some(before) = &edit.before {
                    let old = if edit.secret && !before.is_empty() {
                        "(old secret)"
                    } else {
                        before
                    };
                    let _ = writeln!(out, "-{}={old}", edit.key);
                }
                let new = if edit.secret {
                    "(new secret)"
                } else {
                    edit.after.as_str()
                };
                let _ = writeln!(out, "+{}={new}", edit.key);
            }
            out.push('\n');
        }
        for finding in &self.findings {
            let severity = match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            };
            let place = finding
                .line
                .map(|line| format!(":{line}"))
                .unwrap_or_default();
            let _ = writeln!(
                out,
                "{file}{place}: {severity}: {} [{}]\n    mend: {}",
                finding.message, finding.rule, finding.mend
            );
        }
        if !self.findings.is_empty() {
            let errors = self
                .findings
                .iter()
                .filter(|f| f.severity == Severity::Error)
                .count();
            let warnings = self.findings.len() - errors;
            let _ = writeln!(
                out,
                "
{}, {}",
                counted(errors as u64, "error", "errors"),
                counted(warnings as u64, "warning", "warnings")
            );
        }
        let closing = match (self.stage, self.edits.is_empty(), self.dry_run) {
            ("lint", ..) if self.findings.is_empty() => format!("no mistake found in `{file}`"),
            ("lint", ..) => String::new(),
            (_, true, _) => format!("nothing to change in `{file}`"),
            (_, false, true) => format!(
                "{} would change in `{file}`",
                counted(self.edits.len() as u64, "setting", "settings")
            ),
            (_, false, false) => format!(
                "{} changed in `{file}`",
                counted(self.edits.len() as u64, "setting", "settings")
            ),
        };
        out.push_str(&closing);
        if !self.unchecked.is_empty() {
            let _ = write!(
                out,
                "\nnot checked: whether `S3_PERMISSION` is the bucket's; give `--visibility`, or put `visibility` in medialift.toml"
            );
        }
        if let Some(backup) = &self.backup {
            let _ = write!(out, "\nthe old file is kept as `{}`", backup.display());
        }
        out
    }

    /// What to do now, for the person at the keyboard.
    pub(super) fn next_steps(&self) -> Vec<&'static str> {
        if self.edits.is_empty() || self.dry_run {
            return Vec::new();
        }
        let mut steps =
            vec!["next: `systemctl restart mastodon-*.service`, so that Mastodon reads it"];
        if self.stage == "announce" {
            steps.push(
                "then wait about a week before the switch: browsers keep the old security policy",
            );
        }
        steps
    }
}
