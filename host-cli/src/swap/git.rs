//! Excludes what a cutover leaves beside the media directory from `git clean`.
//!
//! Mastodon's `.gitignore` has `public/system` and not `public/system_`, so `git clean -fd` in its
//! checkout would delete all media. `.git/info/exclude` is git's file for exclusions of one machine.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The lines of `.git/info/exclude` for the paths beside a media directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exclusion {
    file: PathBuf,
    /// Those that the file does not have.
    missing: Vec<String>,
}

impl Exclusion {
    /// For the media directory `name` in `parent`; none where that is in no checkout.
    pub fn of(parent: &Path, name: &str) -> io::Result<Option<Exclusion>> {
        let Some(checkout) = parent.ancestors().find(|path| path.join(".git").exists()) else {
            return Ok(None);
        };
        let file = git_directory(checkout)?.join("info/exclude");
        let there = match fs::read(&file) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) if e.kind() == io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(e),
        };
        let below = parent.strip_prefix(checkout).unwrap_or(Path::new(""));
        let place = |name: &str| format!("/{}", below.join(name).display());
        let missing = [
            escaped(&place(&format!("{name}_"))),
            format!("{}.medialift*", escaped(&place(&format!(".{name}")))),
            format!("{}.conflicts-*", escaped(&place(name))),
        ]
        .into_iter()
        .filter(|line| !there.lines().any(|other| other == line))
        .collect();
        Ok(Some(Exclusion { file, missing }))
    }

    /// Whether the file has all lines.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Adds the missing lines.
    pub fn complete(&self) -> io::Result<()> {
        if self.is_complete() {
            return Ok(());
        }
        let directory = self.file.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        let is_new = !self.file.exists();
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.file)?;
        if is_new {
            // Created by root, it must belong to the owner of the checkout.
            let owner = fs::metadata(directory)?;
            std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
        }
        let ends_whole = fs::read(&self.file)?
            .last()
            .is_none_or(|last| *last == b'\n');
        let start = if ends_whole { "" } else { "\n" };
        let lines = self.missing.join("\n");
        file.write_all(format!("{start}{lines}\n").as_bytes())
    }
}

/// `.git`, or the directory that the file `.git` of a linked worktree names.
fn git_directory(checkout: &Path) -> io::Result<PathBuf> {
    let path = checkout.join(".git");
    if path.is_dir() {
        return Ok(path);
    }
    let text = fs::read_to_string(&path)?;
    let target = text.trim().strip_prefix("gitdir: ").unwrap_or_default();
    let directory = checkout.join(target);
    Ok(match fs::read_to_string(directory.join("commondir")) {
        Ok(common) => directory.join(common.trim()),
        Err(_) => directory,
    })
}

/// A path as a pattern that matches this path alone.
fn escaped(path: &str) -> String {
    let mut pattern = String::with_capacity(path.len());
    for c in path.chars() {
        if matches!(c, '*' | '?' | '[' | '\\' | ' ') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_added_once_and_others_stay() {
        let dir = tempfile::tempdir().unwrap();
        let public = dir.path().join("live/public");
        fs::create_dir_all(&public).unwrap();
        assert_eq!(Exclusion::of(&public, "system").unwrap(), None);
        fs::create_dir_all(dir.path().join("live/.git/info")).unwrap();
        let file = dir.path().join("live/.git/info/exclude");
        for before in ["", "*.swp", "*.swp\n"] {
            fs::write(&file, before).unwrap();
            for _ in 0..2 {
                let exclusion = Exclusion::of(&public, "system").unwrap().unwrap();
                exclusion.complete().unwrap();
            }
            let lines = "/public/system_\n/public/.system.medialift*\n/public/system.conflicts-*\n";
            let expected = match before {
                "" => lines.to_owned(),
                _ => format!("*.swp\n{lines}"),
            };
            assert_eq!(fs::read_to_string(&file).unwrap(), expected);
            let exclusion = Exclusion::of(&public, "system").unwrap().unwrap();
            assert!(exclusion.is_complete());
        }
    }

    #[test]
    fn a_linked_worktree_keeps_its_exclusions_in_the_common_directory() {
        let dir = tempfile::tempdir().unwrap();
        let common = dir.path().join("main/.git");
        fs::create_dir_all(common.join("worktrees/live")).unwrap();
        fs::write(common.join("worktrees/live/commondir"), "../..\n").unwrap();
        let live = dir.path().join("live");
        fs::create_dir(&live).unwrap();
        fs::write(live.join(".git"), "gitdir: ../main/.git/worktrees/live\n").unwrap();
        let exclusion = Exclusion::of(&live, "my media").unwrap().unwrap();
        exclusion.complete().unwrap();
        let text = fs::read_to_string(common.join("info/exclude")).unwrap();
        assert!(text.starts_with("/my\\ media_\n"), "{text}");
    }
}
