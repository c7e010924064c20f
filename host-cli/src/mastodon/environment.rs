//! Reads the media settings of an installation from every file and process that may define them, in
//! their order of precedence.
//!
//! Versions of the gem, Compose and systemd parse files differently. Where the results differ, or
//! depend on variables that are not known here, nothing is assumed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use regex::Regex;

use super::compose::{self, Compose};
use super::media::MediaSettings;
use super::process::Process;
use super::units::{self, Units};
use crate::config::{self, Deployment};
use crate::dotenv::Document;
use crate::dotenv::readers::Reader;
use crate::dotenv::values::{self, Environment, Gem, Value, Values};

/// Files that `dotenv-rails` reads in production, by precedence.
const FILES: [&str; 4] = [
    ".env.production.local",
    ".env.local",
    ".env.production",
    ".env",
];

/// Everything that may define the settings of one installation.
pub(super) struct Sources {
    root: PathBuf,
    files: Vec<PathBuf>,
    /// `.env.production`, one of [`Sources::files`].
    main: PathBuf,
    gems: Vec<Gem>,
    units: Units,
    /// Environments of processes outside containers.
    processes: Vec<Environment>,
    /// Environments of processes in containers.
    containers: Vec<Environment>,
    /// The Compose files, where Compose may run it.
    compose: Option<Compose>,
    deployment: Option<Deployment>,
}

/// The result of [`Sources::read`].
pub(super) struct ReadSettings {
    /// The media settings; or why they cannot be determined.
    pub(super) media: Result<MediaSettings, String>,
    /// Files with settings that exist, by precedence.
    pub(super) files: Vec<PathBuf>,
    /// When one of them, or a file that names them, was last changed.
    pub(super) changed: Option<SystemTime>,
    /// Whether the settings are those of the running containers, not those of files.
    pub(super) from_containers: bool,
    /// Whether units of systemd define the environment.
    pub(super) from_units: bool,
}

impl Sources {
    pub(super) fn find(
        root: &Path,
        settings: &config::File,
        deployment: Option<Deployment>,
        processes: &[&Process],
    ) -> Sources {
        let docker_at_most = deployment != Some(Deployment::Systemd);
        let environments = |in_container| {
            let of = processes.iter().filter(|p| p.in_container == in_container);
            of.filter_map(|p| p.environment.clone()).collect()
        };
        Sources {
            root: root.to_owned(),
            files: files(root, settings),
            main: main_file(root, settings),
            gems: gems(root),
            units: units::read(&units::DIRECTORIES, root),
            processes: environments(false),
            containers: environments(true),
            compose: compose::find(root).filter(|_| docker_at_most),
            deployment,
        }
    }

    pub(super) fn read(&self) -> ReadSettings {
        let mut present = Vec::new();
        let mut last = None;
        let mut failed = None;
        let compose = self.compose.iter().flat_map(|compose| &compose.files);
        let units = self.units.unit_files.iter();
        for path in units
            .chain(&self.units.environment_files)
            .chain(compose)
            .chain(&self.files)
        {
            match changed(path) {
                Ok(Some(at)) => {
                    last = last.max(Some(at));
                    if self.files.contains(path) {
                        present.push(path.clone());
                    }
                }
                Ok(None) => {}
                Err(e) => failed = Some(format!("`{}` cannot be read: {e}", path.display())),
            }
        }
        ReadSettings {
            media: failed.map_or_else(|| self.media(&present), Err),
            files: [&*self.units.environment_files, &*present].concat(),
            changed: last,
            from_containers: self.compose_deviation().is_some(),
            from_units: !self.units.environments.is_empty(),
        }
    }

    fn media(&self, present: &[PathBuf]) -> Result<MediaSettings, String> {
        if let Some(why) = &self.units.unreadable {
            return Err(why.clone());
        }
        if present.is_empty() && !self.units.found {
            return Err(format!("`{}` does not exist", self.main.display()));
        }
        let mut documents = Vec::new();
        for path in present {
            let bytes =
                fs::read(path).map_err(|e| format!("`{}` cannot be read: {e}", path.display()))?;
            documents.push((path, Document::parse(&bytes)));
        }
        let mut readings = Vec::new();
        if self.deployment != Some(Deployment::Docker) {
            let outer = [&self.processes, &self.units.environments];
            for environment in first_known(outer) {
                for gem in &self.gems {
                    readings.push(load(&documents, *gem, &environment)?);
                }
            }
        }
        if self.compose.is_some() {
            readings.extend(self.container_environments(&documents)?);
        }
        let mut media = readings.iter().map(MediaSettings::of);
        let mut first = media
            .next()
            .unwrap_or_else(|| Err("no file with Mastodon's settings was found".to_owned()))?;
        for other in media {
            let other = other?;
            let relevant = |media: &MediaSettings| {
                (media.owner(), media.hosts.clone(), media.root_path.clone())
            };
            if relevant(&other) != relevant(&first) {
                return Err(format!(
                    "versions of the dotenv gem, Compose or different processes read the settings differently: set `deployment` under `[mastodon]` in medialift.toml, or correct the lines of `{}` that `medialift env --lint` names",
                    present
                        .first()
                        .map(|path| path.display().to_string())
                        .unwrap_or_default()
                ));
            }
            // Only the web process has one.
            first.port = first.port.or(other.port);
        }
        Ok(first)
    }

    /// The environment that Compose gives to its containers; where the Compose files are not understood,
    /// those of the running containers.
    fn container_environments(
        &self,
        documents: &[(&PathBuf, Document)],
    ) -> Result<Vec<Values>, String> {
        let Some(why) = self.compose_deviation() else {
            let main = documents.iter().find(|(path, _)| **path == self.main);
            return main
                .map(|(path, document)| read_as_compose(path, document))
                .into_iter()
                .collect();
        };
        if self.containers.is_empty() {
            return Err(format!(
                "{why}, and no environment of a running container can be read: run this as root where they run, or set `owner` under `[mastodon]` in medialift.toml"
            ));
        }
        Ok(self.containers.iter().map(|c| c.known.clone()).collect())
    }

    fn compose_deviation(&self) -> Option<String> {
        self.compose.as_ref()?.deviation(&self.root, &self.main)
    }
}

/// The first of these lists that is not empty; a running process outranks a unit.
fn first_known(environments: [&Vec<Environment>; 2]) -> Vec<Environment> {
    let known = environments.into_iter().find(|known| !known.is_empty());
    known.map_or_else(|| vec![Environment::default()], Clone::clone)
}

/// When the file, or a link to it, was changed, moved or renamed; none where it does not exist.
fn changed(path: &Path) -> io::Result<Option<SystemTime>> {
    let mut last = None;
    for metadata in [fs::symlink_metadata(path), fs::metadata(path)] {
        let metadata = match metadata {
            Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        let of_entry = Duration::new(
            u64::try_from(metadata.ctime()).unwrap_or(0),
            u32::try_from(metadata.ctime_nsec()).unwrap_or(0),
        );
        last = last
            .max(Some(UNIX_EPOCH + of_entry))
            .max(Some(metadata.modified()?));
    }
    Ok(last)
}

fn load(
    documents: &[(&PathBuf, Document)],
    gem: Gem,
    outer: &Environment,
) -> Result<Values, String> {
    let mut environment = outer.clone();
    for (path, document) in documents {
        let read = values::read(document, gem, &environment).map_err(|refused| {
            format!(
                "Mastodon may not start with `{}`: {refused}",
                path.display()
            )
        })?;
        environment.known.extend(read);
    }
    Ok(environment.known)
}

fn read_as_compose(path: &Path, document: &Document) -> Result<Values, String> {
    let text = String::from_utf8(document.to_bytes())
        .map_err(|_| format!("`{}` is not UTF-8", path.display()))?;
    let value = |text: String| match text.split_once('$') {
        // The variables of the shell that starts Compose are not known here.
        Some(_) => Value::Unresolved("$…".to_owned()),
        None => Value::Known(text),
    };
    let read = Reader::Compose.read(&text);
    Ok(read
        .into_iter()
        .map(|(name, text)| (name, value(text)))
        .collect())
}

/// Files that may have settings, by precedence, whether they exist or not.
fn files(root: &Path, settings: &config::File) -> Vec<PathBuf> {
    FILES
        .iter()
        .map(|name| match *name {
            ".env.production" => main_file(root, settings),
            name => root.join(name),
        })
        .collect()
}

fn main_file(root: &Path, settings: &config::File) -> PathBuf {
    let Some(path) = &settings.env_file else {
        return root.join(".env.production");
    };
    // Links above it are resolved, as they are in the root's path.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let directory = path.parent().map(fs::canonicalize);
    match (directory, path.file_name()) {
        (Some(Ok(directory)), Some(name)) => directory.join(name),
        _ => path,
    }
}

/// Existing files that outrank `env_file`, by precedence.
pub fn outranking(env_file: &Path) -> Vec<PathBuf> {
    let directory = env_file.parent().unwrap_or(Path::new(""));
    FILES
        .iter()
        .take_while(|name| **name != ".env.production")
        .map(|name| directory.join(name))
        .filter(|path| path != env_file && fs::symlink_metadata(path).is_ok())
        .collect()
}

/// Whether replacing `before` by `after` may turn `S3_ENABLED` off.
pub fn turns_bucket_off(before: &Document, after: &Document) -> bool {
    Gem::ALL.into_iter().any(|gem| {
        let enabled = |document| {
            let read = values::read(document, gem, &Environment::default()).ok()?;
            Some(read.get("S3_ENABLED").cloned())
        };
        match enabled(after) {
            None | Some(Some(Value::Unresolved(_))) => true,
            Some(Some(Value::Known(text))) if text == "true" => false,
            // Another file, or systemd, may set it.
            known => known != enabled(before),
        }
    })
}

/// `PAPERCLIP_ROOT_PATH`, where it is set and can be determined.
pub(super) fn media_root(root: &Path, settings: &config::File) -> Option<PathBuf> {
    let units = units::read(&units::DIRECTORIES, root);
    let mut documents = Vec::new();
    let files = files(root, settings);
    for path in &files {
        if let Ok(bytes) = fs::read(path) {
            documents.push((path, Document::parse(&bytes)));
        }
    }
    first_known([&Vec::new(), &units.environments])
        .iter()
        .filter_map(|outer| load(&documents, Gem::V3_1_5, outer).ok())
        .find_map(|values| match values.get("PAPERCLIP_ROOT_PATH")? {
            Value::Known(path) if !path.is_empty() => Some(PathBuf::from(path)),
            _ => None,
        })
}

/// The version of the gem that the installation has; every version where that cannot be determined.
fn gems(root: &Path) -> Vec<Gem> {
    #[expect(clippy::unwrap_used, reason = "a constant that a test compiles")]
    static LOCKED: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?m)^    dotenv \((\d+)\.(\d+)\.(\d+)\)").unwrap());
    let text = fs::read_to_string(root.join("Gemfile.lock")).unwrap_or_default();
    let number = |found: &regex::Captures<'_>, at: usize| found[at].parse().unwrap_or(0u32);
    match LOCKED.captures(&text) {
        None => Gem::ALL.to_vec(),
        Some(found) => {
            let version = (number(&found, 1), number(&found, 2), number(&found, 3));
            vec![if version >= (3, 1, 5) {
                Gem::V3_1_5
            } else if version >= (2, 8, 0) {
                Gem::V2_8
            } else {
                Gem::V2_4
            }]
        }
    }
}

#[cfg(test)]
mod tests;
