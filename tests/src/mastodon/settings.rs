//! Settings as a process of Mastodon has them: read when it starts, and never again.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::DOMAIN;
use crate::client::Client;

/// The files of Rails' dotenv in production, the one that outranks the others first.
const DOTENV: [&str; 4] = [
    ".env.production.local",
    ".env.local",
    ".env.production",
    ".env",
];

/// The environment of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    /// What Rails reads in `live`.
    pub(super) fn from_dotenv(live: &Path) -> Result<Settings> {
        let mut settings = Settings::default();
        for name in DOTENV {
            let path = live.join(name);
            if path.exists() {
                settings.add(&path)?;
            }
        }
        Ok(settings)
    }

    /// What Compose gives a container that has this file as its `env_file`.
    pub(super) fn from_env_file(path: &Path) -> Result<Settings> {
        let mut settings = Settings::default();
        settings.add(path)?;
        Ok(settings)
    }

    fn add(&mut self, path: &Path) -> Result<()> {
        let lines = dotenvy::from_path_iter(path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        for line in lines {
            let (name, value) = line.with_context(|| {
                format!("Mastodon does not start: a line of `{}`", path.display())
            })?;
            self.0.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// A setting that is there and not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// The ACL that is sent with uploads: `public-read` unless set, none where set and empty.
    pub(super) fn acl(&self) -> Option<&str> {
        match self.0.get("S3_PERMISSION").map(String::as_str) {
            None => Some("public-read"),
            Some("") => None,
            Some(acl) => Some(acl),
        }
    }

    pub(super) fn uses_bucket(&self) -> bool {
        self.get("S3_ENABLED") == Some("true")
    }

    pub(super) fn media_directory(&self, live: &Path) -> PathBuf {
        self.get("PAPERCLIP_ROOT_PATH")
            .map_or_else(|| live.join("public/system"), PathBuf::from)
    }

    pub(super) fn key_prefix(&self) -> String {
        self.get("S3_KEY_PREFIX")
            .map(|prefix| format!("{}/", prefix.trim_end_matches('/')))
            .unwrap_or_default()
    }

    /// The address that the instance hands out for a picture.
    pub(super) fn address(&self, key: &str) -> String {
        let key = Client::encoded(key);
        if !self.uses_bucket() {
            return format!("https://{DOMAIN}/system/{key}");
        }
        let prefix = self.key_prefix();
        match (self.get("S3_ALIAS_HOST"), self.get("S3_BUCKET")) {
            (Some(alias), _) => format!("https://{alias}/{prefix}{key}"),
            (None, bucket) => format!(
                "https://{}/{}/{prefix}{key}",
                self.get("S3_HOSTNAME").unwrap_or_default(),
                bucket.unwrap_or_default()
            ),
        }
    }

    /// Sends what the cache buster sends for a picture, where it is enabled.
    pub(super) fn purge(&self, key: &str, routed: &dyn Fn(&str) -> Result<String>) -> Result<()> {
        if self.get("CACHE_BUSTER_ENABLED") != Some("true") || !self.uses_bucket() {
            return Ok(());
        }
        let url = routed(&self.address(key))?;
        let header = self.get("CACHE_BUSTER_SECRET_HEADER");
        let secret = self.get("CACHE_BUSTER_SECRET");
        let headers: Vec<(&str, &str)> = header.zip(secret).into_iter().collect();
        let method = self.get("CACHE_BUSTER_HTTP_METHOD").unwrap_or("GET");
        // The answer is ignored.
        Client::anonymous(&url).send(method, "", &headers, &[])?;
        Ok(())
    }
}
