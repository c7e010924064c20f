//! The output of `env`: changes with secrets masked, and findings with their hints.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::{Deployment, Version};
use crate::dotenv::Document;
use crate::dotenv::lint::{EXTRA_MEDIA_HOSTS, LintContext, LintFinding, Severity, concerns_media};
use crate::dotenv::settings::{is_secret, masked};
use crate::format::counted;

/// A line that was changed, added or removed. Contains no secret.
#[derive(Debug, Serialize)]
pub(super) struct Edit {
    key: String,
    pub(super) line: usize,
    /// The old value; none for a new key.
    before: Option<String>,
    /// The new value; none for a removed key.
    after: Option<String>,
    secret: bool,
}

impl Edit {
    /// The change of `key`. Its line is that in the new file.
    pub(super) fn new(before: &Document, after: &Document, key: &str) -> Self {
        let line_in = |document: &Document| {
            let assignments = document.assignments();
            let last = assignments.iter().rfind(|(_, a)| a.key() == key);
            last.map(|(line, _)| *line)
        };
        let value_in = |document: &Document| {
            document.get(key)?;
            // A value that depends on others, or is broken, is not shown.
            let value = document.value(key);
            Some(if concerns_media(key) {
                masked(key, value.as_deref().unwrap_or("$"))
            } else {
                "(not shown)".to_owned()
            })
        };
        Edit {
            key: key.to_owned(),
            line: line_in(after).or(line_in(before)).unwrap_or(0),
            before: value_in(before),
            after: value_in(after),
            secret: is_secret(key),
        }
    }

    /// The changes of all keys that differ.
    pub(super) fn all(before: &Document, after: &Document) -> Vec<Self> {
        let keys = |document: &Document| -> BTreeSet<String> {
            let assignments = document.assignments();
            let names = assignments.iter().map(|(_, a)| a.key().to_owned());
            names.collect()
        };
        let mut edits: Vec<Edit> = keys(before)
            .union(&keys(after))
            .filter(|key| before.value(key) != after.value(key))
            .map(|key| Edit::new(before, after, key))
            .collect();
        edits.sort_by_key(|edit| edit.line);
        edits
    }
}

/// What the command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Stage {
    Lint,
    Announce,
    Switch,
    Undo,
}

/// The result of `env`.
#[derive(Debug, Serialize)]
pub(super) struct EnvReport {
    file: PathBuf,
    pub(super) stage: Stage,
    dry_run: bool,
    pub(super) edits: Vec<Edit>,
    /// Whether nothing was written because the new file would have an error.
    pub(super) refused: bool,
    /// The backup of the old file, if it was replaced.
    pub(super) backup: Option<PathBuf>,
    pub(super) findings: Vec<LintFinding>,
    /// Rules that were not checked for lack of information.
    unchecked: Vec<&'static str>,
    /// Mastodon's version, where it was found.
    version: Option<Version>,
    #[serde(skip)]
    deployment: Option<Deployment>,
}

impl EnvReport {
    pub(super) fn new(
        file: &Path,
        stage: Stage,
        dry_run: bool,
        lint_context: &LintContext,
    ) -> Self {
        let unchecked = if stage == Stage::Lint && lint_context.visibility.is_none() {
            vec!["permission"]
        } else {
            Vec::new()
        };
        EnvReport {
            file: file.to_owned(),
            stage,
            dry_run,
            edits: Vec::new(),
            refused: false,
            backup: None,
            findings: Vec::new(),
            unchecked,
            version: lint_context.version,
            deployment: lint_context.deployment,
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
                if let Some(after) = &edit.after {
                    let new = if edit.secret { "(new secret)" } else { after };
                    let _ = writeln!(out, "+{}={new}", edit.key);
                }
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
                "{file}{place}: {severity}: {} [{}]\n    hint: {}",
                finding.message, finding.rule, finding.hint
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
            (Stage::Lint, ..) if self.findings.is_empty() => {
                format!("no mistake found in `{file}`")
            }
            (Stage::Lint, ..) => String::new(),
            _ if self.refused => {
                format!("`{file}` was not changed: correct the errors above first")
            }
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
                "\nnot checked: whether `S3_PERMISSION` matches the bucket; give `--visibility`, or put `visibility` in medialift.toml"
            );
        }
        if let Some(backup) = &self.backup {
            let _ = write!(out, "\nthe old file is kept as `{}`", backup.display());
        }
        out
    }

    /// What to do next.
    pub(super) fn next_steps(&self) -> Vec<String> {
        if self.edits.is_empty() || self.dry_run || self.refused {
            return Vec::new();
        }
        let systemd = "`systemctl restart 'mastodon-*.service'`";
        let docker = "`docker compose up -d --force-recreate` (a restart does not read the file)";
        let restart = match self.deployment {
            Some(Deployment::Systemd) => systemd.to_owned(),
            Some(Deployment::Docker) => docker.to_owned(),
            None => format!("{systemd}, or with Docker {docker}"),
        };
        let mut steps = vec![format!("next: {restart}, so that Mastodon reads it")];
        if self.stage == Stage::Announce {
            steps.push(match self.version {
                Some(version) if !version.has(EXTRA_MEDIA_HOSTS) => format!(
                    "this is Mastodon {version}, which does not read `EXTRA_MEDIA_HOSTS`: update to {EXTRA_MEDIA_HOSTS} or newer first, or browsers may show no media for some hours after the switch"
                ),
                Some(_) => "then wait about a week before the switch: browsers keep the old security policy".to_owned(),
                None => format!(
                    "then wait about a week before the switch: browsers keep the old security policy (Mastodon older than {EXTRA_MEDIA_HOSTS} does not read `EXTRA_MEDIA_HOSTS`)"
                ),
            });
        }
        steps
    }
}
