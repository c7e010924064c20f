//! Removal of empty directories.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use super::children::{Kind, children, open_directory};
use super::root::DEEPEST;

/// Removes every empty directory below `root`, deepest first, not `root` itself. Returns how many.
pub fn remove_empty_directories(root: &Path) -> io::Result<u64> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
    remove_below(&directory, 0)
}

fn remove_below(directory: &OwnedFd, depth: usize) -> io::Result<u64> {
    let mut removed = 0;
    for child in children(directory, false)? {
        if depth >= DEEPEST || !matches!(child.kind, Kind::Directory { .. }) {
            continue;
        }
        let Some(name) = child.name.strip_suffix(b"/") else {
            continue;
        };
        if let Ok(below) = open_directory(directory, name, false) {
            removed += remove_below(&below, depth + 1)?;
        }
        // Fails where it is not empty.
        if rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}
