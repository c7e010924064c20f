//! Finds the installation that uses a directory, and how the directory relates to its media directory.
//!
//! The named directory may be the media directory by Mastodon's own path, by the target of a link or by
//! a mount; the `system_` that `cutover` leaves; or a directory below or above it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::compose;
use super::environment;
use super::process::Process;
use super::units;
use crate::config::{self, Deployment};
use crate::swap::{kept_path, related_media_dirs};

/// How the named directory relates to Mastodon's media directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DirectoryRelation {
    /// The media directory itself.
    MediaDir,
    /// The media directory that `cutover` has moved aside: `system_`.
    MovedAside,
    /// A directory below one of these; its path relative to it.
    Below(PathBuf),
    /// A directory that contains the media directory.
    Above,
}

/// The installation of a directory.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) root: PathBuf,
    pub(super) media_dir: PathBuf,
    pub(super) relation: DirectoryRelation,
}

/// Why no single installation uses a directory.
#[derive(Debug)]
pub(super) struct NotFound {
    /// The reason, one sentence without a full stop.
    pub(super) why: String,
    /// No Mastodon was found that may use the directory, and it has no structure of Mastodon's media.
    pub(super) unrelated: bool,
}

/// Where Mastodon's guide, packages and administrators usually install it.
const USUAL_ROOTS: [&str; 5] = [
    "/home/mastodon/live",
    "/opt/mastodon",
    "/srv/mastodon",
    "/var/www/mastodon",
    "/usr/share/webapps/mastodon",
];

/// Paperclip's directories below the media directory: class and attachment. Media of other servers are
/// in the same directories below `cache/`.
pub(super) const ATTACHMENTS: [(&str, &str); 10] = [
    ("accounts", "avatars"),
    ("accounts", "headers"),
    ("backups", "dumps"),
    ("custom_emojis", "images"),
    ("imports", "data"),
    ("media_attachments", "files"),
    ("media_attachments", "thumbnails"),
    ("preview_card_providers", "icons"),
    ("preview_cards", "images"),
    ("site_uploads", "files"),
];
const CACHE: &str = "cache";

/// Directories of the versions of one file.
const STYLES: [&str; 3] = ["original", "small", "static"];

/// Finds the one installation that uses `directory`, an absolute path.
///
/// # Errors
/// Fails with the reason where there is none, or more than one.
pub(super) fn find(
    directory: &Path,
    settings: &config::File,
    processes: &[Process],
) -> Result<Found, NotFound> {
    let mut found: Vec<Found> = Vec::new();
    let mut other_media_dir = None;
    let resolved = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    for root in roots(directory, settings, processes) {
        let media_dirs = media_dirs(&root, settings);
        let placed = media_dirs
            .iter()
            .find_map(|media_dir| Some((media_dir, relation(directory, media_dir)?)));
        match placed {
            Some((media_dir, relation)) => found.push(Found {
                media_dir: media_dir.clone(),
                relation,
                root,
            }),
            // An installation elsewhere on this machine need not concern the directory.
            None if settings.mastodon.root.is_some()
                || settings.env_file.is_some()
                || directory.starts_with(&root)
                || resolved.starts_with(&root) =>
            {
                other_media_dir = other_media_dir.or_else(|| media_dirs.into_iter().next());
            }
            None => {}
        }
    }
    let shown = directory.display();
    // Mastodon may run where it is not found: in a container, or on another machine.
    let unrelated = found.is_empty()
        && other_media_dir.is_none()
        && ![directory, &resolved].into_iter().any(has_media_structure);
    let why = match (found.len(), other_media_dir) {
        (1, _) => return Ok(found.remove(0)),
        (0, Some(media_dir)) => format!(
            "the installation that was found uses `{}`, not `{shown}`",
            media_dir.display()
        ),
        (0, None) => format!("no Mastodon installation was found that uses `{shown}`"),
        _ => format!(
            "`{shown}` is used by more than one installation: `{}` and `{}`",
            found[0].root.display(),
            found[1].root.display()
        ),
    };
    Err(NotFound { why, unrelated })
}

/// Possible directories of Mastodon itself, links resolved, without duplicates.
fn roots(directory: &Path, settings: &config::File, processes: &[Process]) -> Vec<PathBuf> {
    let mut candidates: Vec<PathBuf> = settings.mastodon.root.iter().cloned().collect();
    if candidates.is_empty() {
        let env_file = settings.env_file.as_deref();
        let of_env_file = env_file.and_then(|path| std::path::absolute(path).ok());
        candidates.extend(of_env_file.and_then(|path| path.parent().map(Path::to_owned)));
        let resolved = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        for path in [directory, &resolved] {
            candidates.extend(path.ancestors().map(Path::to_owned));
            // The named directory may be the parent of Mastodon's.
            candidates.push(path.join("live"));
        }
        candidates.extend(
            processes
                .iter()
                .filter_map(|process| fs::read_link(&process.directory).ok()),
        );
        candidates.extend(std::env::current_dir());
        candidates.extend(USUAL_ROOTS.map(PathBuf::from));
    }
    let mut roots: Vec<PathBuf> = Vec::new();
    for candidate in candidates {
        if let Ok(root) = fs::canonicalize(&candidate)
            && (settings.mastodon.root.is_some() || is_mastodon(&root))
            && !roots.contains(&root)
        {
            roots.push(root);
        }
    }
    roots
}

fn is_mastodon(directory: &Path) -> bool {
    let files = [
        "lib/mastodon/version.rb",
        ".env.production",
        ".env.production.local",
    ];
    files
        .iter()
        .any(|file| fs::symlink_metadata(directory.join(file)).is_ok())
        || compose::find(directory).is_some_and(|compose| compose.names_media())
}

/// Possible media directories of an installation: by its settings, by its Compose file, or the default.
pub(super) fn media_dirs(root: &Path, settings: &config::File) -> Vec<PathBuf> {
    let configured = environment::media_root(root, settings).map(|path| root.join(path));
    let compose = compose::find(root);
    let mounted = compose
        .as_ref()
        .and_then(|compose| compose.mounted_media_dir())
        .map(|path| root.join(path.strip_prefix("./").unwrap_or(path)));
    let default = root.join("public/system");
    // A path in a container need not exist here.
    let configured = configured.filter(|path| mounted.is_none() || path.is_dir());
    match (configured, mounted) {
        (Some(configured), _) => vec![configured],
        (None, Some(mounted)) if mounted != default => vec![mounted, default],
        (None, _) => vec![default],
    }
}

/// How `directory` relates to `media_dir`; none where neither contains the other.
fn relation(directory: &Path, media_dir: &Path) -> Option<DirectoryRelation> {
    if directory == media_dir || same(directory, media_dir) {
        return Some(DirectoryRelation::MediaDir);
    }
    let kept = kept_path(media_dir);
    if directory == kept || same(directory, &kept) {
        return Some(DirectoryRelation::MovedAside);
    }
    let resolved = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    for path in [directory, &resolved] {
        for ancestor in path.ancestors().skip(1) {
            if [media_dir, &kept]
                .iter()
                .any(|of| ancestor == *of || same(ancestor, of))
            {
                let below = path.strip_prefix(ancestor).unwrap_or(path);
                return Some(DirectoryRelation::Below(below.to_owned()));
            }
        }
    }
    let media = fs::canonicalize(media_dir).unwrap_or_else(|_| media_dir.to_owned());
    let above = [media_dir, &media].iter().any(|path| {
        path.ancestors()
            .skip(1)
            .any(|a| a == directory || same(a, directory))
    });
    // `/` contains everything.
    (above && resolved.parent().is_some()).then_some(DirectoryRelation::Above)
}

/// The media directory that `directory` relates to, and how, by names and state files: for where no
/// installation was found.
pub(super) fn by_names(directory: &Path) -> (PathBuf, DirectoryRelation) {
    let directories = related_media_dirs(directory).unwrap_or_default();
    let known: Vec<(PathBuf, DirectoryRelation)> = directories
        .iter()
        .filter(|paths| !matches!(paths.state(), Ok(None)) || has_media_structure(&paths.live()))
        .filter_map(|paths| Some((paths.live(), relation(directory, &paths.live())?)))
        .collect();
    let is_itself = |(_, relation): &&(PathBuf, DirectoryRelation)| {
        matches!(
            relation,
            DirectoryRelation::MediaDir | DirectoryRelation::MovedAside
        )
    };
    if let Some(found) = known.iter().find(is_itself).or(known.first()) {
        return found.clone();
    }
    let resolved = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    for path in [directory, &resolved] {
        if let Some(below) = paperclip_suffix(path)
            && let Some(media_dir) = path.ancestors().nth(below.iter().count())
        {
            return (media_dir.to_owned(), DirectoryRelation::Below(below));
        }
    }
    (directory.to_owned(), DirectoryRelation::MediaDir)
}

/// Whether its parent is called `public`, or it has one of Paperclip's directories.
fn has_media_structure(directory: &Path) -> bool {
    directory
        .parent()
        .is_some_and(|path| path.ends_with("public"))
        || ATTACHMENTS.iter().any(|(class, attachment)| {
            directory.join(class).is_dir()
                || directory.join(CACHE).join(class).join(attachment).is_dir()
        })
}

/// The last part of a path that has Paperclip's structure: `cache/accounts/avatars` of
/// `/mnt/copy/cache/accounts/avatars`.
fn paperclip_suffix(path: &Path) -> Option<PathBuf> {
    let names: Vec<&str> = path
        .iter()
        .map(|name| name.to_str().unwrap_or(""))
        .collect();
    let is_number = |name: &str| name.bytes().all(|byte| byte.is_ascii_digit());
    let last = names
        .iter()
        .rposition(|name| !is_number(name) && !STYLES.contains(name))?;
    let class = last.checked_sub(1).filter(|&at| {
        let pair = (names[at], names[last]);
        ATTACHMENTS.contains(&pair)
    });
    let single = || {
        let is_class = |name| name == CACHE || ATTACHMENTS.iter().any(|(class, _)| name == *class);
        (last + 1 == names.len() && is_class(names[last])).then_some(last)
    };
    let from = class.or_else(single)?;
    let in_cache = from.checked_sub(1).filter(|&at| names[at] == CACHE);
    Some(names[in_cache.unwrap_or(from)..].iter().collect())
}

/// Whether both are the same directory, by another link or mount.
fn same(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// How it is run, by its files. A checkout always has a Compose file.
pub(super) fn deployment(root: &Path) -> Option<Deployment> {
    if units::read(&units::DIRECTORIES, root).found {
        Some(Deployment::Systemd)
    } else if compose::find(root).is_some() && !root.join("Gemfile").exists() {
        Some(Deployment::Docker)
    } else {
        None
    }
}
