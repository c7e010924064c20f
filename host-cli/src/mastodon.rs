//! Finds and reads the Mastodon installation that a media directory belongs to.
//!
//! What cannot be read, or can be read in more than one way, is [`Owner::Unknown`] with the
//! reason: never an assumption. Leaves to [`crate::guards`] what follows from it.
//!
//! [`place`] finds the directories, [`environment`] reads the settings, [`process`] looks at the
//! running processes and [`instance`] asks the instance itself.

mod compose;
pub mod environment;
mod instance;
mod owner;
mod place;
mod process;
mod units;
mod version;

use std::path::{Path, PathBuf};

use serde::Serialize;

pub use self::owner::{Owner, Running, Storage};
pub use self::place::Place;
use crate::config::{self, Deployment, Endpoint, MediaOwner, Target, Version};
use crate::error::{Error, Result};
use crate::swap::{Site, around};

/// A Mastodon installation, as it was found.
#[derive(Clone, Debug, Serialize)]
pub struct Installation {
    /// The directory that Mastodon uses, as it names it, links not resolved: `…/public/system`,
    /// or `PAPERCLIP_ROOT_PATH`. Also where a `system_` or a directory below was named. The named
    /// directory itself where no installation was found.
    pub media_dir: PathBuf,
    /// The same with every link resolved.
    pub resolved_dir: PathBuf,
    /// What the named directory is to the media directory.
    pub place: Place,
    /// Mastodon's own directory, `/home/mastodon/live`; none where it was not found.
    pub root: Option<PathBuf>,
    /// The media directory that `medialift cutover` has moved aside, while that stands. Where it
    /// cannot be told, it counts as moved.
    pub moved_aside: Option<PathBuf>,
    /// Who writes and deletes media by the settings.
    pub owner: Owner,
    /// Where the media are, when the owner is the bucket.
    pub storage: Option<Storage>,
    /// What the running instance does.
    pub running: Running,
    /// From `lib/mastodon/version.rb`, the image's name, or the running instance.
    pub version: Option<Version>,
    /// How it is run; none where it cannot be told.
    pub deployment: Option<Deployment>,
    /// Files with settings that are there, the one that outranks the others first.
    pub env_files: Vec<PathBuf>,
    /// No Mastodon is seen that has to do with the directory, and it does not look like media.
    #[serde(skip)]
    pub alone: bool,
    /// Where to ask the running instance, and what its answer is compared with.
    #[serde(skip)]
    question: instance::Question,
}

impl Installation {
    /// The site's address as its visitors have it: `https://example.com`.
    pub fn site_url(&self) -> Option<String> {
        self.question.site_url()
    }

    /// Finds the installation that `path`, or else the settings file, names. Reads the disk and
    /// `/proc` only; [`Installation::ask`] asks the instance.
    ///
    /// # Errors
    /// Fails where no media directory is named. An installation that is not found, or cannot be
    /// read, is no error: its owner is [`Owner::Unknown`].
    pub fn find(path: Option<&Path>, settings: &config::File) -> Result<Installation> {
        let named = named_media_dir(path, settings)?;
        let absolute = std::path::absolute(&named).map_err(|e| {
            Error::usage(format!("use `{}` as the media directory", named.display())).cause(e)
        })?;
        let processes = process::of_mastodon();
        let found = match place::find(&absolute, settings, &processes) {
            Ok(found) => found,
            Err(place::NotFound { why, alone }) => {
                let installation = Installation::not_found(&absolute, why, settings);
                return Ok(Installation {
                    // Of media that were moved aside the bucket is the truth.
                    alone: alone && installation.moved_aside.is_none(),
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
        let moved_aside = match found.place {
            Place::Kept => Some(found.media_dir.clone()),
            _ => moved_aside(&absolute),
        };
        let mut installation = Installation {
            resolved_dir: resolved(&found.media_dir),
            media_dir: found.media_dir,
            place: found.place,
            moved_aside,
            version: version(&found.root, settings, deployment, &running),
            root: Some(found.root),
            owner: Owner::Disk,
            storage: None,
            running: Running::NotAsked("no process of it is seen on this machine".to_owned()),
            deployment,
            alone: false,
            question: instance::Question::of(settings, read.media.as_ref().ok()),
            env_files: Vec::new(),
        };
        match &read.media {
            Ok(media) => {
                (installation.owner, installation.storage) = media.owner();
                installation.running = match environment::running(media, &running, &read) {
                    // Who runs it has said so.
                    Running::Unclear(why) if stated_owner(settings) == Some(media.owner().0) => {
                        Running::NotAsked(why)
                    }
                    running => running,
                };
            }
            Err(why) => installation.take_settings(why.clone(), settings),
        }
        installation.env_files = read.files;
        Ok(installation)
    }

    /// One that nobody has looked for.
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
        let (media_dir, place) = place::by_names(directory);
        let mut installation = Installation {
            resolved_dir: resolved(&media_dir),
            moved_aside: moved_aside(directory),
            media_dir,
            place,
            root: None,
            owner: Owner::Disk,
            storage: None,
            running: Running::NotAsked("no installation was found".to_owned()),
            version: settings
                .mastodon
                .version
                .as_deref()
                .and_then(Version::parse),
            deployment: settings.mastodon.deployment,
            env_files: Vec::new(),
            alone: false,
            question: instance::Question::of(settings, None),
        };
        installation.take_settings(why, settings);
        installation
    }

    /// What the settings file says counts where it could not be found out, which is `why`.
    fn take_settings(&mut self, why: String, settings: &config::File) {
        self.owner = stated_owner(settings).unwrap_or(Owner::Unknown(why));
        let endpoint = settings.endpoint.as_deref().map(Endpoint::parse);
        if let (Owner::Bucket, Some(bucket), Some(Ok(endpoint))) =
            (&self.owner, &settings.bucket, endpoint)
        {
            self.storage = Some(Storage {
                bucket: bucket.to_ascii_lowercase(),
                key_prefix: environment::with_slash(settings.key_prefix.as_deref().unwrap_or("")),
                endpoint: endpoint.authority().to_owned(),
            });
        }
    }

    /// Asks the running instance what it shows, where it answers.
    pub async fn ask(&mut self) {
        let Some(answer) = self.question.ask().await else {
            return;
        };
        self.version = self.version.or(answer.version);
        // A process that has old settings is told by its own age, whatever another one shows.
        if let (Some(shows), false) = (
            answer.shows,
            matches!(self.running, Running::NotRestarted(_)),
        ) {
            self.running = shows;
        }
    }

    /// Who owns what is in `target`: a bucket that Mastodon does not write to is a copy of the disk.
    ///
    /// That the disk is the truth is believed only where the running Mastodon shows nothing else.
    pub fn owner_of(&self, target: &Target) -> Owner {
        match (self.owner_by_settings(target), &self.running) {
            (Owner::Disk, Running::Unclear(why)) => Owner::Unknown(format!(
                "{why}: name the instance as `instance_url` in medialift.toml, so that it can be asked"
            )),
            (Owner::Disk, _) => match self.runs_otherwise() {
                Some(why) => Owner::Unknown(format!("{why}: restart Mastodon")),
                None => Owner::Disk,
            },
            (owner, _) => owner,
        }
    }

    /// [`Installation::owner_of`] by what the disk tells alone.
    ///
    /// Told by the bucket's name alone: two endpoints, or two prefixes, can lead to one bucket.
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

    /// What the running Mastodon does otherwise than its settings say; none where nothing is seen.
    pub fn runs_otherwise(&self) -> Option<String> {
        match (&self.running, &self.owner) {
            (Running::NotRestarted(why), _) => Some(why.clone()),
            (Running::Shows(Owner::Disk), Owner::Bucket) => Some(
                "the running Mastodon still gives out addresses of the media directory".to_owned(),
            ),
            (Running::Shows(Owner::Bucket), Owner::Disk) => {
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

/// Version and deployment of the installation in `root`, where its media directory is not named.
pub fn of_root(root: &Path, settings: &config::File) -> (Option<Version>, Option<Deployment>) {
    let processes = process::of_mastodon();
    let running: Vec<_> = processes
        .iter()
        .filter(|process| process.belongs_to(root, &root.join("public/system")))
        .collect();
    let deployment = deployment(root, settings, &running);
    (version(root, settings, deployment, &running), deployment)
}

/// What the settings file says.
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
        .or_else(|| place::deployment(root))
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

/// The media directory that a cutover has moved aside, of the installation with the settings
/// `env_file`.
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
        .flat_map(|root| place::media_dirs(root, &settings));
    let named = settings.media_dir.iter().cloned();
    named
        .chain(media_dirs)
        .find_map(|directory| moved_aside(&directory))
}

/// The media directory around `directory` that a cutover has moved aside.
fn moved_aside(directory: &Path) -> Option<PathBuf> {
    let Ok(sites) = around(directory) else {
        return Some(directory.to_owned());
    };
    let moved = |site: &Site| !matches!(site.state(), Ok(None));
    sites.iter().find(|site| moved(site)).map(Site::live)
}

fn resolved(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// The media directory that is named: the flag's, else the settings file's, else that of `[mastodon]
/// root` there.
///
/// # Errors
/// Fails where none is.
pub fn named_media_dir(path: Option<&Path>, settings: &config::File) -> Result<PathBuf> {
    let of_root = || Some(settings.mastodon.root.as_ref()?.join("public/system"));
    path.map(Path::to_owned)
        .or_else(|| settings.media_dir.clone())
        .or_else(of_root)
        .ok_or_else(|| {
            Error::usage("find the media directory")
                .cause("none is named")
                .hint("give it, e.g. `/home/mastodon/live/public/system`, or put `media_dir = \"…\"` in medialift.toml")
        })
}

#[cfg(test)]
mod tests;
