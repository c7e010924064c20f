//! The one walk of the media directory: every entry, in the order of its key's UTF-8 bytes.
//!
//! In that order a directory sorts as its name with `/`: `a.txt` comes before `a/b`. Directories are
//! reached through open directories and no link is followed unless asked for, so whoever exchanges a
//! directory for a link meanwhile leads nobody out of the tree. The names of one directory a level are
//! in memory, whatever the number of files. No file is opened here, so a FIFO cannot block.

mod children;
mod empty;
mod file;
mod list;
mod name;

use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, Stat};
use serde::Serialize;

use self::children::{Child, Kind, children};
pub use self::empty::remove_empty_directories;
pub use self::file::{LocalFile, OpenError, Stamp};
pub use self::list::walk_list;
pub use self::name::name_fault;
use crate::config::LONGEST_KEY;
use crate::error::{Error, Result};

/// Directories deeper than this are reported, not read: each level holds one file descriptor.
const DEEPEST: usize = 200;

/// Bits with which a directory lets its group or others in.
const OPEN_TO_OTHERS: u32 = 0o055;

/// What is walked, and how.
#[derive(Clone, Debug)]
pub struct Options {
    /// The media directory; it may itself be a link.
    pub root: PathBuf,
    /// Bytes that every key has before its path.
    pub prefix_length: usize,
    /// Follow links to directories, also out of the tree; else they are reported.
    pub follow_links: bool,
}

impl Options {
    fn longest_path(&self) -> usize {
        LONGEST_KEY.saturating_sub(self.prefix_length)
    }
}

/// Why an entry is passed over. Each variant is one line of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// A symbolic link to a file.
    Symlink,
    /// A symbolic link to a directory, or to nothing: what is behind it was not looked at.
    LinkedDirectory,
    /// A socket.
    Socket,
    /// A named pipe.
    Fifo,
    /// A block or character device.
    Device,
    /// The name is not UTF-8, so it cannot be a key.
    NotUtf8,
    /// The name has a control character, which the service or the edge refuses.
    ControlCharacter,
    /// The key would be longer than 1,024 bytes.
    KeyTooLong,
    /// A part of the name, between two `/`, is longer than 250 bytes, which the service refuses.
    PartTooLong,
    /// The file is larger than 10 TB, which the service refuses.
    TooLarge,
    /// The file cannot be opened or read.
    Unreadable,
    /// The directory cannot be listed; nothing below it was seen.
    UnreadableDirectory,
    /// It kept changing while it was read.
    Changing,
    /// It was there, and was gone when its turn came.
    Vanished,
    /// A list of files names it, and it is not there.
    Missing,
}

impl SkipReason {
    /// The reason in words, for after "skipped:".
    pub fn words(self) -> &'static str {
        match self {
            SkipReason::Symlink => "a symbolic link",
            SkipReason::LinkedDirectory => {
                "a symbolic link, and nothing behind it was looked at: `--follow-links` does, or put a bind mount in its place"
            }
            SkipReason::Socket => "a socket",
            SkipReason::Fifo => "a named pipe",
            SkipReason::Device => "a device",
            SkipReason::NotUtf8 => "the name is not UTF-8",
            SkipReason::ControlCharacter => "the name has a control character",
            SkipReason::KeyTooLong => "the key would be longer than 1,024 bytes",
            SkipReason::PartTooLong => "a part of the name is longer than 250 bytes",
            SkipReason::TooLarge => "the file is larger than 10 TB",
            SkipReason::Unreadable => "cannot be read",
            SkipReason::UnreadableDirectory => "the directory cannot be listed",
            SkipReason::Changing => "kept changing while it was read",
            SkipReason::Vanished => "vanished before its turn",
            SkipReason::Missing => "is not there",
        }
    }

    /// Whether there may be files below that were not seen.
    pub fn hides_entries(self) -> bool {
        matches!(
            self,
            SkipReason::LinkedDirectory | SkipReason::UnreadableDirectory
        )
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// An entry that is passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Its path; bytes that are not UTF-8 are shown as `\u{FFFD}`. Ends in `/` where
    /// [`SkipReason::hides_entries`].
    pub path: String,
    /// Why.
    pub reason: SkipReason,
    /// What the system said, where it said something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One step of the walk.
#[derive(Clone, Debug)]
pub enum Entry {
    /// A regular file whose path can be a key.
    File(LocalFile),
    /// Something that is reported.
    Skipped(Skipped),
}

impl Entry {
    /// Its path.
    pub fn path(&self) -> &str {
        match self {
            Entry::File(file) => &file.path,
            Entry::Skipped(skipped) => &skipped.path,
        }
    }

    fn skipped(path: impl Into<String>, reason: SkipReason, detail: Option<String>) -> Entry {
        Entry::Skipped(Skipped {
            path: path.into(),
            reason,
            detail,
        })
    }
}

/// A directory from which files are opened by the rest of their path: the root, or what a followed
/// link leads to.
#[derive(Debug)]
struct Anchor {
    directory: OwnedFd,
    /// Bytes of a path that lead here.
    path_length: usize,
}

/// Walks `options.root`.
///
/// # Errors
/// Fails where the root is missing, is no directory or cannot be listed; all else below it is reported
/// as [`Entry::Skipped`].
pub fn walk(options: &Options) -> Result<Walk> {
    let (anchor, directory, stat) = open_root(&options.root)?;
    let listed = children(&directory, options.follow_links)
        .map_err(|e| cannot_read(&options.root, e, OWNER_HINT))?;
    Ok(Walk {
        longest_path: options.longest_path(),
        follow_links: options.follow_links,
        root: (stat.st_dev, stat.st_ino),
        levels: vec![Level {
            path: String::new(),
            id: (stat.st_dev, stat.st_ino),
            open_to_others: stat.st_mode & OPEN_TO_OTHERS != 0,
            directory,
            anchor,
            children: listed,
        }],
    })
}

const OWNER_HINT: &str = "run as the user that owns the media, usually `mastodon`";

fn cannot_read(root: &Path, cause: io::Error, hint: &str) -> Error {
    Error::usage(format!("read the media directory `{}`", root.display()))
        .cause(cause)
        .hint(hint)
}

fn open_root(root: &Path) -> Result<(Arc<Anchor>, OwnedFd, Stat)> {
    const PATH_HINT: &str =
        "give the path of Mastodon's `public/system`, such as `/home/mastodon/live/public/system`";
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = || -> io::Result<(OwnedFd, OwnedFd, Stat)> {
        let directory = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
        let stat = rustix::fs::fstat(&directory)?;
        Ok((directory.try_clone()?, directory, stat))
    };
    let (again, directory, stat) = open().map_err(|e| {
        let hint = match e.kind() {
            io::ErrorKind::NotADirectory => "give a directory; for single files use `--files-from`",
            io::ErrorKind::PermissionDenied => OWNER_HINT,
            _ => PATH_HINT,
        };
        cannot_read(root, e, hint)
    })?;
    let anchor = Anchor {
        directory: again,
        path_length: 0,
    };
    Ok((Arc::new(anchor), directory, stat))
}

/// The walk under way. See [`walk`].
#[derive(Debug)]
pub struct Walk {
    longest_path: usize,
    follow_links: bool,
    root: (u64, u64),
    levels: Vec<Level>,
}

/// One directory's entries that are still to come, the next one last.
#[derive(Debug)]
struct Level {
    /// Path below the root, empty or ending in `/`.
    path: String,
    /// Device and inode, so that a link that leads back is seen.
    id: (u64, u64),
    /// Whether group or others can get here: all directories from the root on let them in.
    open_to_others: bool,
    directory: OwnedFd,
    anchor: Arc<Anchor>,
    children: Vec<Child>,
}

impl Walk {
    /// Device and inode of the root.
    pub fn root_id(&self) -> (u64, u64) {
        self.root
    }
}

impl Iterator for Walk {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let level = self.levels.last_mut()?;
            let Some(child) = level.children.pop() else {
                self.levels.pop();
                continue;
            };
            let name = match String::from_utf8(child.name) {
                Ok(name) => name,
                Err(e) => {
                    let name = String::from_utf8_lossy(e.as_bytes());
                    let path = format!("{}{name}", level.path);
                    return Some(Entry::skipped(path, SkipReason::NotUtf8, None));
                }
            };
            let path = format!("{}{name}", level.path);
            let part = name.strip_suffix('/').unwrap_or(&name);
            if let Some(reason) = name::part_fault(part) {
                return Some(Entry::skipped(path, reason, None));
            }
            match child.kind {
                Kind::Skipped(reason, detail) => return Some(Entry::skipped(path, reason, detail)),
                Kind::File(seen) => {
                    let anchor = level.anchor.clone();
                    let open_to_others = level.open_to_others;
                    let file = LocalFile::new(path, &seen, open_to_others, anchor);
                    return Some(file.checked(self.longest_path));
                }
                Kind::Directory { link } => match self.descend(&name, &path, link) {
                    Ok(level) => self.levels.push(level),
                    // Gone since it was listed: as if it had never been there.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => {
                        let detail = Some(e.to_string());
                        let reason = SkipReason::UnreadableDirectory;
                        return Some(Entry::skipped(path, reason, detail));
                    }
                },
            }
        }
    }
}

impl Walk {
    /// Opens and lists the directory `name` of the last level; `link`: it is a link to one.
    fn descend(&self, name: &str, path: &str, link: bool) -> io::Result<Level> {
        if self.levels.len() > DEEPEST {
            let deep = format!("more than {DEEPEST} directories deep");
            return Err(io::Error::other(deep));
        }
        let Some(above) = self.levels.last() else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let name = name.strip_suffix('/').unwrap_or(name);
        let directory = children::open_directory(&above.directory, name, link)?;
        let stat = rustix::fs::fstat(&directory)?;
        let id = (stat.st_dev, stat.st_ino);
        if link && self.levels.iter().any(|level| level.id == id) {
            return Err(io::Error::other(
                "the link leads back to a directory above it",
            ));
        }
        let anchor = if link {
            Arc::new(Anchor {
                directory: directory.try_clone()?,
                path_length: path.len(),
            })
        } else {
            above.anchor.clone()
        };
        Ok(Level {
            children: children(&directory, self.follow_links)?,
            path: path.to_owned(),
            id,
            open_to_others: above.open_to_others && stat.st_mode & OPEN_TO_OTHERS != 0,
            directory,
            anchor,
        })
    }
}

#[cfg(test)]
mod tests;
