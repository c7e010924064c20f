//! The pitfalls of a media setup that shows as nothing but failed uploads, each with its mend.
//!
//! Pure: reads a document and what is known of the bucket, returns findings. Never puts a
//! secret's value into one.

mod domain;
mod service;
mod version;
mod writing;

use std::path::PathBuf;

use serde::Serialize;

use super::Document;
use super::settings::{permission, shown};
use super::values::{self, Environment, Gem, Value, Values};
pub use version::EXTRA_MEDIA_HOSTS;

use crate::config::{Deployment, Version, Visibility};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Uploads or media will fail.
    Error,
    /// Works today, or only for some; fails or leaks in a case that will come.
    Warning,
}

/// One thing that is wrong, and what to do about it.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Name of the rule, stable: `endpoint-scheme`.
    pub rule: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// Line in the file, from 1; none for what is missing.
    pub line: Option<usize>,
    /// The variable it is about.
    pub key: Option<String>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub mend: String,
}

/// What is known from elsewhere; what is not known is not compared.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Whether the bucket is public.
    pub visibility: Option<Visibility>,
    /// The bucket's region.
    pub region: Option<String>,
    /// The bucket's name.
    pub bucket: Option<String>,
    /// `files.example.com`.
    pub files_host: Option<String>,
    /// `S3_KEY_PREFIX` as it should be, without a closing slash; empty for none.
    pub key_prefix: Option<String>,
    /// The file's permission bits.
    pub mode: Option<u32>,
    /// Mastodon's version.
    pub version: Option<Version>,
    /// How Mastodon is run.
    pub deployment: Option<Deployment>,
    /// Files that outrank this one, the first before the others.
    pub outranking: Vec<Outranking>,
}

/// A file that is read before the one that is looked at: what it sets counts.
#[derive(Clone, Debug)]
pub struct Outranking {
    /// Where it is.
    pub path: PathBuf,
    /// What it sets; or why that cannot be told.
    pub values: Result<Values, String>,
}

/// Everything that is wrong, worst first, then by line.
pub fn lint(document: &Document, known: &Known) -> Vec<Finding> {
    let mut elsewhere = Environment::default();
    for file in known.outranking.iter().rev() {
        elsewhere
            .known
            .extend(file.values.clone().unwrap_or_default());
    }
    // What this file sets is looked at as it is written here; that it is outranked is said once.
    for (_, assignment) in document.assignments() {
        elsewhere.known.remove(assignment.key());
    }
    let read = values::read(document, Gem::V3_1_5, &elsewhere);
    // A file that is refused is looked at all the same, as far as it can be.
    let values = read
        .or_else(|_| values::read(document, Gem::V2_8, &elsewhere))
        .or_else(|_| values::read(document, Gem::V2_4, &elsewhere));
    let mut lint = Lint {
        document,
        known,
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
    known: &'a Known,
    values: Values,
    findings: Vec<Finding>,
}

/// Variables whose value matters to media.
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
        mend: impl Into<String>,
    ) {
        let line = self
            .document
            .assignments()
            .iter()
            .rfind(|(_, a)| a.key() == key)
            .map(|(line, _)| *line);
        self.findings.push(Finding {
            rule,
            severity,
            line,
            key: Some(key.to_owned()),
            message: message.into(),
            mend: mend.into(),
        });
    }

    fn error(
        &mut self,
        rule: &'static str,
        key: &str,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.add(rule, Severity::Error, key, message, mend);
    }

    fn warning(
        &mut self,
        rule: &'static str,
        key: &str,
        message: impl Into<String>,
        mend: impl Into<String>,
    ) {
        self.add(rule, Severity::Warning, key, message, mend);
    }

    /// The value that counts, as it is; none where it is not set or cannot be told.
    fn exact_value(&self, key: &str) -> Option<&str> {
        match self.values.get(key)? {
            Value::Known(value) => Some(value),
            Value::Unclear(_) => None,
        }
    }

    /// The value that counts, trimmed; an empty one counts as not there.
    fn value(&self, key: &str) -> Option<String> {
        self.exact_value(key)
            .map(|v| v.trim().to_owned())
            .filter(|v| !v.is_empty())
    }

    /// Whether it is set to anything, also to what cannot be told.
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
                    "`S3_ENABLED` is `{}`: anything but `true` means no",
                    shown("S3_ENABLED", &enabled)
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
                    shown("S3_PROTOCOL", &protocol)
                ),
                "write `S3_PROTOCOL=https`",
            );
        }
        if let (Some(bucket), Some(known)) = (self.value("S3_BUCKET"), self.known.bucket.clone())
            && !bucket.eq_ignore_ascii_case(&known)
        {
            self.error(
                "bucket",
                "S3_BUCKET",
                format!(
                    "`S3_BUCKET` is `{}`, the bucket is `{known}`",
                    shown("S3_BUCKET", &bucket)
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
            format!("`S3_PERMISSION` is `{}`", shown(key, effective))
        };
        if !matches!(effective, "" | "private" | "public-read") {
            let want = permission(self.known.visibility.unwrap_or(Visibility::Public));
            self.error(
                "permission",
                key,
                format!("{name}; the service knows `private` and `public-read` only"),
                format!("write `S3_PERMISSION='{want}'`"),
            );
            return;
        }
        match (self.known.visibility, effective) {
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
                    "`S3_KEY_PREFIX` is `{}`: a slash at its end makes keys with `//`",
                    shown(key, &value)
                ),
                format!(
                    "write `S3_KEY_PREFIX={}`",
                    shown(key, value.trim_matches('/'))
                ),
            );
        }
        if let Some(known) = self.known.key_prefix.clone()
            && self.is_enabled()
            && value.trim_matches('/') != known
        {
            self.error(
                "key-prefix",
                key,
                format!(
                    "`S3_KEY_PREFIX` is `{}`, the media are uploaded below `{known}`",
                    shown(key, &value)
                ),
                if known.is_empty() {
                    "take the line out".to_owned()
                } else {
                    format!("write `S3_KEY_PREFIX={known}`")
                },
            );
        }
    }
}

/// The host of a value that may have a scheme before it and a path behind it.
fn bare_host(value: &str) -> &str {
    let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests;
