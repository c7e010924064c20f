//! What Mastodon's settings say of its media: read from every file in which they may stand, in the
//! order in which these outrank each other.
//!
//! Readings differ (versions of the gem; Compose reads by rules of its own). Where they lead to
//! different media settings, or one depends on what is not known here, nothing is assumed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use regex::Regex;

use super::compose::{self, Compose};
use super::owner::{Owner, Running, Storage};
use super::process::Process;
use super::units::{self, Units};
use crate::config::{self, Deployment, Endpoint};
use crate::dotenv::Document;
use crate::dotenv::readers::Reader;
use crate::dotenv::values::{self, Environment, Gem, Value, Values};

/// Files of `dotenv-rails` in production, the one that outranks the others first.
const FILES: [&str; 4] = [
    ".env.production.local",
    ".env.local",
    ".env.production",
    ".env",
];

/// What the settings say of the media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media {
    /// Whether they are in a bucket.
    pub in_bucket: bool,
    /// `S3_BUCKET`, empty where it does not count.
    pub bucket: String,
    /// `S3_KEY_PREFIX`, as written.
    pub key_prefix: String,
    /// Host and port of `S3_ENDPOINT`, in lower case; Amazon's where it is not set.
    pub endpoint: String,
    /// Hosts that media are read from when they are in a bucket: the alias, else the bucket's own.
    pub hosts: Vec<String>,
    /// `CDN_HOST`, in lower case: media of the disk are read from there too.
    pub cdn_host: Option<String>,
    /// `PAPERCLIP_ROOT_PATH`.
    pub root_path: String,
    /// Path before the media of the disk in their addresses: `system/`.
    pub disk_path: String,
    /// `LOCAL_DOMAIN`.
    pub local_domain: Option<String>,
    /// `WEB_DOMAIN`, where the site has another name than accounts have.
    pub web_domain: Option<String>,
    /// `PORT` of the web process.
    pub port: Option<String>,
}

impl Media {
    pub(super) fn owner(&self) -> (Owner, Option<Storage>) {
        if self.in_bucket {
            (Owner::Bucket, Some(Storage::from(self)))
        } else {
            (Owner::Disk, None)
        }
    }

    fn of(values: &Values) -> Result<Media, String> {
        let text = |key: &str| match values.get(key) {
            None => Ok(String::new()),
            Some(Value::Known(value)) => Ok(value.clone()),
            Some(Value::Unclear(on)) => Err(format!(
                "`{key}` depends on `{on}`, which is not set in any file that can be read"
            )),
        };
        let rails = text("RAILS_ENV")?;
        if !matches!(&*rails, "" | "production") {
            return Err(
                "`RAILS_ENV` is not `production`: other files than those that were read may count"
                    .to_owned(),
            );
        }
        let in_bucket = text("S3_ENABLED")? == "true";
        for (key, service) in [("SWIFT_ENABLED", "Swift"), ("AZURE_ENABLED", "Azure")] {
            if !in_bucket && text(key)? == "true" {
                return Err(format!(
                    "Mastodon keeps its media in {service}, as `{key}` says"
                ));
            }
        }
        let of_bucket = |key: &str| {
            if in_bucket {
                text(key)
            } else {
                Ok(String::new())
            }
        };
        let bucket = of_bucket("S3_BUCKET")?;
        if in_bucket && bucket.is_empty() {
            return Err("`S3_ENABLED` is `true` and `S3_BUCKET` is not set".to_owned());
        }
        let endpoint = if in_bucket {
            endpoint(values)?
        } else {
            String::new()
        };
        let mut hosts = Vec::new();
        for key in ["S3_ALIAS_HOST", "S3_CLOUDFRONT_HOST"] {
            hosts.extend(host(&of_bucket(key)?));
        }
        let region = match of_bucket("S3_REGION")? {
            region if region.is_empty() => "us-east-1".to_owned(),
            region => region,
        };
        let by_region = host(&format!("s3-{region}.amazonaws.com"));
        let services = [
            host(&of_bucket("S3_HOSTNAME")?).or(by_region),
            host(&of_bucket("S3_ENDPOINT")?),
        ];
        for service in services.into_iter().flatten() {
            hosts.push(format!("{bucket}.{service}").to_ascii_lowercase());
            hosts.push(service);
        }
        let domain = |key| text(key).ok().filter(|domain| !domain.is_empty());
        Ok(Media {
            in_bucket,
            bucket,
            key_prefix: of_bucket("S3_KEY_PREFIX")?,
            endpoint,
            hosts,
            cdn_host: domain("CDN_HOST").and_then(|url| host(&url)),
            root_path: text("PAPERCLIP_ROOT_PATH")?,
            disk_path: with_slash(domain("PAPERCLIP_ROOT_URL").as_deref().unwrap_or("system")),
            local_domain: domain("LOCAL_DOMAIN"),
            web_domain: domain("WEB_DOMAIN"),
            port: text("PORT").ok().filter(|port| !port.is_empty()),
        })
    }
}

/// The service that Mastodon sends its media to.
fn endpoint(values: &Values) -> Result<String, String> {
    let elsewhere = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
    match values.get("S3_ENDPOINT") {
        Some(Value::Known(text)) => Endpoint::parse(text)
            .map(|endpoint| endpoint.authority().to_owned())
            .map_err(|_| {
                "`S3_ENDPOINT` is not `https://` and a host: what bucket that is cannot be told"
                    .to_owned()
            }),
        Some(Value::Unclear(on)) => Err(format!(
            "`S3_ENDPOINT` depends on `{on}`, which is not set in any file that can be read"
        )),
        None => match elsewhere.iter().find(|key| values.contains_key(**key)) {
            Some(key) => Err(format!(
                "`S3_ENDPOINT` is not set and `{key}` is, which only some versions of Mastodon heed"
            )),
            None => Ok("s3.amazonaws.com".to_owned()),
        },
    }
}

/// The host of an address, or of a host with or without a path, in lower case.
fn host(address: &str) -> Option<String> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// `media/` of `media`; nothing of nothing.
pub(super) fn with_slash(prefix: &str) -> String {
    match prefix.trim_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    }
}

/// Where the settings of one installation may stand.
pub(super) struct Sources {
    root: PathBuf,
    files: Vec<PathBuf>,
    /// The one of [`Sources::files`] that Mastodon's guide names, `.env.production`.
    main: PathBuf,
    gems: Vec<Gem>,
    units: Units,
    /// The environments of processes that were started without a container.
    processes: Vec<Environment>,
    /// Those of processes in containers.
    containers: Vec<Environment>,
    /// The Compose files, where Compose may be what runs it.
    compose: Option<Compose>,
    deployment: Option<Deployment>,
}

/// What was read.
pub(super) struct Read {
    /// The media settings, or why they cannot be told.
    pub(super) media: Result<Media, String>,
    /// Files with settings that are there, the one that outranks the others first.
    pub(super) files: Vec<PathBuf>,
    /// When the last of them was changed, or a file that names them.
    pub(super) changed: Option<SystemTime>,
    /// Whether the settings are those of the running containers, whatever the files say.
    of_containers: bool,
    /// Whether systemd tells what its processes are given.
    by_units: bool,
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

    pub(super) fn read(&self) -> Read {
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
                Err(e) => failed = Some(format!("`{}` cannot be looked at: {e}", path.display())),
            }
        }
        Read {
            media: failed.map_or_else(|| self.media(&present), Err),
            files: [&*self.units.environment_files, &*present].concat(),
            changed: last,
            of_containers: self.not_plain().is_some(),
            by_units: !self.units.environments.is_empty(),
        }
    }

    fn media(&self, present: &[PathBuf]) -> Result<Media, String> {
        if let Some(why) = &self.units.unreadable {
            return Err(why.clone());
        }
        if present.is_empty() && !self.units.found {
            return Err("the installation has no `.env.production`".to_owned());
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
            for environment in outers(outer) {
                for gem in &self.gems {
                    readings.push(load(&documents, *gem, &environment)?);
                }
            }
        }
        if self.compose.is_some() {
            readings.extend(self.of_containers(&documents)?);
        }
        let mut media = readings.iter().map(Media::of);
        let mut first = media
            .next()
            .unwrap_or_else(|| Err("no file with Mastodon's settings was found".to_owned()))?;
        for other in media {
            let other = other?;
            let says =
                |media: &Media| (media.owner(), media.hosts.clone(), media.root_path.clone());
            if says(&other) != says(&first) {
                return Err(format!(
                    "the settings read differently by different versions of the dotenv gem, by Compose, or by different processes: set `deployment` in medialift.toml, or look at the lines of `{}` that `medialift env --lint` names",
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

    /// What Compose makes of its files, or else what the containers that run have.
    fn of_containers(&self, documents: &[(&PathBuf, Document)]) -> Result<Vec<Values>, String> {
        let Some(why) = self.not_plain() else {
            let main = documents.iter().find(|(path, _)| **path == self.main);
            return main
                .map(|(path, document)| of_compose(path, document))
                .into_iter()
                .collect();
        };
        if self.containers.is_empty() {
            return Err(format!(
                "{why}, and no running container can be looked into: run this as root where they run, or say `owner` under `[mastodon]` in medialift.toml"
            ));
        }
        Ok(self.containers.iter().map(|c| c.known.clone()).collect())
    }

    fn not_plain(&self) -> Option<String> {
        self.compose.as_ref()?.not_plain(&self.root, &self.main)
    }
}

/// The environments of the first of these that has any: what runs is known better than what is to.
fn outers(environments: [&Vec<Environment>; 2]) -> Vec<Environment> {
    let known = environments.into_iter().find(|known| !known.is_empty());
    known.map_or_else(|| vec![Environment::default()], Clone::clone)
}

/// When the file, or a link to it, was changed, moved or given its name; none where it is not there.
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

fn of_compose(path: &Path, document: &Document) -> Result<Values, String> {
    let text = String::from_utf8(document.to_bytes())
        .map_err(|_| format!("`{}` is not UTF-8", path.display()))?;
    let value = |text: String| match text.split_once('$') {
        // Compose knows the variables of the shell it was started from.
        Some(_) => Value::Unclear("$…".to_owned()),
        None => Value::Known(text),
    };
    let read = Reader::Compose.read(&text);
    Ok(read
        .into_iter()
        .map(|(name, text)| (name, value(text)))
        .collect())
}

/// Files with settings, whether they are there or not, the one that outranks the others first.
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
    // As the root is called: links above it resolved.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
    let directory = path.parent().map(fs::canonicalize);
    match (directory, path.file_name()) {
        (Some(Ok(directory)), Some(name)) => directory.join(name),
        _ => path,
    }
}

/// Files that outrank `env_file` and are there, the first before the others.
pub fn outranking(env_file: &Path) -> Vec<PathBuf> {
    let directory = env_file.parent().unwrap_or(Path::new(""));
    FILES
        .iter()
        .take_while(|name| **name != ".env.production")
        .map(|name| directory.join(name))
        .filter(|path| path != env_file && fs::symlink_metadata(path).is_ok())
        .collect()
}

/// Whether Mastodon may stop keeping its media in a bucket when `after` takes the place of `before`.
pub fn turns_bucket_off(before: &Document, after: &Document) -> bool {
    Gem::ALL.into_iter().any(|gem| {
        let enabled = |document| {
            let read = values::read(document, gem, &Environment::default()).ok()?;
            Some(read.get("S3_ENABLED").cloned())
        };
        match enabled(after) {
            None | Some(Some(Value::Unclear(_))) => true,
            Some(Some(Value::Known(text))) if text == "true" => false,
            // Another file, or systemd, may say it.
            known => known != enabled(before),
        }
    })
}

/// `PAPERCLIP_ROOT_PATH`, where it is set and clear.
pub(super) fn media_root(root: &Path, settings: &config::File) -> Option<PathBuf> {
    let units = units::read(&units::DIRECTORIES, root);
    let mut documents = Vec::new();
    let files = files(root, settings);
    for path in &files {
        if let Ok(bytes) = fs::read(path) {
            documents.push((path, Document::parse(&bytes)));
        }
    }
    outers([&Vec::new(), &units.environments])
        .iter()
        .filter_map(|outer| load(&documents, Gem::V3_1_5, outer).ok())
        .find_map(|values| match values.get("PAPERCLIP_ROOT_PATH")? {
            Value::Known(path) if !path.is_empty() => Some(PathBuf::from(path)),
            _ => None,
        })
}

/// The reading of the gem that the installation has; every reading where that cannot be told.
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

impl From<&Media> for Storage {
    fn from(media: &Media) -> Self {
        Storage {
            bucket: media.bucket.to_ascii_lowercase(),
            key_prefix: with_slash(&media.key_prefix),
            endpoint: media.endpoint.clone(),
        }
    }
}

/// Whether the running processes have the settings that were read, which say this.
pub(super) fn running(media: &Media, processes: &[&Process], read: &Read) -> Running {
    if processes.is_empty() {
        return Running::NotAsked("no process of it is seen on this machine".to_owned());
    }
    let mut shows = None;
    let mut unclear = None;
    for process in processes {
        let mut may_be_older = true;
        if process.in_container {
            let Some(environment) = &process.environment else {
                continue;
            };
            if !Media::of(&environment.known).is_ok_and(|its| its.owner() == media.owner()) {
                return Running::NotRestarted(format!(
                    "the container of {} has other media settings than the file",
                    process.name
                ));
            }
            may_be_older = read.of_containers;
        } else if process.environment.is_none() && !read.by_units {
            unclear = Some(format!(
                "the environment of {}, which outranks the settings files, cannot be read, and no unit of systemd tells it",
                process.name
            ));
        }
        if let (Some(started), Some(changed), true) =
            (process.started, read.changed, may_be_older)
            // Boot time, from which the start is counted, is given in whole seconds.
            && started + Duration::from_secs(1) < changed
        {
            return Running::NotRestarted(format!(
                "{} was started before the settings were last changed",
                process.name
            ));
        }
        shows = Some(media.owner().0);
    }
    match (unclear, shows) {
        (Some(why), _) => Running::Unclear(why),
        (None, Some(owner)) => Running::Shows(owner),
        (None, None) => Running::NotAsked("its containers cannot be looked into".to_owned()),
    }
}

#[cfg(test)]
mod tests;
