//! The walk of the media directory: every entry, in the order of its key's UTF-8 bytes.
//!
//! In that order a directory sorts as its name with `/`: `a.txt` comes before `a/b`. Directories are
//! opened relative to their parent, and links are not followed unless asked for: a directory that is
//! replaced by a link during the walk does not lead out of the tree. In memory are the names of one
//! directory for each level. No file is opened here, so a FIFO cannot block.

mod children;
mod empty;
mod file;
mod list;
mod name;
mod root;
mod skip;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use self::children::{Child, Kind, children};
pub use self::empty::remove_empty_directories;
pub use self::file::{LocalFile, OpenError, Stamp, TreeEntry};
pub use self::list::walk_list;
pub use self::name::name_fault;
pub use self::root::WalkOptions;
use self::root::{Anchor, DEEPEST, OPEN_TO_OTHERS, OWNER_HINT, cannot_read, id, open_root};
pub use self::skip::{SkipReason, Skipped};
use crate::error::Result;

/// Walks `options.root`.
///
/// # Errors
/// Where the root is missing, is no directory or cannot be listed. Faults below it are reported as
/// [`TreeEntry::Skipped`].
pub fn walk(options: &WalkOptions) -> Result<Walk> {
    let (anchor, directory, stat) = open_root(&options.root)?;
    let listed = children(&directory, options.follow_links)
        .map_err(|e| cannot_read(&options.root, e, OWNER_HINT))?;
    Ok(Walk {
        longest_path: options.longest_path(),
        follow_links: options.follow_links,
        root: id(&stat),
        levels: vec![Level {
            path: String::new(),
            id: id(&stat),
            open_to_others: stat.st_mode & OPEN_TO_OTHERS != 0,
            directory,
            anchor,
            children: listed,
        }],
    })
}

/// The iterator of [`walk`].
#[derive(Debug)]
pub struct Walk {
    longest_path: usize,
    follow_links: bool,
    root: (u64, u64),
    levels: Vec<Level>,
}

/// One directory on the way from the root: its remaining entries, the next one last.
#[derive(Debug)]
struct Level {
    /// Path below the root, empty or ending in `/`.
    path: String,
    /// Device and inode: a link to a directory above is not followed.
    id: (u64, u64),
    /// Group or others may enter this directory and all above it.
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
    type Item = TreeEntry;

    fn next(&mut self) -> Option<TreeEntry> {
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
                    return Some(TreeEntry::skipped(path, SkipReason::NotUtf8, None));
                }
            };
            let path = format!("{}{name}", level.path);
            let part = name.strip_suffix('/').unwrap_or(&name);
            if let Some(reason) = name::part_fault(part) {
                return Some(TreeEntry::skipped(path, reason, None));
            }
            match child.kind {
                Kind::Skipped(reason, detail) => {
                    return Some(TreeEntry::skipped(path, reason, detail));
                }
                Kind::File(metadata) => {
                    let anchor = level.anchor.clone();
                    let open_to_others = level.open_to_others;
                    let file = LocalFile::new(path, &metadata, open_to_others, anchor);
                    return Some(file.checked(self.longest_path));
                }
                Kind::Directory { link } => match self.descend(&name, &path, link) {
                    Ok(level) => self.levels.push(level),
                    // Deleted since its parent was listed: not reported.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => {
                        let detail = Some(e.to_string());
                        let reason = SkipReason::UnreadableDirectory;
                        return Some(TreeEntry::skipped(path, reason, detail));
                    }
                },
            }
        }
    }
}

impl Walk {
    /// Opens and lists the directory `name` of the last level, or the one that the link `name` leads to.
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
        let id = id(&stat);
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
