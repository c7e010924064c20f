//! Finds and reads the Mastodon installation that a media directory belongs to.
//!
//! What cannot be read, or is ambiguous, is [`Owner::Unknown`] with the reason; nothing is assumed.
//! Leaves to [`crate::guards`] what follows from it.
//!
//! [`locate`] finds the directories, [`environment`] reads the settings, [`process`] the running
//! processes, [`running`] compares the two, and [`instance`] queries the instance over HTTP.

mod compose;
pub mod environment;
mod instance;
mod locate;
mod media;
mod owner;
mod process;
mod running;
mod units;
mod version;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use self::locate::DirectoryRelation;
pub use self::owner::{Owner, Running, Storage};
use crate::config::{self, Deployment, Endpoint, MediaOwner, Target, Version};
use crate::error::{Error, Result};
use crate::swap::{MediaPaths, related_media_dirs};

/// A Mastodon installation, as it was found.
#[derive(Clone, Debug, Serialize)]
pub struct Installation {
    /// The directory that Mastodon uses, by Mastodon's path, links not resolved: `…/public/system` or
    /// `PAPERCLIP_ROOT_PATH`. Where no installation was found, by the named directory.
    pub media_dir: PathBuf,
    /// The same directory with all links resolved.
    pub resolved_dir: PathBuf,
    /// How the named directory relates to the media directory.
    pub relation: DirectoryRelation,
    /// Mastodon's own directory, `/home/mastodon/live`; none where no installation was found.
    pub root: Option<PathBuf>,
    /// The media directory, while it is moved aside by `medialift cutover` or this cannot be
    /// determined.
    pub moved_aside: Option<PathBuf>,
    /// Who writes and deletes media, by the settings.
    pub owner: Owner,
    /// Where the media are, if the owner is the bucket.
    pub storage: Option<Storage>,
    /// The settings that the running processes have.
    pub running: Running,
    /// From `lib/mastodon/version.rb`, the tag of the image, or the running instance.
    pub version: Option<Version>,
    /// How it is run; none where it cannot be determined.
    pub deployment: Option<Deployment>,
    /// Files with settings that exist, by precedence.
    pub env_files: Vec<PathBuf>,
    /// No Mastodon was found that may use the directory, and it has no structure of Mastodon's media.
    #[serde(skip)]
    pub unrelated: bool,
    /// Queries the running instance.
    #[serde(skip)]
    instance: instance::InstanceClient,
}

impl Installation {
    /// The public address of the site: `https://example.com`.
    pub fn site_url(&self) -> Option<String> {
        self.instance.site_url()
    }

    /// Finds the installation that uses `path`, or else the media directory of the settings file. Reads
    /// files and `/proc` only; [`Installation::query_instance`] queries the instance.
    ///
    /// # Errors
    /// Fails where no media directory is named. An installation that is not found, or cannot be
    /// read, is no error: its owner is [`Owner::Unknown`].
    pub fn find(path: Option<&Path>, settings: &config::File) -> Result<Installation> {
        let named = configured_media_dir(path, settings)?;
        let absolute = std::path::absolute(&named).map_err(|e| {
            Error::usage(format!("use `{}` as the media directory", named.display())).cause(e)
        })?;
        let processes = process::of_mastodon();
        let found = match locate::find(&absolute, settings, &processes) {
            Ok(found) => found,
            Err(locate::NotFound { why, unrelated }) => {
                let installation = Installation::not_found(&absolute, why, settings);
                return Ok(Installation {
                    // After a cutover the bucket is the source of truth.
                    unrelated: unrelated && installation.moved_aside.is_none(),
                    ..installation
                });
            }
        };
        let running: Vec<_> = processes
            .iter()
            .filter(|process| process.belongs_to(&found.root, &found.media_dir))
            .collect();
        let deployment = deployment(&found.root, settings, &running);
        let read = environment::Sources::find(&found.root, settings, deployment, &running).read();
        let moved_aside = match found.relation {
            DirectoryRelation::MovedAside => Some(found.media_dir.clone()),
            _ => moved_aside(&absolute),
        };
        let mut installation = Installation {
            resolved_dir: resolved(&found.media_dir),
            media_dir: found.media_dir,
            relation: found.relation,
            moved_aside,
            version: version(&found.root, settings, deployment, &running),
            root: Some(found.root),
            owner: Owner::Disk,
            storage: None,
            running: Running::NotObserved(
                "no process of Mastodon was found on this machine".to_owned(),
            ),
            deployment,
            unrelated: false,
            instance: instance::InstanceClient::of(settings, read.media.as_ref().ok()),
            env_files: Vec::new(),
        };
        match &read.media {
            Ok(media) => {
                (installation.owner, installation.storage) = media.owner();
                installation.running = match running::running(media, &running, &read) {
                    // The settings file confirms the owner.
                    Running::Unknown(why) if stated_owner(settings) == Some(media.owner().0) => {
                        Running::NotObserved(why)
                    }
                    running => running,
                };
            }
            Err(why) => installation.take_settings(why.clone(), settings),
        }
        installation.env_files = read.files;
        Ok(installation)
    }

    /// An installation with these values.
    #[cfg(test)]
    pub(crate) fn for_tests(owner: Owner, storage: Option<Storage>) -> Installation {
        let directory = PathBuf::from("/home/mastodon/live/public/system");
        let settings = config::File::default();
        let installation = Installation::not_found(&directory, String::new(), &settings);
        Installation {
            owner,
            storage,
            ..installation
        }
    }

    fn not_found(directory: &Path, why: String, settings: &config::File) -> Installation {
        let (media_dir, relation) = locate::by_names(directory);
        let mut installation = Installation {
            resolved_dir: resolved(&media_dir),
            moved_aside: moved_aside(directory),
            media_dir,
            relation,
            root: None,
            owner: Owner::Disk,
            storage: None,
            running: Running::NotObserved("no installation was found".to_owned()),
            version: settings
                .mastodon
                .version
                .as_deref()
                .and_then(Version::parse),
            deployment: settings.mastodon.deployment,
            env_files: Vec::new(),
            unrelated: false,
            instance: instance::InstanceClient::of(settings, None),
        };
        installation.take_settings(why, settings);
        installation
    }

    /// Takes owner and bucket from the settings file, since they could not be determined: `why`.
    fn take_settings(&mut self, why: String, settings: &config::File) {
        self.owner = stated_owner(settings).unwrap_or(Owner::Unknown(why));
        let endpoint = settings.endpoint.as_deref().map(Endpoint::parse);
        if let (Owner::Bucket, Some(bucket), Some(Ok(endpoint))) =
            (&self.owner, &settings.bucket, endpoint)
        {
            self.storage = Some(Storage {
                bucket: bucket.to_ascii_lowercase(),
                key_prefix: config::with_slash(settings.key_prefix.as_deref().unwrap_or("")),
                endpoint: endpoint.authority().to_owned(),
            });
        }
    }

    /// Queries the running instance, if it answers.
    pub async fn query_instance(&mut self) {
        let Some(status) = self.instance.query().await else {
            return;
        };
        self.version = self.version.or(status.version);
        // One process with old settings counts, whatever another one reports.
        if let (Some(running), false) = (
            status.running,
            matches!(self.running, Running::NotRestarted(_)),
        ) {
            self.running = running;
        }
    }

    /// Who owns the media in `target`: a bucket that Mastodon does not write to is a copy of the disk.
    ///
    /// [`Owner::Disk`] only where the running Mastodon does not contradict it.
    pub fn owner_of(&self, target: &Target) -> Owner {
        match (self.owner_by_settings(target), &self.running) {
            (Owner::Disk, Running::Unknown(why)) => Owner::Unknown(format!(
                "{why}: name the instance as `instance_url` in medialift.toml, so that it can be queried"
            )),
            (Owner::Disk, _) => match self.differs_from_settings() {
                Some(why) => Owner::Unknown(format!("{why}: restart Mastodon")),
                None => Owner::Disk,
            },
            (owner, _) => owner,
        }
    }

    /// [`Installation::owner_of`], by the settings alone.
    ///
    /// Buckets are compared by name only, since one bucket may have two endpoints or prefixes.
    pub fn owner_by_settings(&self, target: &Target) -> Owner {
        let owner = match (&self.owner, &self.storage) {
            (Owner::Bucket, Some(storage))
                if !storage.bucket.eq_ignore_ascii_case(&target.bucket) =>
            {
                &Owner::Disk
            }
            (owner, _) => owner,
        };
        match (owner, &self.moved_aside) {
            (Owner::Disk, Some(directory)) => Owner::Unknown(format!(
                "`{}` has been moved aside by `medialift cutover`, and by its settings Mastodon does not use this bucket",
                directory.display()
            )),
            (owner, _) => owner.clone(),
        }
    }

    /// How the running Mastodon differs from its settings; none where no difference is known.
    pub fn differs_from_settings(&self) -> Option<String> {
        match (&self.running, &self.owner) {
            (Running::NotRestarted(why), _) => Some(why.clone()),
            (Running::Uses(Owner::Disk), Owner::Bucket) => Some(
                "the running Mastodon still returns addresses of the media directory".to_owned(),
            ),
            (Running::Uses(Owner::Bucket), Owner::Disk) => {
                Some("the running Mastodon still keeps its media in a bucket".to_owned())
            }
            _ => None,
        }
    }

    /// Whether Mastodon keeps its media in this bucket below this prefix.
    pub fn owns_in(&self, target: &Target) -> bool {
        self.owner == Owner::Bucket
            && self.storage.as_ref().is_some_and(|storage| {
                storage.is_bucket_of(target) && storage.key_prefix == target.key_prefix
            })
    }
}

/// Version and deployment of the installation in `root`, without its media directory.
pub fn of_root(root: &Path, settings: &config::File) -> (Option<Version>, Option<Deployment>) {
    let processes = process::of_mastodon();
    let running: Vec<_> = processes
        .iter()
        .filter(|process| process.belongs_to(root, &root.join("public/system")))
        .collect();
    let deployment = deployment(root, settings, &running);
    (version(root, settings, deployment, &running), deployment)
}

/// The owner by the settings file.
fn stated_owner(settings: &config::File) -> Option<Owner> {
    settings.mastodon.owner.map(|owner| match owner {
        MediaOwner::Disk => Owner::Disk,
        MediaOwner::Bucket => Owner::Bucket,
    })
}

fn deployment(
    root: &Path,
    settings: &config::File,
    running: &[&process::Process],
) -> Option<Deployment> {
    settings
        .mastodon
        .deployment
        .or_else(|| running.first().map(|process| process.deployment()))
        .or_else(|| locate::deployment(root))
}

fn version(
    root: &Path,
    settings: &config::File,
    deployment: Option<Deployment>,
    running: &[&process::Process],
) -> Option<Version> {
    let version = settings
        .mastodon
        .version
        .as_deref()
        .and_then(Version::parse);
    version.or_else(|| version::find(root, deployment, running))
}

/// The media directory of the installation with this `env_file`, if a cutover has moved it aside.
pub fn moved_aside_of(env_file: &Path, settings: &config::File) -> Option<PathBuf> {
    let settings = config::File {
        env_file: Some(env_file.to_owned()),
        ..settings.clone()
    };
    let given = std::path::absolute(env_file).unwrap_or_else(|_| env_file.to_owned());
    let roots = match &settings.mastodon.root {
        Some(root) => vec![root.clone()],
        None => [resolved(&given), given]
            .iter()
            .filter_map(|path| Some(path.parent()?.to_owned()))
            .collect(),
    };
    let media_dirs = roots
        .iter()
        .flat_map(|root| locate::media_dirs(root, &settings));
    let named = settings.media_dir.iter().cloned();
    named
        .chain(media_dirs)
        .find_map(|directory| moved_aside(&directory))
}

/// The media directory that `directory` is, contains or is part of, if a cutover has moved it aside.
fn moved_aside(directory: &Path) -> Option<PathBuf> {
    let Ok(directories) = related_media_dirs(directory) else {
        return Some(directory.to_owned());
    };
    let moved = |paths: &MediaPaths| !matches!(paths.state(), Ok(None));
    directories
        .iter()
        .find(|paths| moved(paths))
        .map(MediaPaths::live)
}

fn resolved(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The media directory of the command line, else of the settings file, else of `root` under `[mastodon]`.
///
/// # Errors
/// Fails where none of them has one.
pub fn configured_media_dir(argument: Option<&Path>, settings: &config::File) -> Result<PathBuf> {
    let of_root = || Some(settings.mastodon.root.as_ref()?.join("public/system"));
    argument
        .map(Path::to_owned)
        .or_else(|| settings.media_dir.clone())
        .or_else(of_root)
        .ok_or_else(|| {
            Error::usage("find the media directory")
                .cause("no media directory is named")
                .hint("give its path, e.g. `/home/mastodon/live/public/system`, or put `media_dir = \"…\"` in medialift.toml")
        })
}

#[cfg(test)]
mod tests;
