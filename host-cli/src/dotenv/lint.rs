//! Finds mistakes in the media settings of a `.env` file, each with a hint.
//!
//! Pure functions over a document and what is known of the bucket. Findings never contain the value of
//! a secret.

mod domain;
mod service;
mod version;
mod writing;

use std::path::PathBuf;

use serde::Serialize;

use super::Document;
use super::settings::{masked, permission};
use super::values::{self, Environment, Gem, Value, Values};
pub use version::EXTRA_MEDIA_HOSTS;

use crate::config::{Deployment, Version, Visibility};

/// The severity of a finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Uploads or media will fail.
    Error,
    /// Works in some installations or for the present; otherwise fails, or shows media to strangers.
    Warning,
}

/// One mistake, and what to do.
#[derive(Clone, Debug, Serialize)]
pub struct LintFinding {
    /// The stable name of the rule: `endpoint-scheme`.
    pub rule: &'static str,
    /// The severity.
    pub severity: Severity,
    /// The line, from 1; none for a missing setting.
    pub line: Option<usize>,
    /// The variable.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
}

/// What is known besides the file; what is not known is not compared.
#[derive(Clone, Debug, Default)]
pub struct LintContext {
    /// Whether the bucket is public.
    pub visibility: Option<Visibility>,
    /// The bucket's region.
    pub region: Option<String>,
    /// The bucket's name.
    pub bucket: Option<String>,
    /// `files.example.com`.
    pub files_host: Option<String>,
    /// `S3_KEY_PREFIX` as it should be, without a slash at its end; empty for none.
    pub key_prefix: Option<String>,
    /// The file's permission bits.
    pub mode: Option<u32>,
    /// Mastodon's version.
    pub version: Option<Version>,
    /// How Mastodon is run.
    pub deployment: Option<Deployment>,
    /// Files that outrank this one, by precedence.
    pub outranking: Vec<Outranking>,
}

/// A file whose settings outrank those of the checked file.
#[derive(Clone, Debug)]
pub struct Outranking {
    /// Its path.
    pub path: PathBuf,
    /// Its variables; or why they cannot be read.
    pub values: Result<Values, String>,
}

/// All findings, by severity and line.
pub fn lint(document: &Document, context: &LintContext) -> Vec<LintFinding> {
    let mut outer = Environment::default();
    for file in context.outranking.iter().rev() {
        outer.known.extend(file.values.clone().unwrap_or_default());
    }
    // Settings of this file are checked as written here; being outranked is a finding of its own.
    for (_, assignment) in document.assignments() {
        outer.known.remove(assignment.key());
    }
    let read = values::read(document, Gem::V3_1_5, &outer);
    // A file that is rejected is checked by the rules of older versions.
    let values = read
        .or_else(|_| values::read(document, Gem::V2_8, &outer))
        .or_else(|_| values::read(document, Gem::V2_4, &outer));
    let mut lint = Lint {
        document,
        context,
        values: values.unwrap_or_default(),
        findings: Vec::new(),
    };
    lint.file();
    lint.outranked();
    lint.writing();
    lint.switches();
    lint.endpoint();
    lint.credentials();
    lint.permission();
    lint.alias_host();
    lint.extra_media_hosts();
    lint.key_prefix();
    lint.cache_buster();
    lint.retries();
    lint.versions();
    lint.findings.sort_by_key(|f| (f.severity, f.line));
    lint.findings
}

struct Lint<'a> {
    document: &'a Document,
    context: &'a LintContext,
    values: Values,
    findings: Vec<LintFinding>,
}

/// Whether the variable concerns media.
pub fn concerns_media(key: &str) -> bool {
    key.starts_with("S3_")
        || key.starts_with("AWS_")
        || key.starts_with("CACHE_BUSTER_")
        || key == "EXTRA_MEDIA_HOSTS"
}

impl Lint<'_> {
    fn add(
        &mut self,
        rule: &'static str,
        severity: Severity,
        key: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        let line = self
            .document
            .assignments()
            .iter()
            .rfind(|(_, a)| a.key() == key)
            .map(|(line, _)| *line);
        self.findings.push(LintFinding {
            rule,
            severity,
            line,
            key: Some(key.to_owned()),
            message: message.into(),
            hint: hint.into(),
        });
    }

    fn error(
        &mut self,
        rule: &'static str,
        key: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(rule, Severity::Error, key, message, hint);
    }

    fn warning(
        &mut self,
        rule: &'static str,
        key: &str,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) {
        self.add(rule, Severity::Warning, key, message, hint);
    }

    /// The value, not trimmed; none where it is not set or cannot be determined.
    fn exact_value(&self, key: &str) -> Option<&str> {
        match self.values.get(key)? {
            Value::Known(value) => Some(value),
            Value::Unresolved(_) => None,
        }
    }

    /// The trimmed value; none where it is empty, not set, or cannot be determined.
    fn value(&self, key: &str) -> Option<String> {
        self.exact_value(key)
            .map(|v| v.trim().to_owned())
            .filter(|v| !v.is_empty())
    }

    /// Whether it is set, also to a value that cannot be determined.
    fn is_set(&self, key: &str) -> bool {
        self.values.contains_key(key)
    }

    fn is_enabled(&self) -> bool {
        self.value("S3_ENABLED").as_deref() == Some("true")
    }

    fn switches(&mut self) {
        let Some(enabled) = self.value("S3_ENABLED") else {
            return;
        };
        if enabled != "true" && enabled != "false" {
            self.error(
                "enabled",
                "S3_ENABLED",
                format!(
                    "`S3_ENABLED` is `{}`: any value but `true` turns object storage off",
                    masked("S3_ENABLED", &enabled)
                ),
                "write `S3_ENABLED=true`",
            );
        }
        if enabled != "true" {
            return;
        }
        for key in [
            "S3_BUCKET",
            "S3_REGION",
            "S3_ENDPOINT",
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
        ] {
            if !self.is_set(key) {
                self.error(
                    "missing",
                    key,
                    format!("`S3_ENABLED` is `true` and `{key}` is not set"),
                    format!("add a `{key}=` line; `medialift env` writes it"),
                );
            }
        }
        if let Some(protocol) = self.value("S3_PROTOCOL").filter(|p| p != "https") {
            self.error(
                "protocol",
                "S3_PROTOCOL",
                format!(
                    "`S3_PROTOCOL` is `{}`: media links would not be encrypted",
                    masked("S3_PROTOCOL", &protocol)
                ),
                "write `S3_PROTOCOL=https`",
            );
        }
        if let (Some(bucket), Some(known)) = (self.value("S3_BUCKET"), self.context.bucket.clone())
            && !bucket.eq_ignore_ascii_case(&known)
        {
            self.error(
                "bucket",
                "S3_BUCKET",
                format!(
                    "`S3_BUCKET` is `{}`, and the bucket is `{known}`",
                    masked("S3_BUCKET", &bucket)
                ),
                format!("write `S3_BUCKET={known}`"),
            );
        }
    }

    fn permission(&mut self) {
        let key = "S3_PERMISSION";
        let written = self.exact_value(key);
        if !self.is_enabled() || written.is_none() && self.is_set(key) {
            return;
        }
        let effective = written.map_or("public-read", str::trim);
        let name = if written.is_none() {
            "`S3_PERMISSION` is not set, which means `public-read`".to_owned()
        } else {
            format!("`S3_PERMISSION` is `{}`", masked(key, effective))
        };
        if !matches!(effective, "" | "private" | "public-read") {
            let want = permission(self.context.visibility.unwrap_or(Visibility::Public));
            self.error(
                "permission",
                key,
                format!("{name}; B2 accepts `private` and `public-read` only"),
                format!("write `S3_PERMISSION='{want}'`"),
            );
            return;
        }
        match (self.context.visibility, effective) {
            (Some(Visibility::Public), "private") => self.error(
                "permission",
                key,
                format!("{name} and the bucket is public: every upload is refused"),
                "write `S3_PERMISSION=''`",
            ),
            (Some(Visibility::Private), "public-read") => self.error(
                "permission",
                key,
                format!("{name} and the bucket is private: every upload is refused"),
                "write `S3_PERMISSION=private`",
            ),
            (Some(Visibility::Public) | None, "public-read") => self.warning(
                "permission",
                key,
                format!("{name}: suspending an account then sends `private`, which a public bucket refuses"),
                "write `S3_PERMISSION=''` for a public bucket, `S3_PERMISSION=private` for a private one",
            ),
            _ => {}
        }
    }

    fn key_prefix(&mut self) {
        let key = "S3_KEY_PREFIX";
        if self.exact_value(key).is_none() && self.is_set(key) {
            return;
        }
        let value = self.value(key).unwrap_or_default();
        if value.starts_with('/') || value.ends_with('/') {
            self.error(
                "key-prefix",
                key,
                format!(
                    "`S3_KEY_PREFIX` is `{}`: with a slash at an end, keys contain `//`",
                    masked(key, &value)
                ),
                format!(
                    "write `S3_KEY_PREFIX={}`",
                    masked(key, value.trim_matches('/'))
                ),
            );
        }
        if let Some(known) = self.context.key_prefix.clone()
            && self.is_enabled()
            && value.trim_matches('/') != known
        {
            self.error(
                "key-prefix",
                key,
                format!(
                    "`S3_KEY_PREFIX` is `{}`, and the media are uploaded below `{known}`",
                    masked(key, &value)
                ),
                if known.is_empty() {
                    "remove the line".to_owned()
                } else {
                    format!("write `S3_KEY_PREFIX={known}`")
                },
            );
        }
    }
}

/// The host of an address with or without a scheme and a path.
fn bare_host(value: &str) -> &str {
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests;
