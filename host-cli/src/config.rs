//! Settings: `medialift.toml`, then the environment, then flags; the later wins.
//!
//! Parsed here into types; nothing else reads a settings file or a variable. Secrets come from
//! the environment, a file or a prompt, never from a flag.

mod credentials;
mod target;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use self::credentials::{Credentials, KEY, KEY_ID, KeyKind, find as find_credentials};
pub use self::target::{Endpoint, LONGEST_KEY, Target, TargetArgs, settings_error};
use crate::dotenv::settings::Visibility;
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
        toml::from_str(&text).map_err(|e| {
            Error::usage(format!("read the configuration `{}`", path.display()))
                .cause(e)
                .hint("`medialift --help` lists the settings")
        })
    }
}

/// Where state is kept: the flag, `state_dir` of the settings file, `$XDG_STATE_HOME/medialift`, or
/// `~/.local/state/medialift`.
pub fn state_dir(flag: Option<&Path>, file: &File) -> Result<PathBuf> {
    if let Some(path) = flag.or(file.state_dir.as_deref()) {
        return Ok(path.to_owned());
    }
    let variable = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    variable("XDG_STATE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("medialift"))
        .ok_or_else(|| {
            Error::usage("find the state directory")
                .cause("neither `XDG_STATE_HOME` nor `HOME` is set")
                .hint("give a directory with `--state-dir`, or as `state_dir` in medialift.toml")
        })
}

/// A value that never shows in a log, an error or a debug print.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps `value`.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    /// The value itself, for signing only.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
