//! The media directories that a path belongs to or holds: a guard must find them where no media directory
//! is named.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::paths::MediaPaths;
use crate::error::{Error, Result};

/// The name of Mastodon's media directory.
const MASTODONS: &str = "system";

/// Every media directory that `path` is, is in or holds: those with a state file, and those with the name
/// of Mastodon's.
///
/// By the path as it was given and with its links resolved: the media may be on another disk. The path
/// need not exist: a cutover may have been killed between two renames.
///
/// # Errors
/// Where the path or its directory cannot be read.
pub fn related_media_dirs(path: &Path) -> Result<Vec<MediaPaths>> {
    let fail = |e| {
        Error::usage(format!(
            "find the media directories of `{}`",
            path.display()
        ))
        .cause(e)
    };
    let given = std::path::absolute(path).map_err(fail)?;
    let resolved = match fs::canonicalize(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => given.clone(),
        resolved => resolved.map_err(fail)?,
    };
    let mut found: Vec<MediaPaths> = Vec::new();
    let mut add = |directory: &Path, sure: bool| {
        if let Ok(paths) = MediaPaths::of(directory)
            && (sure || !matches!(paths.state_path().try_exists(), Ok(false)))
            && !found.contains(&paths)
        {
            found.push(paths);
        }
    };
    for ancestor in given.ancestors().chain(resolved.ancestors()) {
        let Some(name) = ancestor.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        add(ancestor, name == MASTODONS);
        if let Some(live) = name.strip_suffix('_').filter(|live| !live.is_empty()) {
            add(&ancestor.with_file_name(live), false);
        }
    }
    for below in [
        resolved.join(MASTODONS),
        resolved.join("public").join(MASTODONS),
    ] {
        add(&below, below.is_dir());
    }
    let entries = match fs::read_dir(&resolved) {
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        entries => Some(entries.map_err(fail)?),
    };
    for entry in entries.into_iter().flatten() {
        let name = entry.map_err(fail)?.file_name();
        let hidden = name.to_str().and_then(|name| name.strip_prefix('.'));
        if let Some(name) = hidden.and_then(|name| name.strip_suffix(".medialift.json")) {
            add(&resolved.join(name), false);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the media directories of `path`, below a `public` with a cutover of `media` and with
    /// Mastodon's own directory.
    #[track_caller]
    fn check(path: &str, expected: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        for directory in ["system/cache", "media/cache", "media_/cache", "other_"] {
            fs::create_dir_all(root.path().join("public").join(directory)).unwrap();
        }
        fs::write(root.path().join("public/.media.medialift.json"), "").unwrap();
        let found = related_media_dirs(&root.path().join(path)).unwrap();
        let names: Vec<&str> = found.iter().map(|paths| paths.name.as_str()).collect();
        assert_eq!(names, expected, "{path}");
    }

    #[test]
    fn a_media_directory_is_found_by_its_state_file_or_mastodons_name() {
        check("public/system", &["system"]);
        check("public/system/cache", &["system"]);
        check("public/media", &["media"]);
        check("public/media_/cache", &["media"]);
        check("public/other_", &[]);
        check("public", &["system", "media"]);
        check(".", &["system"]);
    }

    #[test]
    fn a_link_is_found_by_its_name_and_its_target() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("disk/system")).unwrap();
        fs::create_dir(root.path().join("public")).unwrap();
        fs::write(root.path().join("public/.media.medialift.json"), "").unwrap();
        let link = root.path().join("public/media_");
        std::os::unix::fs::symlink(root.path().join("disk/system"), &link).unwrap();
        let found = related_media_dirs(&link).unwrap();
        let names: Vec<&str> = found.iter().map(|paths| paths.name.as_str()).collect();
        assert_eq!(names, ["media", "system"]);
    }
}
