//! The local side: every file below a directory, in the order of its key's UTF-8 bytes.
//!
//! In that order a directory stands as its name with `/`: `a.txt` comes before `a/b`. One
//! directory's names are held at a time, so memory follows the deepest path and not the number of
//! files. Nothing is opened here, so a FIFO cannot block.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::fs::{self, DirEntry, Metadata};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::config::LONGEST_KEY;
use crate::error::{Error, Result};

/// What tells one state of a file from another without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Modification time, nanoseconds since 1970.
    pub modified: i64,
    /// Inode number: a file replaced by another of the same size and time differs here.
    pub inode: u64,
}

impl Stamp {
    /// The stamp of `metadata`.
    pub fn of(metadata: &Metadata) -> Self {
        Stamp {
            size: metadata.size(),
            modified: metadata
                .mtime()
                .saturating_mul(1_000_000_000)
                .saturating_add(metadata.mtime_nsec()),
            inode: metadata.ino(),
        }
    }
}

/// A regular file whose name can be a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFile {
    /// Relative to the walked directory, `/` between its parts.
    pub path: String,
    /// As seen while walking; the file may have changed since.
    pub stamp: Stamp,
}

/// Why an entry is not uploaded. Each variant is one line of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SkipReason {
    /// A symbolic link: following it could leave the media directory.
    Symlink,
    /// A socket.
    Socket,
    /// A named pipe.
    Fifo,
    /// A block or character device.
    Device,
    /// The name is not UTF-8, so it cannot be a key.
    NotUtf8,
    /// The name has a control character, which the service refuses.
    ControlCharacter,
    /// The key would be longer than 1,024 bytes.
    KeyTooLong,
    /// A part of the name, between two `/`, is longer than 250 bytes, which the service refuses.
    PartTooLong,
    /// The file cannot be opened or read.
    Unreadable,
    /// The directory cannot be listed; nothing below it was seen.
    UnreadableDirectory,
    /// It kept changing while it was read.
    Changing,
    /// It was there, and was gone when its turn came.
    Vanished,
}

impl SkipReason {
    /// The reason in words, for after "skipped:".
    pub fn words(self) -> &'static str {
        match self {
            SkipReason::Symlink => "a symbolic link",
            SkipReason::Socket => "a socket",
            SkipReason::Fifo => "a named pipe",
            SkipReason::Device => "a device",
            SkipReason::NotUtf8 => "the name is not UTF-8",
            SkipReason::ControlCharacter => "the name has a control character",
            SkipReason::KeyTooLong => "the key would be longer than 1,024 bytes",
            SkipReason::PartTooLong => "a part of the name is longer than 250 bytes",
            SkipReason::Unreadable => "cannot be read",
            SkipReason::UnreadableDirectory => "the directory cannot be listed",
            SkipReason::Changing => "kept changing while it was read",
            SkipReason::Vanished => "vanished before its turn",
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())
    }
}

/// An entry that is not uploaded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Its path; bytes that are not UTF-8 are shown as `\u{FFFD}`.
    pub path: String,
    /// Why.
    pub reason: SkipReason,
    /// What the system said, where it said something.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// One step of the walk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A file to consider.
    File(LocalFile),
    /// Something to report.
    Skipped(Skipped),
}

/// Walks `root`, with keys that begin with `prefix_length` more bytes than the paths here.
///
/// Fails where `root` is missing, is no directory or cannot be listed; all else below it is
/// reported as [`Entry::Skipped`].
pub fn walk(root: &Path, prefix_length: usize) -> Result<Walk> {
    let failed = |cause: io::Error, hint: &str| {
        Error::usage(format!("read the media directory `{}`", root.display()))
            .cause(cause)
            .hint(hint)
    };
    let metadata = fs::metadata(root).map_err(|e| {
        failed(
            e,
            "give the path of Mastodon's `public/system`, such as `/home/mastodon/live/public/system`",
        )
    })?;
    if !metadata.is_dir() {
        return Err(failed(
            io::Error::from(io::ErrorKind::NotADirectory),
            "give a directory; for single files use `--files-from`",
        ));
    }
    let mut walk = Walk {
        root: root.to_owned(),
        longest_path: LONGEST_KEY.saturating_sub(prefix_length),
        levels: Vec::new(),
    };
    let level = read_level(root, String::new()).map_err(|LevelError(_, e)| {
        failed(e, "run as the user that owns the media, usually `mastodon`")
    })?;
    walk.levels.push(level);
    Ok(walk)
}

/// The walk under way. See [`walk`].
#[derive(Debug)]
pub struct Walk {
    root: PathBuf,
    longest_path: usize,
    levels: Vec<Level>,
}

/// One directory's entries that are still to come, the next one last.
#[derive(Debug)]
struct Level {
    /// The directory's path relative to the root, empty or ending in `/`.
    path: String,
    entries: Vec<Sighted>,
}

#[derive(Debug)]
struct Sighted {
    /// The name; a directory's ends in `/`, which also makes it sort right.
    name: Vec<u8>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    File(Stamp),
    Directory,
    Skipped(SkipReason, Option<String>),
}

impl Iterator for Walk {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        loop {
            let level = self.levels.last_mut()?;
            let Some(sighted) = level.entries.pop() else {
                self.levels.pop();
                continue;
            };
            let skipped = |path: String, reason, detail| {
                Some(Entry::Skipped(Skipped {
                    path,
                    reason,
                    detail,
                }))
            };
            let name = match String::from_utf8(sighted.name) {
                Ok(name) => name,
                Err(e) => {
                    let lossy = String::from_utf8_lossy(e.as_bytes()).into_owned();
                    let path = format!("{}{lossy}", level.path);
                    return skipped(path, SkipReason::NotUtf8, None);
                }
            };
            let path = format!("{}{name}", level.path);
            let fault = part_fault(name.strip_suffix('/').unwrap_or(&name));
            match sighted.kind {
                Kind::Skipped(reason, detail) => return skipped(path, reason, detail),
                _ if let Some(reason) = fault => return skipped(path, reason, None),
                Kind::File(_) if path.len() > self.longest_path => {
                    return skipped(path, SkipReason::KeyTooLong, None);
                }
                Kind::File(stamp) => return Some(Entry::File(LocalFile { path, stamp })),
                Kind::Directory => match read_level(&self.root.join(&path), path) {
                    Ok(level) => self.levels.push(level),
                    Err(LevelError(path, e)) => match e.kind() {
                        // Gone between two steps: as if it had never been there.
                        io::ErrorKind::NotFound => {}
                        _ => {
                            let detail = Some(e.to_string());
                            return skipped(path, SkipReason::UnreadableDirectory, detail);
                        }
                    },
                },
            }
        }
    }
}

/// Why the service would refuse a key of this name, if it would: the one rule for all commands.
pub fn name_fault(path: &str, longest: usize) -> Option<SkipReason> {
    if path.len() > longest {
        return Some(SkipReason::KeyTooLong);
    }
    path.split('/').find_map(part_fault)
}

/// The same for what stands between two `/`.
fn part_fault(part: &str) -> Option<SkipReason> {
    /// Bytes; the service's own bound.
    const LONGEST_PART: usize = 250;
    if part.bytes().any(|b| b.is_ascii_control()) {
        Some(SkipReason::ControlCharacter)
    } else if part.len() > LONGEST_PART {
        Some(SkipReason::PartTooLong)
    } else {
        None
    }
}

/// Lists one directory, its entries sorted with the first one last.
fn read_level(directory: &Path, path: String) -> Result<Level, LevelError> {
    let mut entries = Vec::new();
    let listing = match fs::read_dir(directory) {
        Ok(listing) => listing,
        Err(e) => return Err(LevelError(path, e)),
    };
    for entry in listing {
        match entry {
            Ok(entry) => entries.extend(sight(&entry)),
            Err(e) => return Err(LevelError(path, e)),
        }
    }
    entries.sort_unstable_by(|a, b| b.name.cmp(&a.name));
    Ok(Level { path, entries })
}

/// What one directory entry is; `None` where it is gone already.
fn sight(entry: &DirEntry) -> Option<Sighted> {
    let mut name = entry.file_name().into_vec();
    let unreadable = |e: io::Error| Kind::Skipped(SkipReason::Unreadable, Some(e.to_string()));
    let kind = match entry.file_type() {
        Ok(kind) if kind.is_dir() => {
            name.push(b'/');
            Kind::Directory
        }
        Ok(kind) if kind.is_file() => match entry.metadata() {
            Ok(metadata) => Kind::File(Stamp::of(&metadata)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
            Err(e) => unreadable(e),
        },
        Ok(kind) => Kind::Skipped(special(&kind), None),
        Err(e) if e.kind() == io::ErrorKind::NotFound => return None,
        Err(e) => unreadable(e),
    };
    Some(Sighted { name, kind })
}

/// Names what is neither file nor directory.
pub(super) fn special(kind: &fs::FileType) -> SkipReason {
    if kind.is_symlink() {
        SkipReason::Symlink
    } else if kind.is_socket() {
        SkipReason::Socket
    } else if kind.is_fifo() {
        SkipReason::Fifo
    } else {
        SkipReason::Device
    }
}

/// Looks at the paths of a list instead of walking: `paths` relative to `root`, in any order.
///
/// Memory follows the list. A path that leaves `root` is refused before anything is done.
pub fn walk_list(root: &Path, prefix_length: usize, paths: Vec<OsString>) -> Result<Vec<Entry>> {
    let longest_path = LONGEST_KEY.saturating_sub(prefix_length);
    let mut names = Vec::with_capacity(paths.len());
    for path in paths {
        names.push(inside(root, &path)?);
    }
    names.sort_unstable();
    names.dedup();
    Ok(names
        .into_iter()
        .map(|name| look(root, longest_path, name))
        .collect())
}

/// `path` as a name below `root`, or why it is none.
fn inside(root: &Path, path: &OsStr) -> Result<Vec<u8>> {
    let path = Path::new(path);
    let relative = path.strip_prefix(root).unwrap_or(path);
    let mut name: Vec<u8> = Vec::new();
    for part in relative.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::Normal(part) => {
                if !name.is_empty() {
                    name.push(b'/');
                }
                name.extend_from_slice(part.as_bytes());
            }
            _ => {
                return Err(
                    Error::usage(format!("use the listed path `{}`", path.display()))
                        .cause("it leads out of the media directory")
                        .hint("list paths relative to the media directory, one a line"),
                );
            }
        }
    }
    Ok(name)
}

fn look(root: &Path, longest_path: usize, name: Vec<u8>) -> Entry {
    let skipped = |path: String, reason, detail| {
        Entry::Skipped(Skipped {
            path,
            reason,
            detail,
        })
    };
    let path = match String::from_utf8(name) {
        Ok(path) => path,
        Err(e) => {
            let lossy = String::from_utf8_lossy(e.as_bytes()).into_owned();
            return skipped(lossy, SkipReason::NotUtf8, None);
        }
    };
    if let Some(reason) = name_fault(&path, longest_path) {
        return skipped(path, reason, None);
    }
    match fs::symlink_metadata(root.join(&path)) {
        Ok(metadata) if metadata.is_file() => Entry::File(LocalFile {
            stamp: Stamp::of(&metadata),
            path,
        }),
        Ok(metadata) if metadata.is_dir() => {
            let detail = Some("it is a directory: list the files in it".to_owned());
            skipped(path, SkipReason::Unreadable, detail)
        }
        Ok(metadata) => skipped(path, special(&metadata.file_type()), None),
        Err(e) if e.kind() == io::ErrorKind::NotFound => skipped(path, SkipReason::Vanished, None),
        Err(e) => skipped(path, SkipReason::Unreadable, Some(e.to_string())),
    }
}

/// A directory that could not be listed, by its path.
#[derive(Debug)]
struct LevelError(String, io::Error);

#[cfg(test)]
mod tests;
