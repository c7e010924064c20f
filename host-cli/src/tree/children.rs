//! The entries of one open directory.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::file::FileMetadata;
use super::skip::{SkipReason, special};

/// One entry of a directory.
#[derive(Debug)]
pub(super) struct Child {
    /// The name. A directory's ends in `/`, so that it sorts as the keys below it.
    pub(super) name: Vec<u8>,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    File(FileMetadata),
    /// `link`: it is a link to one, and to be followed.
    Directory {
        link: bool,
    },
    Skipped(SkipReason, Option<String>),
}

/// Lists a directory, sorted in descending order: the walk takes entries from the end.
pub(super) fn children(directory: &OwnedFd, follow_links: bool) -> io::Result<Vec<Child>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        found.extend(child(directory, name, entry.file_type(), follow_links));
    }
    found.sort_unstable_by(|a, b| b.name.cmp(&a.name));
    Ok(found)
}

/// What one entry is; `None` where it no longer exists.
fn child(directory: &OwnedFd, name: &CStr, listed: FileType, follow_links: bool) -> Option<Child> {
    let kind = match listed {
        FileType::Directory => Ok(Kind::Directory { link: false }),
        // Some filesystems list entries without a type.
        FileType::RegularFile | FileType::Unknown => {
            rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW).map(|stat| {
                match FileType::from_raw_mode(stat.st_mode) {
                    FileType::RegularFile => Kind::File(FileMetadata::of(&stat)),
                    FileType::Directory => Kind::Directory { link: false },
                    FileType::Symlink => link(directory, name, follow_links),
                    other => Kind::Skipped(special(other), None),
                }
            })
        }
        FileType::Symlink => Ok(link(directory, name, follow_links)),
        other => Ok(Kind::Skipped(special(other), None)),
    };
    let kind = match kind {
        Ok(kind) => kind,
        Err(Errno::NOENT) => return None,
        Err(e) => Kind::Skipped(SkipReason::Unreadable, Some(io::Error::from(e).to_string())),
    };
    let mut name = name.to_bytes().to_vec();
    let directory = match &kind {
        Kind::Directory { .. } => true,
        Kind::Skipped(reason, _) => reason.is_of_a_directory(),
        Kind::File(_) => false,
    };
    if directory {
        name.push(b'/');
    }
    Some(Child { name, kind })
}

fn link(directory: &OwnedFd, name: &CStr, follow_links: bool) -> Kind {
    match rustix::fs::statat(directory, name, AtFlags::empty()) {
        Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory if follow_links => Kind::Directory { link: true },
            FileType::Directory => Kind::Skipped(SkipReason::LinkedDirectory, None),
            _ => Kind::Skipped(SkipReason::Symlink, None),
        },
        // It may lead to a directory on a disk that is not mounted.
        Err(e) => {
            let detail = Some(io::Error::from(e).to_string());
            Kind::Skipped(SkipReason::LinkedDirectory, detail)
        }
    }
}

/// Opens the directory `name` of `above`; with `link` also a link to one.
pub(super) fn open_directory(
    above: &OwnedFd,
    name: impl rustix::path::Arg,
    link: bool,
) -> io::Result<OwnedFd> {
    let mut flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !link);
    Ok(rustix::fs::openat(above, name, flags, Mode::empty())?)
}
