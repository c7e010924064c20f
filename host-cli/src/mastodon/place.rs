//! Which installation a directory belongs to, and what the directory is to it.
//!
//! A media directory may be named as Mastodon names it, by the target of a link, as the `system_`
//! that `cutover` leaves, or by a mount; and a directory below or above it may be named instead.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::compose;
use super::environment;
use super::process::Process;
use super::units;
use crate::config::{self, Deployment};
use crate::swap::{around, kept_of};

/// What the named directory is to Mastodon's media directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// The media directory itself.
    Whole,
    /// What `cutover` has put aside: `system_`.
    Kept,
    /// A directory below either; its path from there, which is missing from the front of its keys.
    Below(PathBuf),
    /// A directory that the media directory lies in.
    Above,
}

/// The installation of a directory.
#[derive(Clone, Debug)]
pub(super) struct Found {
    pub(super) root: PathBuf,
    pub(super) media_dir: PathBuf,
    pub(super) place: Place,
}

/// Why there is not one installation of a directory.
#[derive(Debug)]
pub(super) struct NotFound {
    /// In one sentence without a full stop.
    pub(super) why: String,
    /// No Mastodon is seen that has to do with the directory, and it does not look like media.
    pub(super) alone: bool,
}

/// Where Mastodon is installed by its own guide, by packages, and by habit.
const USUAL_ROOTS: [&str; 5] = [
    "/home/mastodon/live",
    "/opt/mastodon",
    "/srv/mastodon",
    "/var/www/mastodon",
    "/usr/share/webapps/mastodon",
];

/// Directories that Paperclip makes below the media directory, and in each of them one an attachment.
/// Those of other servers' media are in `cache/`.
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

/// Directories of one file each.
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
    let mut uses_another = None;
    let resolved = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    for root in roots(directory, settings, processes) {
        let media_dirs = media_dirs(&root, settings);
        let placed = media_dirs
            .iter()
            .find_map(|media_dir| Some((media_dir, place(directory, media_dir)?)));
        match placed {
            Some((media_dir, place)) => found.push(Found {
                media_dir: media_dir.clone(),
                place,
                root,
            }),
            // One that happens to be on this machine says nothing about the directory.
            None if settings.mastodon.root.is_some()
                || settings.env_file.is_some()
                || directory.starts_with(&root)
                || resolved.starts_with(&root) =>
            {
                uses_another = uses_another.or_else(|| media_dirs.into_iter().next());
            }
            None => {}
        }
    }
    let shown = directory.display();
    // Media whose Mastodon is not seen, in a container of their own or at a file server, are Mastodon's.
    let alone = found.is_empty()
        && uses_another.is_none()
        && ![directory, &resolved].into_iter().any(looks_like_media);
    let why = match (found.len(), uses_another) {
        (1, _) => return Ok(found.remove(0)),
        (0, Some(media_dir)) => format!(
            "`{shown}` is not the media directory of the installation that was found, which uses `{}`",
            media_dir.display()
        ),
        (0, None) => format!("no Mastodon installation was found that uses `{shown}`"),
        _ => format!(
            "`{shown}` is used by more than one installation: `{}` and `{}`",
            found[0].root.display(),
            found[1].root.display()
        ),
    };
    Err(NotFound { why, alone })
}

/// Directories that look like Mastodon's own, resolved, each once.
fn roots(directory: &Path, settings: &config::File, processes: &[Process]) -> Vec<PathBuf> {
    let mut candidates: Vec<PathBuf> = settings.mastodon.root.iter().cloned().collect();
    if candidates.is_empty() {
        let env_file = settings.env_file.as_deref();
        let beside = env_file.and_then(|path| std::path::absolute(path).ok());
        candidates.extend(beside.and_then(|path| path.parent().map(Path::to_owned)));
        let resolved = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
        for path in [directory, &resolved] {
            candidates.extend(path.ancestors().map(Path::to_owned));
            // A directory above the media directory, or the root itself.
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
            && (settings.mastodon.root.is_some() || looks_like_mastodon(&root))
            && !roots.contains(&root)
        {
            roots.push(root);
        }
    }
    roots
}

fn looks_like_mastodon(directory: &Path) -> bool {
    let marks = [
        "lib/mastodon/version.rb",
        ".env.production",
        ".env.production.local",
    ];
    marks
        .iter()
        .any(|mark| fs::symlink_metadata(directory.join(mark)).is_ok())
        || compose::find(directory).is_some_and(|compose| compose.names_media())
}

/// Where the installation may keep its media: as its settings say, or as a container mounts it.
pub(super) fn media_dirs(root: &Path, settings: &config::File) -> Vec<PathBuf> {
    let moved = environment::media_root(root, settings).map(|path| root.join(path));
    let compose = compose::find(root);
    let mounted = compose
        .as_ref()
        .and_then(|compose| compose.mounted_media_dir())
        .map(|path| root.join(path.strip_prefix("./").unwrap_or(path)));
    let usual = root.join("public/system");
    // A path in a container is not one of this machine.
    let moved = moved.filter(|path| mounted.is_none() || path.is_dir());
    match (moved, mounted) {
        (Some(moved), _) => vec![moved],
        (None, Some(mounted)) if mounted != usual => vec![mounted, usual],
        (None, _) => vec![usual],
    }
}

/// What `directory` is to `media_dir`; none where they have nothing to do with each other.
fn place(directory: &Path, media_dir: &Path) -> Option<Place> {
    if directory == media_dir || same(directory, media_dir) {
        return Some(Place::Whole);
    }
    let kept = kept_of(media_dir);
    if directory == kept || same(directory, &kept) {
        return Some(Place::Kept);
    }
    let resolved = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    for path in [directory, &resolved] {
        for ancestor in path.ancestors().skip(1) {
            if [media_dir, &kept]
                .iter()
                .any(|of| ancestor == *of || same(ancestor, of))
            {
                let below = path.strip_prefix(ancestor).unwrap_or(path);
                return Some(Place::Below(below.to_owned()));
            }
        }
    }
    let media = fs::canonicalize(media_dir).unwrap_or_else(|_| media_dir.to_owned());
    let above = [media_dir, &media].iter().any(|path| {
        path.ancestors()
            .skip(1)
            .any(|a| a == directory || same(a, directory))
    });
    // Everything lies in `/`.
    (above && resolved.parent().is_some()).then_some(Place::Above)
}

/// The media directory that `directory` has to do with, and what it is to it, told by names and state
/// files alone: no installation was found.
pub(super) fn by_names(directory: &Path) -> (PathBuf, Place) {
    let sites = around(directory).unwrap_or_default();
    let known: Vec<(PathBuf, Place)> = sites
        .iter()
        .filter(|site| !matches!(site.state(), Ok(None)) || looks_like_media(&site.live()))
        .filter_map(|site| Some((site.live(), place(directory, &site.live())?)))
        .collect();
    let is_itself = |(_, place): &&(PathBuf, Place)| matches!(place, Place::Whole | Place::Kept);
    if let Some(found) = known.iter().find(is_itself).or(known.first()) {
        return found.clone();
    }
    let resolved = fs::canonicalize(directory).unwrap_or_else(|_| directory.to_owned());
    for path in [directory, &resolved] {
        if let Some(below) = end_of_key(path)
            && let Some(media_dir) = path.ancestors().nth(below.iter().count())
        {
            return (media_dir.to_owned(), Place::Below(below));
        }
    }
    (directory.to_owned(), Place::Whole)
}

/// Whether it lies where Mastodon's lies, or has one of Paperclip's directories.
fn looks_like_media(directory: &Path) -> bool {
    directory
        .parent()
        .is_some_and(|path| path.ends_with("public"))
        || ATTACHMENTS.iter().any(|(class, attachment)| {
            directory.join(class).is_dir()
                || directory.join(CACHE).join(class).join(attachment).is_dir()
        })
}

/// `cache/accounts/avatars` of `/mnt/copy/cache/accounts/avatars`: the end of a path that Paperclip
/// has made.
fn end_of_key(path: &Path) -> Option<PathBuf> {
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
    let alone = || {
        let is_class = |name| name == CACHE || ATTACHMENTS.iter().any(|(class, _)| name == *class);
        (last + 1 == names.len() && is_class(names[last])).then_some(last)
    };
    let from = class.or_else(alone)?;
    let in_cache = from.checked_sub(1).filter(|&at| names[at] == CACHE);
    Some(names[in_cache.unwrap_or(from)..].iter().collect())
}

/// Whether both are one directory, links followed and mounts looked through.
fn same(a: &Path, b: &Path) -> bool {
    match (fs::metadata(a), fs::metadata(b)) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

/// How it is run, told by the files that lie there. A checkout has a Compose file in any case.
pub(super) fn deployment(root: &Path) -> Option<Deployment> {
    if units::read(&units::DIRECTORIES, root).found {
        Some(Deployment::Systemd)
    } else if compose::find(root).is_some() && !root.join("Gemfile").exists() {
        Some(Deployment::Docker)
    } else {
        None
    }
}
