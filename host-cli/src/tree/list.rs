//! The paths of a list (`--files-from`) instead of a walk.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType};
use rustix::io::Errno;

use super::children::open_directory;
use super::file::{FileMetadata, LocalFile, TreeEntry};
use super::root::{Anchor, OPEN_TO_OTHERS, WalkOptions, open_root};
use super::skip::{SkipReason, special};
use crate::error::{Error, Result};

/// The entries of the listed paths, relative to the root and in any order: each once, in key order.
///
/// # Errors
/// Where a path leads out of the root.
pub fn walk_list(options: &WalkOptions, paths: Vec<OsString>) -> Result<Vec<TreeEntry>> {
    let (anchor, directory, stat) = open_root(&options.root)?;
    let mut names = paths
        .iter()
        .map(|path| relative(&options.root, path))
        .collect::<Result<Vec<_>>>()?;
    names.sort_unstable();
    names.dedup();
    let open_to_others = stat.st_mode & OPEN_TO_OTHERS != 0;
    let entry = |name: Vec<u8>| {
        let path = match String::from_utf8(name) {
            Ok(path) => path,
            Err(e) => {
                let lossy = String::from_utf8_lossy(e.as_bytes()).into_owned();
                return TreeEntry::skipped(lossy, SkipReason::NotUtf8, None);
            }
        };
        let descent = Descent {
            directory: None,
            anchor: anchor.clone(),
            open_to_others,
        };
        match descent.entry(&directory, &path, options) {
            Ok(entry) => entry,
            Err(Errno::NOENT | Errno::NOTDIR) => {
                TreeEntry::skipped(path, SkipReason::Missing, None)
            }
            Err(Errno::LOOP) => {
                let detail = Some("a directory in the path is a link".to_owned());
                TreeEntry::skipped(path, SkipReason::Symlink, detail)
            }
            Err(e) => {
                let detail = Some(io::Error::from(e).to_string());
                TreeEntry::skipped(path, SkipReason::Unreadable, detail)
            }
        }
    };
    Ok(names.into_iter().map(entry).collect())
}

/// The directory reached on the way to a listed file.
struct Descent {
    /// None: the root.
    directory: Option<OwnedFd>,
    anchor: Arc<Anchor>,
    open_to_others: bool,
}

impl Descent {
    fn entry(
        mut self,
        root: &OwnedFd,
        path: &str,
        options: &WalkOptions,
    ) -> rustix::io::Result<TreeEntry> {
        let mut rest = path;
        while let Some((part, more)) = rest.split_once('/') {
            let above = self.directory.as_ref().unwrap_or(root);
            let stat = rustix::fs::statat(above, part, AtFlags::SYMLINK_NOFOLLOW)?;
            let link = FileType::from_raw_mode(stat.st_mode) == FileType::Symlink;
            if link && !options.follow_links {
                return Err(Errno::LOOP);
            }
            let open = || {
                let directory = open_directory(above, part, link)?;
                Ok::<_, io::Error>((
                    rustix::fs::fstat(&directory)?,
                    directory.try_clone()?,
                    directory,
                ))
            };
            let (stat, again, directory) =
                open().map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
            if link {
                self.anchor = Arc::new(Anchor {
                    directory: again,
                    path_length: path.len() - more.len(),
                });
            }
            self.open_to_others &= stat.st_mode & OPEN_TO_OTHERS != 0;
            self.directory = Some(directory);
            rest = more;
        }
        let above = self.directory.as_ref().unwrap_or(root);
        let stat = rustix::fs::statat(above, rest, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => LocalFile::new(
                path.to_owned(),
                &FileMetadata::of(&stat),
                self.open_to_others,
                self.anchor,
            )
            .checked(options.longest_path()),
            FileType::Directory => {
                let detail = Some("it is a directory: name the files in it".to_owned());
                TreeEntry::skipped(path, SkipReason::Unreadable, detail)
            }
            other => TreeEntry::skipped(path, special(other), None),
        })
    }
}

/// `path` relative to `root`.
fn relative(root: &Path, path: &OsStr) -> Result<Vec<u8>> {
    let path = Path::new(path);
    let relative = path.strip_prefix(root).unwrap_or(path);
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in relative.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.as_bytes()),
            _ => {
                return Err(
                    Error::usage(format!("use the listed path `{}`", path.display()))
                        .cause("it leads out of the media directory")
                        .hint("give paths relative to the media directory, one per line"),
                );
            }
        }
    }
    Ok(parts.join(&b'/'))
}
