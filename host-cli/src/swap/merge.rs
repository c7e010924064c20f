//! Merges one tree into another and overwrites nothing.
//!
//! Every entry moves by a rename that fails if the name exists: a killed run loses nothing, and the next
//! continues. A file of another filesystem is copied to a temporary name first. A second name is removed
//! only once the first is synced to disk. Links below the two roots are not followed.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use serde::Serialize;

use crate::error::{Error, Result};

/// Temporary name of a copy. What a killed run has left is removed by the next run, which comes to the
/// same directory because the copied file is still in the other tree.
const STAGED: &str = ".medialift-moving";

/// What was merged.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Merged {
    /// Files and links that were moved, also those in directories that were moved whole.
    pub moved: u64,
    /// Files that existed with the same bytes; the second copy was deleted.
    pub same: u64,
    /// Paths, relative to the roots, where both trees have different entries: both are kept.
    pub conflicts: Vec<PathBuf>,
}

/// Moves the entries of `from` into `into`. Those that conflict are left in `from`.
pub(super) fn merge(from: &Path, into: &Path) -> Result<Merged> {
    let mut merged = Merged::default();
    merge_directory(from, into, Path::new(""), &mut merged)?;
    merged.conflicts.sort();
    Ok(merged)
}

fn merge_directory(from: &Path, into: &Path, relative: &Path, merged: &mut Merged) -> Result<()> {
    let directory = from.join(relative);
    let fail = |e: io::Error| Error::new(format!("read `{}`", directory.display())).cause(e);
    let _ = fs::remove_file(into.join(relative).join(STAGED));
    for entry in fs::read_dir(&directory).map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let path = relative.join(entry.file_name());
        let (source, target) = (from.join(&path), into.join(&path));
        let move_error = |e: io::Error| {
            Error::new(format!(
                "move `{}` to `{}`",
                source.display(),
                target.display()
            ))
            .cause(e)
            .hint("no file is lost: remove the cause, then run the command again")
        };
        let kind = entry.file_type().map_err(fail)?;
        // Before the move: a directory that was moved whole is not read.
        let count = if kind.is_dir() {
            count(&source).map_err(move_error)?
        } else {
            1
        };
        match move_without_replacing(&source, &target, kind.is_dir()).map_err(move_error)? {
            Moved::Yes => merged.moved += count,
            Moved::NameExists => {
                let there = fs::symlink_metadata(&target).map_err(move_error)?;
                if kind.is_dir() && there.is_dir() {
                    merge_directory(from, into, &path, merged)?;
                    // Fails where conflicts are left in it.
                    let _ = fs::remove_dir(&source);
                } else if kind.is_file()
                    && there.is_file()
                    && same(&source, &target).map_err(move_error)?
                {
                    remove_second_name(&source, &target).map_err(move_error)?;
                    merged.same += 1;
                } else {
                    merged.conflicts.push(path);
                }
            }
        }
    }
    Ok(())
}

/// Whether an entry was moved.
enum Moved {
    Yes,
    /// Its name exists; nothing was changed.
    NameExists,
}

fn move_without_replacing(source: &Path, target: &Path, directory: bool) -> io::Result<Moved> {
    match rustix::fs::renameat_with(CWD, source, CWD, target, RenameFlags::NOREPLACE) {
        Ok(()) => Ok(Moved::Yes),
        Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(Moved::NameExists),
        // Another filesystem, or one that cannot rename without replacing.
        Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) if directory => {
            let mode = fs::symlink_metadata(source)?;
            match fs::create_dir(target) {
                Ok(()) => {
                    sync_parent(target)?;
                    std::os::unix::fs::chown(target, Some(mode.uid()), Some(mode.gid()))?;
                    fs::set_permissions(target, mode.permissions())?;
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
            Ok(Moved::NameExists)
        }
        Err(Errno::XDEV | Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
            move_by_link_or_copy(source, target)
        }
        Err(e) => Err(e.into()),
    }
}

/// Makes a hard link, or a copy that is linked once it is complete; then removes the old name.
fn move_by_link_or_copy(source: &Path, target: &Path) -> io::Result<Moved> {
    let taken = |e: io::Error| {
        if e.kind() == io::ErrorKind::AlreadyExists {
            Ok(Moved::NameExists)
        } else {
            Err(e)
        }
    };
    match fs::hard_link(source, target) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::CrossesDevices => {
            if !fs::symlink_metadata(source)?.is_file() {
                return Err(io::Error::other(
                    "it is no regular file, and it is on another filesystem",
                ));
            }
            if let Err(e) = copy_whole(source, target) {
                return taken(e);
            }
        }
        Err(e) => return taken(e),
    }
    remove_second_name(source, target)?;
    Ok(Moved::Yes)
}

/// Makes a copy that gets the name `target` once it is complete.
fn copy_whole(source: &Path, target: &Path) -> io::Result<()> {
    let staged = target.with_file_name(STAGED);
    let linked = copy(source, &staged).and_then(|()| fs::hard_link(&staged, target));
    let _ = fs::remove_file(&staged);
    linked
}

/// Removes `source` once `target`, the same file or one with the same bytes, is synced to disk: a power
/// failure must not lose both.
fn remove_second_name(source: &Path, target: &Path) -> io::Result<()> {
    sync_parent(target)?;
    fs::remove_file(source)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
}

/// Copies content, owner, mode and modification time, and syncs them.
fn copy(source: &Path, target: &Path) -> io::Result<()> {
    let mut from = open(source)?;
    let metadata = from.metadata()?;
    let mut to = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(target)?;
    io::copy(&mut from, &mut to)?;
    std::os::unix::fs::fchown(&to, Some(metadata.uid()), Some(metadata.gid()))?;
    to.set_permissions(fs::Permissions::from_mode(metadata.mode() & 0o7777))?;
    to.set_times(fs::FileTimes::new().set_modified(metadata.modified()?))?;
    to.sync_all()
}

fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
    fs::OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)
}

/// Number of files and links below `directory`.
fn count(directory: &Path) -> io::Result<u64> {
    let mut found = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        found += if entry.file_type()?.is_dir() {
            count(&entry.path())?
        } else {
            1
        };
    }
    Ok(found)
}

/// Whether two files have the same bytes.
fn same(a: &Path, b: &Path) -> io::Result<bool> {
    let (mut a, mut b) = (open(a)?, open(b)?);
    if a.metadata()?.len() != b.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let read = a.read(&mut left)?;
        if read == 0 {
            return Ok(b.read(&mut right)? == 0);
        }
        match b.read_exact(&mut right[..read]) {
            Ok(()) if left[..read] == right[..read] => {}
            Ok(()) => return Ok(false),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    #[test]
    fn nothing_is_overwritten_and_both_sides_of_a_conflict_stay() {
        let dir = tempfile::tempdir().unwrap();
        let (new, old) = (dir.path().join("new"), dir.path().join("old"));
        tree(
            &old,
            &[("a/same", "1"), ("a/differs", "old"), ("b", "file")],
        );
        tree(
            &new,
            &[
                ("a/same", "1"),
                ("a/differs", "new"),
                ("a/x/fresh", "f"),
                ("c/d/e", "g"),
                ("b/in", "h"),
            ],
        );
        let merged = merge(&new, &old).unwrap();
        assert_eq!(merged.moved, 2);
        assert_eq!(merged.same, 1);
        assert_eq!(merged.conflicts, [Path::new("a/differs"), Path::new("b")]);
        let read = |path: &str| fs::read_to_string(dir.path().join(path)).unwrap();
        assert_eq!(read("old/a/differs"), "old");
        assert_eq!(read("new/a/differs"), "new");
        assert_eq!(read("new/b/in"), "h");
        assert_eq!(read("old/c/d/e"), "g");
        let again = merge(&new, &old).unwrap();
        assert_eq!((again.moved, again.same, again.conflicts.len()), (0, 0, 2));
    }

    #[test]
    fn a_link_out_of_the_tree_is_moved_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (new, old) = (dir.path().join("new"), dir.path().join("old"));
        tree(dir.path(), &[("other/x", "1"), ("old/y", "2")]);
        fs::create_dir(&new).unwrap();
        std::os::unix::fs::symlink("../other", new.join("link")).unwrap();
        assert_eq!(merge(&new, &old).unwrap().moved, 1);
        assert!(fs::symlink_metadata(old.join("link")).unwrap().is_symlink());
        assert!(dir.path().join("other/x").exists());
    }

    #[test]
    fn a_link_in_place_of_a_directory_is_a_conflict() {
        let dir = tempfile::tempdir().unwrap();
        let (new, old) = (dir.path().join("new"), dir.path().join("old"));
        tree(
            dir.path(),
            &[("other/x", "1"), ("old/y", "2"), ("new/a/b", "3")],
        );
        std::os::unix::fs::symlink("../other", old.join("a")).unwrap();
        assert_eq!(merge(&new, &old).unwrap().conflicts, [Path::new("a")]);
        assert!(!dir.path().join("other/b").exists());
    }

    #[test]
    fn the_half_copied_file_of_a_killed_run_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let half = format!("old/a/{STAGED}");
        tree(
            dir.path(),
            &[("new/a/x", "whole"), ("old/a/y", "1"), (&half, "who")],
        );
        let merged = merge(&dir.path().join("new"), &dir.path().join("old")).unwrap();
        assert_eq!(merged.moved, 1);
        assert_eq!(fs::read_dir(dir.path().join("old/a")).unwrap().count(), 2);
    }

    #[test]
    fn a_copy_replaces_nothing_and_leaves_no_temporary_file() {
        let dir = tempfile::tempdir().unwrap();
        tree(dir.path(), &[("new/x", "new"), ("old/x", "old")]);
        let (source, target) = (dir.path().join("new/x"), dir.path().join("old/x"));
        let error = copy_whole(&source, &target).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
        copy_whole(&source, &dir.path().join("old/z")).unwrap();
        assert_eq!(fs::read_dir(dir.path().join("old")).unwrap().count(), 2);
    }

    #[test]
    fn a_copied_file_keeps_its_bytes_and_mode() {
        let dir = tempfile::tempdir().unwrap();
        tree(dir.path(), &[("a", "text")]);
        fs::set_permissions(dir.path().join("a"), fs::Permissions::from_mode(0o640)).unwrap();
        copy(&dir.path().join("a"), &dir.path().join("b")).unwrap();
        assert_eq!(fs::read_to_string(dir.path().join("b")).unwrap(), "text");
        assert_eq!(
            fs::metadata(dir.path().join("b")).unwrap().mode() & 0o777,
            0o640
        );
        assert!(same(&dir.path().join("a"), &dir.path().join("b")).unwrap());
    }
}
