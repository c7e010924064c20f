//! Finds and reads the Mastodon installation that a media directory belongs to.
//!
//! What cannot be read, or can be read in more than one way, is [`Owner::Unknown`] with the
//! reason: never an assumption. Leaves to [`crate::guards`] what follows from it.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::{self, Target};
use crate::error::Result;

/// Who writes and deletes media at this moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Owner {
    /// Mastodon keeps its media in the directory: the disk is the truth.
    Disk,
    /// Mastodon keeps its media in a bucket: the directory is a stale copy.
    Bucket,
    /// It cannot be told; why, in one sentence without a full stop.
    Unknown(String),
}

/// Where Mastodon keeps its media when they are in a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Storage {
    /// Bucket name in lower case: the service compares names without case.
    pub bucket: String,
    /// What comes before every key: empty, or ending in `/`.
    pub key_prefix: String,
    /// Host of `S3_ENDPOINT` in lower case, with its port if it has one; none where not set.
    pub endpoint: Option<String>,
}

/// Mastodon's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Version {
    /// 4 of `4.3.1`.
    pub major: u16,
    /// 3 of `4.3.1`.
    pub minor: u16,
    /// 1 of `4.3.1`.
    pub patch: u16,
}

/// How Mastodon's processes are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Deployment {
    /// Units `mastodon-web`, `mastodon-sidekiq`, `mastodon-streaming`.
    Systemd,
    /// Containers, by Docker Compose.
    Docker,
    /// It cannot be told.
    Unknown,
}

/// What the running processes do at this moment, as far as they can be asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Running {
    /// It could not be asked; why.
    NotAsked(String),
    /// It shows media of this owner.
    Shows(Owner),
    /// A process runs since before the settings were last changed.
    NotRestarted(String),
}

/// A Mastodon installation, as it was found.
#[derive(Clone, Debug, Serialize)]
pub struct Installation {
    /// The directory that Mastodon uses, as it names it, links not resolved: `…/public/system`,
    /// or `PAPERCLIP_ROOT_PATH`. Also where a `system_` or a directory below was named.
    pub media_dir: PathBuf,
    /// The same with every link resolved.
    pub resolved_dir: PathBuf,
    /// Mastodon's own directory, `/home/mastodon/live`; none where it was not found.
    pub root: Option<PathBuf>,
    /// Who writes and deletes media by the settings.
    pub owner: Owner,
    /// Where the media are, when the owner is the bucket.
    pub storage: Option<Storage>,
    /// What the running instance says.
    pub running: Running,
    /// From `lib/mastodon/version.rb`, or from the running instance.
    pub version: Option<Version>,
    /// How it is run.
    pub deployment: Deployment,
    /// Files with settings that are there, the one that outranks the others first.
    pub env_files: Vec<PathBuf>,
}

impl Installation {
    /// Finds the installation that `path`, or else the settings file, names.
    ///
    /// # Errors
    /// Fails where no media directory is named or the named one does not exist. An installation
    /// that is not found, or cannot be read, is no error: its owner is [`Owner::Unknown`].
    pub fn find(path: Option<&Path>, settings: &config::File) -> Result<Installation> {
        let media_dir = named_directory(path, settings)?;
        let resolved_dir = media_dir.clone();
        Ok(Installation {
            media_dir,
            resolved_dir,
            root: None,
            owner: Owner::Unknown("it has not been looked for".to_owned()),
            storage: None,
            running: Running::NotAsked("it has not been looked for".to_owned()),
            version: None,
            deployment: Deployment::Unknown,
            env_files: Vec::new(),
        })
    }

    /// Asks the running instance what it shows, where it answers.
    pub async fn ask(&mut self) {}

    /// Whether Mastodon keeps its media in this bucket below this prefix.
    pub fn owns_in(&self, target: &Target) -> bool {
        self.owner == Owner::Bucket
            && self.storage.as_ref().is_some_and(|storage| {
                storage.bucket.eq_ignore_ascii_case(&target.bucket)
                    && storage.key_prefix == target.key_prefix
            })
    }
}

fn named_directory(path: Option<&Path>, settings: &config::File) -> Result<PathBuf> {
    path.or(settings.media_dir.as_deref())
        .map(Path::to_owned)
        .ok_or_else(|| {
            crate::error::Error::usage("find the media directory")
                .cause("none is named")
                .hint("give it, e.g. `/home/mastodon/live/public/system`, or put `media_dir = \"…\"` in medialift.toml")
        })
}
