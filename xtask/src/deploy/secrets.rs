//! Which secrets there are, by name, and how that is known.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::configuration::Configuration;
use super::{DeployOptions, Environment};

/// The secrets that are known of.
#[derive(Clone, Default)]
pub(super) struct Secrets {
    known: BTreeMap<String, Secret>,
    /// Whether there are no others: one that is needed and not among them is missing.
    pub(super) is_complete: bool,
}

#[derive(Clone)]
struct Secret {
    source: String,
    /// Never shown.
    text: Option<String>,
}

impl Secrets {
    /// What can be seen without asking Cloudflare: what `--secrets` says, else the file of
    /// `--secrets-file`, `.dev.vars` and the environment.
    pub(super) fn seen_here(
        options: &DeployOptions,
        configuration: &Configuration,
    ) -> Result<Self> {
        let mut secrets = Self::default();
        if let Some(names) = &options.secrets {
            secrets.is_complete = true;
            for name in names.iter().filter(|name| !name.is_empty()) {
                secrets.add(name, "`--secrets`", None);
            }
        } else {
            for (name, text) in std::env::vars_os() {
                if let (Ok(name), Ok(text)) = (name.into_string(), text.into_string()) {
                    secrets.add(&name, "in the environment", Some(text));
                }
            }
            if let Some(file) = local_file(&configuration.file, options.env) {
                let source = format!("in `{}`", file.file_name().unwrap_or_default().display());
                for (name, text) in read(&file)? {
                    secrets.add(&name, &source, Some(text));
                }
            }
        }
        secrets.add_file(options)?;
        Ok(secrets)
    }

    /// What the deployed worker has, and the file of `--secrets-file`.
    pub(super) fn on_cloudflare(options: &DeployOptions, names: Vec<String>) -> Result<Self> {
        let mut secrets = Self {
            is_complete: true,
            ..Self::default()
        };
        for name in names {
            secrets.add(&name, "at Cloudflare", None);
        }
        secrets.add_file(options)?;
        Ok(secrets)
    }

    fn add_file(&mut self, options: &DeployOptions) -> Result<()> {
        let Some(file) = &options.secrets_file else {
            return Ok(());
        };
        for (name, text) in read(file)? {
            self.add(&name, "in `--secrets-file`", Some(text));
        }
        Ok(())
    }

    /// An empty text is none: the worker takes it for not set.
    fn add(&mut self, name: &str, source: &str, text: Option<String>) {
        if text.as_ref().is_some_and(|text| text.trim().is_empty()) {
            return;
        }
        let source = source.to_owned();
        self.known.insert(name.to_owned(), Secret { source, text });
    }

    /// Where a secret was seen.
    pub(super) fn source(&self, name: &str) -> Option<&str> {
        self.known.get(name).map(|secret| secret.source.as_str())
    }

    /// Its text, where it was seen and not only named.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.known.get(name)?.text.as_deref()
    }
}

/// The file of secrets that `wrangler dev` reads beside a configuration.
fn local_file(configuration: &Path, environment: Environment) -> Option<PathBuf> {
    let own = format!(".dev.vars.{}", environment.wrangler_name());
    [own.as_str(), ".dev.vars"]
        .map(|name| configuration.with_file_name(name))
        .into_iter()
        .find(|file| file.is_file())
}

/// A file of secrets in either form that wrangler takes.
fn read(file: &Path) -> Result<BTreeMap<String, String>> {
    let unreadable = || format!("cannot read the secrets in `{}`", file.display());
    let text = std::fs::read_to_string(file).with_context(unreadable)?;
    if text.trim_start().starts_with('{') {
        // Without the cause: it would quote what is in the file.
        return serde_json::from_str(&text).ok().with_context(unreadable);
    }
    dotenvy::from_read_iter(text.as_bytes())
        .collect::<Result<_, _>>()
        .ok()
        .with_context(unreadable)
}
