//! What Mastodon's settings say of its media: read from every file in which they may stand, in the
//! order in which these outrank each other.
//!
//! Readings differ (versions of the gem; Compose reads by rules of its own). Where they lead to
//! different media settings, or one depends on what is not known here, nothing is assumed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::SystemTime;

use regex::Regex;

use super::place;
use super::process::Process;
use super::units::{self, Units};
use super::{Owner, Running, Storage};
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
    files: Vec<PathBuf>,
    gems: Vec<Gem>,
    units: Units,
    /// The environment of a process that was started without a container.
    process: Option<Environment>,
    /// The Compose file, where Compose may be what runs it.
    compose_file: Option<String>,
    deployment: Option<Deployment>,
}

/// What was read.
pub(super) struct Read {
    /// The media settings, or why they cannot be told.
    pub(super) media: Result<Media, String>,
    /// Files that are there, the one that outranks the others first.
    pub(super) files: Vec<PathBuf>,
    /// When the last of them was changed.
    pub(super) changed: Option<SystemTime>,
}

impl Sources {
    pub(super) fn find(
        root: &Path,
        settings: &config::File,
        deployment: Option<Deployment>,
        processes: &[&Process],
    ) -> Sources {
        let docker_at_most = deployment != Some(Deployment::Systemd);
        Sources {
            files: files(root, settings),
            gems: gems(root),
            units: units::read(&units::DIRECTORIES, root),
            process: processes
                .iter()
                .filter(|process| !process.in_container)
                .find_map(|process| process.environment.clone()),
            compose_file: place::compose_file(root).filter(|_| docker_at_most),
            deployment,
        }
    }

    pub(super) fn read(&self) -> Read {
        let present: Vec<PathBuf> = self
            .files
            .iter()
            .filter(|path| fs::symlink_metadata(path).is_ok())
            .cloned()
            .collect();
        let changed = present
            .iter()
            .filter_map(|path| fs::metadata(path).and_then(|m| m.modified()).ok())
            .max();
        Read {
            media: self.media(&present),
            files: self.units.files.iter().chain(&present).cloned().collect(),
            changed,
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
            let outer = self.process.as_ref().unwrap_or(&self.units.environment);
            for gem in &self.gems {
                readings.push(load(&documents, *gem, outer)?);
            }
        }
        if let Some(text) = &self.compose_file {
            if sets_media_itself(text) {
                return Err("the Compose file sets `S3_ENABLED` or `S3_BUCKET` itself".to_owned());
            }
            let of_compose = documents.iter().find(|(path, _)| is_main(path));
            if let Some((path, document)) = of_compose {
                readings.push(compose(path, document)?);
            }
        }
        let mut media = readings.iter().map(Media::of);
        let first = media
            .next()
            .unwrap_or_else(|| Err("no file with Mastodon's settings was found".to_owned()))?;
        for other in media {
            let other = other?;
            if (other.owner(), &other.hosts) != (first.owner(), &first.hosts) {
                return Err(format!(
                    "the settings read differently by different versions of the dotenv gem, or by Compose: set `deployment` in medialift.toml, or look at the lines of `{}` that `medialift env --lint` names",
                    present
                        .first()
                        .map(|path| path.display().to_string())
                        .unwrap_or_default()
                ));
            }
        }
        Ok(first)
    }
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

fn compose(path: &Path, document: &Document) -> Result<Values, String> {
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

fn is_main(path: &Path) -> bool {
    !matches!(
        path.file_name().and_then(|name| name.to_str()),
        Some(".env" | ".env.local" | ".env.production.local")
    )
}

/// Whether an `environment:` of the Compose file names media settings, which then outrank the file.
fn sets_media_itself(compose_file: &str) -> bool {
    compose_file
        .lines()
        .map(str::trim_start)
        .filter(|line| !line.starts_with('#'))
        .any(|line| line.contains("S3_ENABLED") || line.contains("S3_BUCKET"))
}

/// Files with settings, whether they are there or not, the one that outranks the others first.
fn files(root: &Path, settings: &config::File) -> Vec<PathBuf> {
    FILES
        .iter()
        .map(|name| match (&settings.env_file, *name) {
            (Some(path), ".env.production") => path.clone(),
            (_, name) => root.join(name),
        })
        .collect()
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
    let values = load(&documents, Gem::V3_1_5, &units.environment).ok()?;
    match values.get("PAPERCLIP_ROOT_PATH")? {
        Value::Known(path) if !path.is_empty() => Some(PathBuf::from(path)),
        _ => None,
    }
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

/// Whether the running processes have the settings that were read.
pub(super) fn running(
    media: &Media,
    processes: &[&Process],
    changed: Option<SystemTime>,
) -> Running {
    if processes.is_empty() {
        return Running::NotAsked("no process of it is seen on this machine".to_owned());
    }
    let mut shows = None;
    for process in processes {
        if process.in_container {
            let Some(environment) = &process.environment else {
                continue;
            };
            match Media::of(&environment.known) {
                Ok(its) if its.owner() == media.owner() => shows = Some(its.owner().0),
                _ => {
                    return Running::NotRestarted(format!(
                        "the container of {} has other media settings than the file",
                        process.name
                    ));
                }
            }
        } else if let (Some(started), Some(changed)) = (process.started, changed)
            // Boot time, from which the start is counted, is given in whole seconds.
            && started + std::time::Duration::from_secs(1) < changed
        {
            return Running::NotRestarted(format!(
                "{} was started before the settings were last changed",
                process.name
            ));
        } else {
            shows = Some(media.owner().0);
        }
    }
    match shows {
        Some(owner) => Running::Shows(owner),
        None => Running::NotAsked("its containers cannot be looked into".to_owned()),
    }
}
