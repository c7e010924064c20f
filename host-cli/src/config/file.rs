//! The settings file, `medialift.toml`.

use std::fmt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The settings file. Every field is optional: a flag or a variable may give it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Bucket name.
    pub bucket: Option<String>,
    /// S3 endpoint as the bucket's page shows it: `s3.us-west-004.backblazeb2.com`.
    pub endpoint: Option<String>,
    /// Region, where the endpoint's name does not contain it.
    pub region: Option<String>,
    /// Mastodon's `S3_KEY_PREFIX`.
    pub key_prefix: Option<String>,
    /// The media tree: `/home/mastodon/live/public/system`.
    pub media_dir: Option<PathBuf>,
    /// The files domain: `https://files.example.com`.
    pub files_url: Option<String>,
    /// Whether the bucket is `public` or `private`.
    pub visibility: Option<Visibility>,
    /// Mastodon's `.env.production`.
    pub env_file: Option<PathBuf>,
    /// A file with `B2_APPLICATION_KEY_ID=` and `B2_APPLICATION_KEY=` lines, mode 0600.
    pub key_file: Option<PathBuf>,
    /// A file that contains only the purge secret, mode 0600.
    pub purge_secret_file: Option<PathBuf>,
    /// Directory of journals, backups and the ledger.
    pub state_dir: Option<PathBuf>,
    /// Realm of the native API: `https://api.backblazeb2.com`.
    pub b2_api: Option<String>,
    /// Address of the running instance: `http://127.0.0.1:3000`.
    pub instance_url: Option<String>,
    /// What is not found automatically about the Mastodon installation.
    #[serde(default)]
    pub mastodon: Mastodon,
    /// The proxy that `medialift nginx` prints.
    #[serde(default)]
    pub nginx: Nginx,
}

/// The table `[nginx]`: settings of `medialift nginx` alone. Each has a flag and a default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nginx {
    /// Directory of the cache.
    pub cache_dir: Option<PathBuf>,
    /// Largest size of the cache: `10g`.
    pub cache_size: Option<String>,
    /// Seconds for which an object is served without a request to the bucket.
    pub fresh_seconds: Option<u64>,
    /// Seconds after that for which it is served where the bucket fails.
    pub stale_seconds: Option<u64>,
    /// Whether the freshness that the bucket sends counts.
    pub origin_cache_control: Option<OriginCacheControl>,
    /// Prefixes of keys that are refused.
    pub deny_prefixes: Option<String>,
    /// The directory with `fullchain.pem` and `privkey.pem`.
    pub certificates: Option<PathBuf>,
    /// Trusted certificates for the connection to the bucket.
    pub ca_file: Option<PathBuf>,
    /// A media directory that is read before the bucket.
    pub fallback_dir: Option<PathBuf>,
    /// Whether the first reader of a stale copy gets it too, while it is refreshed.
    pub background_update: Option<bool>,
}

/// Whether the freshness that the bucket sends counts: the worker's `ORIGIN_CACHE_CONTROL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OriginCacheControl {
    /// It does not: the configured freshness counts.
    #[default]
    Ignore,
    /// `X-Accel-Expires`, `Cache-Control` and `Expires` outrank the configured freshness.
    Respect,
}

/// The table `[mastodon]`. What is found automatically needs no setting.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mastodon {
    /// Mastodon's own directory: `/home/mastodon/live`.
    pub root: Option<PathBuf>,
    /// Who writes and deletes media; used where it cannot be determined.
    pub owner: Option<MediaOwner>,
    /// Mastodon's version: `4.3.1`.
    pub version: Option<String>,
    /// How Mastodon is run.
    pub deployment: Option<Deployment>,
}

/// Who writes and deletes media at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MediaOwner {
    /// Mastodon, in the media directory.
    Disk,
    /// Mastodon, in the bucket of these settings.
    Bucket,
}

/// How Mastodon's processes are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Deployment {
    /// Units such as `mastodon-web`, which start in Mastodon's own directory.
    Systemd,
    /// Containers, by Docker Compose.
    Docker,
}

/// Whether the bucket can be read without a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Anybody who knows the name of an object can read it.
    Public,
    /// Only signed requests are answered.
    Private,
}

impl fmt::Display for Visibility {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Visibility::Public => "public",
            Visibility::Private => "private",
        })
    }
}

impl File {
    /// Reads `path`; with `None`, `medialift.toml` of the working directory if it exists.
    pub fn load(path: Option<&Path>) -> Result<File> {
        let (path, must_exist) = match path {
            Some(path) => (path.to_owned(), true),
            None => (PathBuf::from("medialift.toml"), false),
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !must_exist => {
                return Ok(File::default());
            }
            Err(e) => {
                return Err(
                    Error::usage(format!("read the settings file `{}`", path.display()))
                        .cause(e)
                        .hint("give its path with `--config`; without the flag, `medialift.toml` is read if it exists"),
                );
            }
        };
        toml::from_str(&text).map_err(|e: toml::de::Error| {
            // The line itself is not shown: it may contain a key.
            let line = e
                .span()
                .map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            Error::usage(format!("read the settings file `{}`", path.display()))
                .cause(format!("line {line}: {}", e.message()))
                .hint("correct this line; docs/migrate.md has an example of the file")
        })
    }
}
