//! The pitfalls of a media setup that shows as nothing but failed uploads, each with its mend.
//!
//! Pure: reads a document and what is known of the bucket, returns findings. Never puts a
//! secret's value into one.

mod service;
mod writing;

use serde::Serialize;

use super::Document;
use super::settings::{Visibility, hosts, permission, same_origin, shown};

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
}

/// Everything that is wrong, worst first, then by line.
pub fn lint(document: &Document, known: &Known) -> Vec<Finding> {
    let mut lint = Lint {
        document,
        known,
        findings: Vec::new(),
    };
    lint.file();
    lint.writing();
    lint.switches();
    lint.endpoint();
    lint.credentials();
    lint.permission();
    lint.alias_host();
    lint.key_prefix();
    lint.cache_buster();
    lint.findings.sort_by_key(|f| (f.severity, f.line));
    lint.findings
}

struct Lint<'a> {
    document: &'a Document,
    known: &'a Known,
    findings: Vec<Finding>,
}

/// Variables whose value matters to media.
fn concerns_media(key: &str) -> bool {
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

    /// The value that counts, trimmed; an empty one counts as not there.
    fn value(&self, key: &str) -> Option<String> {
        self.document
            .value(key)
            .map(|v| v.trim().to_owned())
            .filter(|v| !v.is_empty())
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
            if self.document.get(key).is_none() {
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
            && bucket != known
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
        if self.value("S3_ENABLED").as_deref() != Some("true") {
            return;
        }
        let written = self.document.value("S3_PERMISSION");
        let effective = written.as_deref().map_or("public-read", str::trim);
        let key = "S3_PERMISSION";
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
                format!("write `S3_PERMISSION={want}`"),
            );
            return;
        }
        match (self.known.visibility, effective) {
            (Some(Visibility::Public), "private") => self.error(
                "permission",
                key,
                format!("{name} and the bucket is public: every upload is refused"),
                "write `S3_PERMISSION=` (nothing behind the `=`)",
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
                "write `S3_PERMISSION=` (nothing behind the `=`) for a public bucket, `private` for a private one",
            ),
            _ => {}
        }
    }

    fn alias_host(&mut self) {
        if self.value("S3_ENABLED").as_deref() != Some("true") {
            return;
        }
        let Some(alias) = self.value("S3_ALIAS_HOST") else {
            self.warning(
                "alias-host",
                "S3_ALIAS_HOST",
                "`S3_ALIAS_HOST` is not set: every reader goes to the bucket itself, past the cache",
                "set it to the files domain, e.g. `S3_ALIAS_HOST=files.example.com`",
            );
            return;
        };
        let host = bare_host(&alias).to_ascii_lowercase();
        if host.ends_with(".backblazeb2.com") {
            self.warning(
                "alias-host",
                "S3_ALIAS_HOST",
                "`S3_ALIAS_HOST` is the bucket itself: every reader goes past the cache",
                "set it to the files domain",
            );
        }
        for key in ["LOCAL_DOMAIN", "WEB_DOMAIN"] {
            if self
                .value(key)
                .is_some_and(|domain| domain.eq_ignore_ascii_case(&host))
            {
                self.warning(
                    "alias-host",
                    "S3_ALIAS_HOST",
                    format!("`S3_ALIAS_HOST` is the instance's own `{key}`: uploaded files would share its origin"),
                    "use a domain of its own for files",
                );
            }
        }
        if let Some(known) = self.known.files_host.clone()
            && host != known
        {
            self.error(
                "alias-host",
                "S3_ALIAS_HOST",
                format!(
                    "`S3_ALIAS_HOST` is `{}`, the files domain is `{known}`",
                    shown("S3_ALIAS_HOST", &alias)
                ),
                format!("write `S3_ALIAS_HOST={known}`"),
            );
        }
        for extra in hosts(&self.value("EXTRA_MEDIA_HOSTS").unwrap_or_default()) {
            if !extra.contains("://") && same_origin(extra, &host) {
                self.warning(
                    "extra-media-hosts",
                    "EXTRA_MEDIA_HOSTS",
                    format!(
                        "`EXTRA_MEDIA_HOSTS` names `{}` without `https://`",
                        shown("EXTRA_MEDIA_HOSTS", extra)
                    ),
                    format!("write `https://{host}` there"),
                );
            }
        }
    }

    fn key_prefix(&mut self) {
        let value = self.value("S3_KEY_PREFIX").unwrap_or_default();
        let key = "S3_KEY_PREFIX";
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
            && self.value("S3_ENABLED").as_deref() == Some("true")
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

    fn cache_buster(&mut self) {
        if self.value("CACHE_BUSTER_ENABLED").as_deref() != Some("true") {
            return;
        }
        for key in ["CACHE_BUSTER_SECRET_HEADER", "CACHE_BUSTER_SECRET"] {
            if self.document.get(key).is_none() {
                self.error(
                    "cache-buster",
                    key,
                    format!("`CACHE_BUSTER_ENABLED` is `true` and `{key}` is not set: no purge is let through"),
                    format!("set `{key}` to what the worker has as `PURGE_{}`", key.trim_start_matches("CACHE_BUSTER_")),
                );
            }
        }
        let method = self.value("CACHE_BUSTER_HTTP_METHOD");
        if !matches!(method.as_deref(), Some("PURGE" | "POST" | "DELETE")) {
            let seen = method.as_deref().unwrap_or("GET");
            self.error(
                "cache-buster",
                "CACHE_BUSTER_HTTP_METHOD",
                format!("`CACHE_BUSTER_HTTP_METHOD` is `{}`, with which nothing is purged", shown("CACHE_BUSTER_HTTP_METHOD", seen)),
                "write `CACHE_BUSTER_HTTP_METHOD=PURGE` (or `POST`, where `medialift verify` says so)",
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
