//! One file of the tree: its state when the walk found it, and how it is opened without following links.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawMode, Stat};
use rustix::io::Errno;

use super::name::name_fault;
use super::root::Anchor;
use super::skip::{SkipReason, Skipped, special};

/// Permission bits of group and others.
const FOR_OTHERS: RawMode = 0o077;

/// The largest object that B2 takes: 10 TB.
const MAX_SIZE: u64 = 10_000_000_000_000;

/// Metadata by which a change of a file is noticed without reading it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Last change of content, nanoseconds since 1970.
    pub modified: i64,
    /// Last change of content or metadata, nanoseconds since 1970. It cannot be set by a program.
    pub changed: i64,
    /// Inode number: differs where the file was replaced by another of the same size and time.
    pub inode: u64,
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        #[expect(
            clippy::unnecessary_cast,
            reason = "the fields have other types on other systems"
        )]
        let nanoseconds = |seconds, part| {
            (seconds as i64)
                .saturating_mul(1_000_000_000)
                .saturating_add(part as i64)
        };
        Stamp {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            changed: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            inode: stat.st_ino,
        }
    }

    /// The present one of an open file.
    pub fn of_file(file: &File) -> io::Result<Self> {
        Ok(Stamp::of(&rustix::fs::fstat(file)?))
    }
}

/// Metadata of a listed file.
#[derive(Clone, Copy, Debug)]
pub(super) struct FileMetadata {
    stamp: Stamp,
    mode: RawMode,
    links: u64,
    disk_bytes: u64,
}

impl FileMetadata {
    pub(super) fn of(stat: &Stat) -> Self {
        FileMetadata {
            stamp: Stamp::of(stat),
            mode: stat.st_mode,
            links: wide(stat.st_nlink),
            disk_bytes: u64::try_from(stat.st_blocks).unwrap_or(0) * 512,
        }
    }
}

/// Widens a field of [`Stat`] that has fewer bits on other systems.
fn wide(field: impl Into<u64>) -> u64 {
    field.into()
}

/// A regular file whose path can be a key.
#[derive(Clone, Debug)]
pub struct LocalFile {
    /// Path below the media directory, `/` between its parts.
    pub path: String,
    /// The stamp when the walk found it; the file may have changed since.
    pub stamp: Stamp,
    /// Neither group nor others may read it, although they may enter its directory. Mastodon hides the
    /// media of a suspended account in this way.
    pub hidden: bool,
    /// Group or others may enter its directory.
    open_to_others: bool,
    /// Hard links: names of the file.
    pub links: u64,
    /// Bytes that it occupies on disk.
    pub disk_bytes: u64,
    anchor: Arc<Anchor>,
}

impl LocalFile {
    pub(super) fn new(
        path: String,
        metadata: &FileMetadata,
        open_to_others: bool,
        anchor: Arc<Anchor>,
    ) -> Self {
        LocalFile {
            path,
            stamp: metadata.stamp,
            hidden: open_to_others && metadata.mode & FOR_OTHERS == 0,
            open_to_others,
            links: metadata.links,
            disk_bytes: metadata.disk_bytes,
            anchor,
        }
    }

    /// The entry of this file: skipped where the service would refuse it.
    pub(super) fn checked(self, longest_path: usize) -> TreeEntry {
        let fault = name_fault(&self.path, longest_path)
            .or_else(|| (self.stamp.size > MAX_SIZE).then_some(SkipReason::TooLarge));
        match fault {
            Some(reason) => TreeEntry::skipped(self.path, reason, None),
            None => TreeEntry::File(self),
        }
    }

    /// Opens the file that has this path now, changed or not. Never blocks on a FIFO, follows no link.
    pub fn open(&self) -> Result<File, OpenError> {
        // `NONBLOCK`: a FIFO that took a file's place would block without end.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let opened = self.beneath(self.below(), flags).map_err(|e| match e {
            Errno::NOENT | Errno::NOTDIR => OpenError::new(SkipReason::Vanished),
            Errno::LOOP | Errno::XDEV => OpenError::new(SkipReason::Symlink),
            // The result of opening a socket.
            Errno::NXIO => OpenError::new(SkipReason::Socket),
            e => OpenError::unreadable(&e.into()),
        })?;
        let stat = rustix::fs::fstat(&opened).map_err(|e| OpenError::unreadable(&e.into()))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(File::from(opened)),
            FileType::Directory => Err(OpenError::new(SkipReason::Vanished)),
            other => Err(OpenError::new(special(other))),
        }
    }

    /// Whether it is hidden now, by the mode of the `opened` file. See [`LocalFile::hidden`].
    pub fn is_hidden_now(&self, opened: &File) -> io::Result<bool> {
        let mode = rustix::fs::fstat(opened)?.st_mode;
        Ok(self.open_to_others && mode & FOR_OTHERS == 0)
    }

    /// Opens the file that the walk found.
    ///
    /// # Errors
    /// Also where it has changed or was replaced.
    pub fn open_unchanged(&self) -> io::Result<File> {
        let file = self.open().map_err(io::Error::other)?;
        if Stamp::of_file(&file)? == self.stamp {
            Ok(file)
        } else {
            Err(changed())
        }
    }

    /// Fails where the file has changed or was replaced since the walk.
    pub fn check_unchanged(&self) -> io::Result<()> {
        let (directory, name) = self.parent()?;
        self.check_unchanged_in(&directory, name)
    }

    /// Whether the path no longer exists.
    pub fn is_gone(&self) -> bool {
        let gone = |e: io::Error| e.kind() == io::ErrorKind::NotFound;
        self.stat().is_err_and(gone)
    }

    /// The same path with its present stamp: deleting one hard link changes the stamp of the others.
    pub fn refreshed(&self) -> io::Result<LocalFile> {
        let stat = self.stat()?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(changed());
        }
        let metadata = FileMetadata::of(&stat);
        Ok(LocalFile {
            stamp: metadata.stamp,
            links: metadata.links,
            disk_bytes: metadata.disk_bytes,
            ..self.clone()
        })
    }

    fn stat(&self) -> io::Result<Stat> {
        let (directory, name) = self.parent()?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(rustix::fs::statat(directory, name, flags)?)
    }

    /// Deletes the file, unless it has changed or was replaced since the walk.
    pub fn remove(&self) -> io::Result<()> {
        let (directory, name) = self.parent()?;
        self.check_unchanged_in(&directory, name)?;
        Ok(rustix::fs::unlinkat(directory, name, AtFlags::empty())?)
    }

    fn check_unchanged_in(&self, directory: &OwnedFd, name: &str) -> io::Result<()> {
        let now = rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if Stamp::of(&now) == self.stamp {
            Ok(())
        } else {
            Err(changed())
        }
    }

    /// The path below the anchor.
    fn below(&self) -> &str {
        &self.path[self.anchor.path_length..]
    }

    /// Opens the directory of the file. Returns it with the file's name.
    fn parent(&self) -> io::Result<(OwnedFd, &str)> {
        let below = self.below();
        let (directory, name) = below.rsplit_once('/').unwrap_or((".", below));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok((self.beneath(directory, flags)?, name))
    }

    fn beneath(&self, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        open_beneath(&self.anchor.directory, path, flags)
    }
}

/// One step of the walk.
#[derive(Clone, Debug)]
pub enum TreeEntry {
    /// A regular file whose path can be a key.
    File(LocalFile),
    /// An entry that is skipped and reported.
    Skipped(Skipped),
}

impl TreeEntry {
    /// Its path.
    pub fn path(&self) -> &str {
        match self {
            TreeEntry::File(file) => &file.path,
            TreeEntry::Skipped(skipped) => &skipped.path,
        }
    }

    pub(super) fn skipped(
        path: impl Into<String>,
        reason: SkipReason,
        detail: Option<String>,
    ) -> TreeEntry {
        TreeEntry::Skipped(Skipped {
            path: path.into(),
            reason,
            detail,
        })
    }
}

/// Why a file could not be opened.
#[derive(Debug)]
pub struct OpenError {
    /// The reason.
    pub reason: SkipReason,
    /// The system's error, if any.
    pub detail: Option<String>,
}

impl OpenError {
    fn new(reason: SkipReason) -> Self {
        OpenError {
            reason,
            detail: None,
        }
    }

    fn unreadable(error: &io::Error) -> Self {
        OpenError {
            reason: SkipReason::Unreadable,
            detail: Some(error.to_string()),
        }
    }
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{detail}"),
            None => self.reason.fmt(f),
        }
    }
}

impl std::error::Error for OpenError {}

/// Opens `path` below `directory` without following any link: by one call where the kernel has it
/// (`openat2`, Linux 5.6), else directory by directory.
pub(super) fn open_beneath(
    directory: &OwnedFd,
    path: &str,
    flags: OFlags,
) -> rustix::io::Result<OwnedFd> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::ResolveFlags;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match rustix::fs::openat2(directory, path, flags, Mode::empty(), resolve) {
            // Old container runtimes refuse unknown system calls with `EPERM`.
            Err(Errno::NOSYS | Errno::PERM) => {}
            // A concurrent rename.
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
    step_by_step(directory, path, flags)
}

fn step_by_step(directory: &OwnedFd, path: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    const STEP: OFlags = OFlags::RDONLY
        .union(OFlags::DIRECTORY)
        .union(OFlags::NOFOLLOW)
        .union(OFlags::CLOEXEC);
    let mut at: Option<OwnedFd> = None;
    let mut rest = path;
    while let Some((part, more)) = rest.split_once('/') {
        let here = at.as_ref().unwrap_or(directory).as_fd();
        at = Some(rustix::fs::openat(here, part, STEP, Mode::empty())?);
        rest = more;
    }
    let here = at.as_ref().unwrap_or(directory).as_fd();
    rustix::fs::openat(here, rest, flags, Mode::empty())
}

fn changed() -> io::Error {
    io::Error::other("it changed in the meantime")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn no_link_is_followed_by_either_way_of_opening() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("root/real")).unwrap();
        fs::create_dir(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/x"), "secret").unwrap();
        fs::write(dir.path().join("root/real/x"), "fine").unwrap();
        std::os::unix::fs::symlink("../outside", dir.path().join("root/linked")).unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("root/inner")).unwrap();
        let root = OwnedFd::from(File::open(dir.path().join("root")).unwrap());
        for open in [open_beneath, step_by_step] {
            assert!(open(&root, "real/x", OFlags::RDONLY).is_ok());
            assert!(open(&root, "linked/x", OFlags::RDONLY).is_err());
            assert!(open(&root, "inner/x", OFlags::RDONLY).is_err());
            assert!(open(&root, "nothing/x", OFlags::RDONLY).is_err());
        }
    }
}
