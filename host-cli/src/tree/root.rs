//! The root of the tree, and how it is walked.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, Mode, OFlags, RawMode, Stat};

use crate::config::LONGEST_KEY;
use crate::error::{Error, Result};

/// Deeper directories are reported and not read: each level needs a file descriptor.
pub(super) const DEEPEST: usize = 200;

/// Permission bits with which group or others may enter a directory.
pub(super) const OPEN_TO_OTHERS: RawMode = 0o055;

/// Device and inode number, as the standard library's `MetadataExt` has them.
pub(super) fn id(stat: &Stat) -> (u64, u64) {
    #[cfg_attr(
        target_os = "linux",
        expect(clippy::unnecessary_cast, reason = "an `i32` on macOS")
    )]
    let device = stat.st_dev as u64;
    (device, stat.st_ino)
}

/// Which directory is walked, and how.
#[derive(Clone, Debug)]
pub struct WalkOptions {
    /// The media directory; it may itself be a link.
    pub root: PathBuf,
    /// Bytes of the key prefix.
    pub prefix_length: usize,
    /// Follow links to directories, also out of the tree. Otherwise they are reported.
    pub follow_links: bool,
}

impl WalkOptions {
    pub(super) fn longest_path(&self) -> usize {
        LONGEST_KEY.saturating_sub(self.prefix_length)
    }
}

/// A directory from which files are opened by the rest of their path: the root, or what a followed
/// link leads to.
#[derive(Debug)]
pub(super) struct Anchor {
    pub(super) directory: OwnedFd,
    /// Bytes of a path up to here.
    pub(super) path_length: usize,
}

pub(super) const OWNER_HINT: &str = "run as the user that owns the media, usually `mastodon`";

pub(super) fn cannot_read(root: &Path, cause: io::Error, hint: &str) -> Error {
    Error::usage(format!("read the media directory `{}`", root.display()))
        .cause(cause)
        .hint(hint)
}

pub(super) fn open_root(root: &Path) -> Result<(Arc<Anchor>, OwnedFd, Stat)> {
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
