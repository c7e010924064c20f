//! Which media directories a path has to do with, told by what lies around it: a guard must hold
//! although nobody has named a media directory.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use super::site::Site;
use crate::error::{Error, Result};

/// The name of Mastodon's own media directory.
const MASTODONS: &str = "system";

/// Every media directory that `path` is, lies in or holds: those that a state file tells of, and
/// those that are called as Mastodon's own.
///
/// Looked at as it was given and with its links resolved: the media may lie on another disk. It need
/// not be there: a cutover may have been killed between two renames.
///
/// # Errors
/// Fails where it cannot be looked at.
pub fn around(path: &Path) -> Result<Vec<Site>> {
    let fail = |e| Error::usage(format!("look around `{}`", path.display())).cause(e);
    let given = std::path::absolute(path).map_err(fail)?;
    let resolved = match fs::canonicalize(path) {
        Err(e) if e.kind() == ErrorKind::NotFound => given.clone(),
        resolved => resolved.map_err(fail)?,
    };
    let mut sites: Vec<Site> = Vec::new();
    let mut note = |directory: &Path, sure: bool| {
        if let Ok(site) = Site::at(directory)
            && (sure || !matches!(site.state_path().try_exists(), Ok(false)))
            && !sites.contains(&site)
        {
            sites.push(site);
        }
    };
    for ancestor in given.ancestors().chain(resolved.ancestors()) {
        let Some(name) = ancestor.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        note(ancestor, name == MASTODONS);
        if let Some(live) = name.strip_suffix('_').filter(|live| !live.is_empty()) {
            note(&ancestor.with_file_name(live), false);
        }
    }
    for below in [
        resolved.join(MASTODONS),
        resolved.join("public").join(MASTODONS),
    ] {
        note(&below, below.is_dir());
    }
    let entries = match fs::read_dir(&resolved) {
        Err(e) if e.kind() == ErrorKind::NotFound => None,
        entries => Some(entries.map_err(fail)?),
    };
    for entry in entries.into_iter().flatten() {
        let name = entry.map_err(fail)?.file_name();
        let told = name.to_str().and_then(|name| name.strip_prefix('.'));
        if let Some(name) = told.and_then(|name| name.strip_suffix(".medialift.json")) {
            note(&resolved.join(name), false);
        }
    }
    Ok(sites)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names of the media directories that `path` has to do with, below a `public` that has a
    /// migration of `media` and of Mastodon's own.
    #[track_caller]
    fn check(path: &str, expected: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        for directory in ["system/cache", "media/cache", "media_/cache", "other_"] {
            fs::create_dir_all(root.path().join("public").join(directory)).unwrap();
        }
        fs::write(root.path().join("public/.media.medialift.json"), "").unwrap();
        let found = around(&root.path().join(path)).unwrap();
        let names: Vec<&str> = found.iter().map(|site| site.name.as_str()).collect();
        assert_eq!(names, expected, "{path}");
    }

    #[test]
    fn the_state_file_or_mastodons_name_tells() {
        check("public/system", &["system"]);
        check("public/system/cache", &["system"]);
        check("public/media", &["media"]);
        check("public/media_/cache", &["media"]);
        check("public/other_", &[]);
        check("public", &["system", "media"]);
        check(".", &["system"]);
    }

    #[test]
    fn a_link_is_what_it_is_called_and_what_it_points_to() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("disk/system")).unwrap();
        fs::create_dir(root.path().join("public")).unwrap();
        fs::write(root.path().join("public/.media.medialift.json"), "").unwrap();
        let link = root.path().join("public/media_");
        std::os::unix::fs::symlink(root.path().join("disk/system"), &link).unwrap();
        let found = around(&link).unwrap();
        let names: Vec<&str> = found.iter().map(|site| site.name.as_str()).collect();
        assert_eq!(names, ["media", "system"]);
    }
}
