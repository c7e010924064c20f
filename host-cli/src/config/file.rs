//! `medialift.toml` as it is written.

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The settings file as written. Every field is optional: a flag or a variable may give it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Bucket name.
    pub bucket: Option<String>,
    /// S3 endpoint as the bucket's page shows it: `s3.us-west-004.backblazeb2.com`.
    pub endpoint: Option<String>,
    /// Region, where the endpoint's name does not tell it.
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
    /// Where the journal and the migration's state are kept.
    pub state_dir: Option<PathBuf>,
    /// Native API realm, for tests and for other realms: `https://api.backblazeb2.com`.
    pub b2_api: Option<String>,
    /// Where the running instance answers: `http://127.0.0.1:3000`.
    pub instance_url: Option<String>,
    /// What cannot be found out about the Mastodon installation.
    #[serde(default)]
    pub mastodon: Mastodon,
    /// The proxy that `medialift nginx` prints.
    #[serde(default)]
    pub nginx: Nginx,
}

/// The table `[nginx]`: what only the proxy of one's own has. Each has a flag and a default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nginx {
    /// Where the cache is kept.
    pub cache_dir: Option<PathBuf>,
    /// How large it may become: `10g`.
    pub cache_size: Option<String>,
    /// For how long an object is served without asking the bucket.
    pub fresh_seconds: Option<u64>,
    /// For how long after that it covers for a bucket that is ill.
    pub stale_seconds: Option<u64>,
    /// Whether what the bucket says of freshness counts.
    pub origin_cache_control: Option<OriginCacheControl>,
    /// Keys that are refused.
    pub deny_prefixes: Option<String>,
    /// The directory with `fullchain.pem` and `privkey.pem`.
    pub certificates: Option<PathBuf>,
    /// The certificates by which the bucket is known.
    pub ca_file: Option<PathBuf>,
    /// A media directory that is looked into before the bucket is asked.
    pub fallback_dir: Option<PathBuf>,
    /// Whether the first reader after the freshness has ended is given the old copy too.
    pub background_update: Option<bool>,
}

/// Whether what the bucket says of an object's freshness counts: the worker's `ORIGIN_CACHE_CONTROL`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OriginCacheControl {
    /// The rule is ours.
    #[default]
    Ignore,
    /// `X-Accel-Expires`, `Cache-Control` and `Expires` outrank it.
    Respect,
}

/// The table `[mastodon]`: what is found out about the installation needs no setting.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mastodon {
    /// Mastodon's own directory: `/home/mastodon/live`.
    pub root: Option<PathBuf>,
    /// Who writes and deletes media; counts where it cannot be told.
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

/// Whether anybody may read the bucket, or only whoever signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Visibility {
    /// Anybody may read an object whose name they know.
    Public,
    /// Only signed requests are answered; the worker signs.
    Private,
}

impl File {
    /// Reads `path`; `None` reads `medialift.toml` of the working directory if there is one.
    pub fn load(path: Option<&Path>) -> Result<File> {
        let (path, asked_for) = match path {
            Some(path) => (path.to_owned(), true),
            None => (PathBuf::from("medialift.toml"), false),
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound && !asked_for => {
                return Ok(File::default());
            }
            Err(e) => {
                return Err(
                    Error::usage(format!("read the configuration `{}`", path.display()))
                        .cause(e)
                        .hint("give its path with `--config`, or leave the flag out to use none"),
                );
            }
        };
        toml::from_str(&text).map_err(|e: toml::de::Error| {
            // The line itself is not shown: somebody may have written a key into it.
            let line = e
                .span()
                .map_or(1, |span| 1 + text[..span.start].matches('\n').count());
            Error::usage(format!("read the configuration `{}`", path.display()))
                .cause(format!("line {line}: {}", e.message()))
                .hint("`medialift --help` lists the settings")
        })
    }
}
