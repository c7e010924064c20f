//! Reads a media tree in the order of its keys, directory by directory, following no link.
//!
//! Directories are held open while they are read, and entries are reached through them: whoever
//! exchanges a directory for a link meanwhile leads nobody out of the tree. Memory is that of one
//! directory's names a level.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

use crate::config::LONGEST_KEY;
use crate::sync::walk::name_fault;

/// Directories deeper than this are reported, not read: each level holds one file descriptor.
const DEEPEST: usize = 200;

/// One entry that is not a directory, or a directory that could not be read.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Path below the root, `/` between its parts; any bytes but NUL.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// What it was when it was seen.
    pub stamp: Stamp,
    /// Bytes it takes on disk that deleting this name would free.
    pub frees: u64,
    directory: Arc<OwnedFd>,
    name: CString,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A file that may be read.
    File,
    /// A file or directory that may not be read, and why.
    Unreadable(String),
    /// Something that no bucket can hold: link, socket, FIFO, device.
    Special(&'static str),
}

/// Enough of a file's metadata to tell whether it is still what it was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stamp {
    /// Bytes.
    pub size: u64,
    /// Last change of content or metadata, nanoseconds since 1970.
    pub changed: i128,
    modified: i128,
    device: u64,
    inode: u64,
}

impl Stamp {
    fn of(stat: &Stat) -> Self {
        let nanoseconds =
            |seconds: i64, part: u64| i128::from(seconds) * 1_000_000_000 + i128::from(part);
        Stamp {
            size: u64::try_from(stat.st_size).unwrap_or(0),
            changed: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            modified: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }
}

impl Entry {
    /// The path as text, with replacements where it is none. For people, not for keys.
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path)
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect()
    }

    /// Opens the file that was seen. Fails where it has been exchanged for another or a link.
    pub fn open(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let file = File::from(rustix::fs::openat(
            &*self.directory,
            &self.name,
            flags,
            Mode::empty(),
        )?);
        if Stamp::of(&rustix::fs::fstat(&file)?) == self.stamp {
            Ok(file)
        } else {
            Err(changed())
        }
    }

    /// Fails unless the name still stands for the very file that was seen, unchanged.
    pub fn unchanged(&self) -> io::Result<()> {
        let now = rustix::fs::statat(&*self.directory, &self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        if Stamp::of(&now) == self.stamp {
            Ok(())
        } else {
            Err(changed())
        }
    }

    /// Deletes the name, if it still stands for the very file that was seen, unchanged.
    pub fn remove(&self) -> io::Result<()> {
        self.unchanged()?;
        Ok(rustix::fs::unlinkat(
            &*self.directory,
            &self.name,
            AtFlags::empty(),
        )?)
    }
}

fn changed() -> io::Error {
    io::Error::other("it changed in the meantime")
}

/// Calls `each` for every entry below `root` in key order until it answers false.
///
/// `root` itself may be a link to a directory. Order is that of the keys' bytes, in which a
/// directory sorts as its name with `/`.
pub fn walk(root: &Path, each: &mut dyn FnMut(Entry) -> bool) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
    read_directory(Arc::new(directory), &mut Vec::new(), 0, each)?;
    Ok(())
}

struct Child {
    name: CString,
    stat: Stat,
    is_directory: bool,
}

impl Child {
    /// The name as it sorts among keys.
    fn sort_key(&self) -> impl Iterator<Item = u8> {
        let slash = self.is_directory.then_some(b'/');
        self.name.to_bytes().iter().copied().chain(slash)
    }
}

fn children(directory: &OwnedFd) -> io::Result<Vec<Child>> {
    let mut children = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        let stat = match rustix::fs::statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Gone since it was listed.
            Err(rustix::io::Errno::NOENT) => continue,
            Err(e) => return Err(e.into()),
        };
        children.push(Child {
            name: name.to_owned(),
            is_directory: FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
            stat,
        });
    }
    children.sort_unstable_by(|a, b| a.sort_key().cmp(b.sort_key()));
    Ok(children)
}

/// Whether to go on.
fn read_directory(
    directory: Arc<OwnedFd>,
    path: &mut Vec<u8>,
    depth: usize,
    each: &mut dyn FnMut(Entry) -> bool,
) -> io::Result<bool> {
    for child in children(&directory)? {
        let length = path.len();
        if length > 0 {
            path.push(b'/');
        }
        path.extend_from_slice(child.name.to_bytes());
        let go_on = read_child(&directory, child, path, depth, each);
        path.truncate(length);
        if !go_on {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_child(
    directory: &Arc<OwnedFd>,
    child: Child,
    path: &mut Vec<u8>,
    depth: usize,
    each: &mut dyn FnMut(Entry) -> bool,
) -> bool {
    let kind = if child.is_directory {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let below = if depth >= DEEPEST {
            Err(io::Error::other(format!(
                "more than {DEEPEST} directories deep"
            )))
        } else {
            rustix::fs::openat(&**directory, &child.name, flags, Mode::empty())
                .map_err(io::Error::from)
                .and_then(|opened| read_directory(Arc::new(opened), path, depth + 1, each))
        };
        match below {
            Ok(go_on) => return go_on,
            Err(e) => Kind::Unreadable(format!("the directory cannot be read: {e}")),
        }
    } else {
        kind_of(directory, &child)
    };
    let blocks = u64::try_from(child.stat.st_blocks).unwrap_or(0) * 512;
    each(Entry {
        path: path.clone(),
        kind,
        stamp: Stamp::of(&child.stat),
        frees: if child.stat.st_nlink <= 1 { blocks } else { 0 },
        directory: directory.clone(),
        name: child.name,
    })
}

fn kind_of(directory: &OwnedFd, child: &Child) -> Kind {
    match FileType::from_raw_mode(child.stat.st_mode) {
        FileType::RegularFile => {
            match rustix::fs::accessat(directory, &child.name, Access::READ_OK, AtFlags::EACCESS) {
                Ok(()) => Kind::File,
                Err(e) => Kind::Unreadable(io::Error::from(e).to_string()),
            }
        }
        FileType::Symlink => Kind::Special("symbolic link"),
        FileType::Socket => Kind::Special("socket"),
        FileType::Fifo => Kind::Special("FIFO"),
        FileType::BlockDevice | FileType::CharacterDevice => Kind::Special("device"),
        _ => Kind::Special("neither file nor directory"),
    }
}

/// Removes every empty directory below `root`, deepest first, not `root` itself. Returns how many.
pub fn remove_empty_directories(root: &Path) -> io::Result<u64> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, root, flags, Mode::empty())?;
    remove_empty_below(&directory, 0)
}

fn remove_empty_below(directory: &OwnedFd, depth: usize) -> io::Result<u64> {
    let mut removed = 0;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for child in children(directory)? {
        if !child.is_directory || depth >= DEEPEST {
            continue;
        }
        if let Ok(below) = rustix::fs::openat(directory, &child.name, flags, Mode::empty()) {
            removed += remove_empty_below(&below, depth + 1)?;
        }
        // Fails where something is left inside, as it should.
        if rustix::fs::unlinkat(directory, &child.name, AtFlags::REMOVEDIR).is_ok() {
            removed += 1;
        }
    }
    Ok(removed)
}

/// Why the service would refuse a file of this path and size, if it would. `key` is the path with
/// the prefix.
pub fn refusal(key: &[u8], size: u64) -> Option<&'static str> {
    /// 10,000 parts; the service's own bound is 10 TB.
    const LARGEST: u64 = 10_000_000_000_000;
    let Ok(text) = std::str::from_utf8(key) else {
        return Some("the name is not UTF-8");
    };
    if let Some(fault) = name_fault(text, LONGEST_KEY) {
        return Some(fault.words());
    }
    if size > LARGEST {
        return Some("the file is larger than 10 TB");
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn paths(root: &Path) -> Vec<String> {
        let mut found = Vec::new();
        walk(root, &mut |entry| {
            found.push(entry.shown());
            true
        })
        .unwrap();
        found
    }

    #[test]
    fn order_is_that_of_the_keys() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["a/b", "a.txt", "a0", "é", "z/y/x", "a/B"] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let found = paths(dir.path());
        assert_eq!(found, ["a.txt", "a/B", "a/b", "a0", "z/y/x", "é"]);
        let mut sorted = found.clone();
        sorted.sort();
        assert_eq!(found, sorted);
    }

    #[test]
    fn a_link_is_an_entry_and_not_a_way_out() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("outside")).unwrap();
        fs::write(dir.path().join("outside/x"), "").unwrap();
        let root = dir.path().join("root");
        fs::create_dir(&root).unwrap();
        std::os::unix::fs::symlink("../outside", root.join("l")).unwrap();
        let mut kinds = Vec::new();
        walk(&root, &mut |entry| {
            kinds.push((entry.shown(), entry.kind.clone()));
            true
        })
        .unwrap();
        assert_eq!(kinds, [("l".to_owned(), Kind::Special("symbolic link"))]);
        assert_eq!(remove_empty_directories(&root).unwrap(), 0);
        assert!(dir.path().join("outside/x").exists());
    }

    #[test]
    fn a_file_exchanged_for_another_is_neither_read_nor_removed() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("d/f"), "old").unwrap();
        let mut seen = None;
        walk(dir.path(), &mut |entry| {
            seen = Some(entry);
            true
        })
        .unwrap();
        let entry = seen.unwrap();
        entry.open().unwrap();
        fs::rename(dir.path().join("d"), dir.path().join("e")).unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        fs::write(dir.path().join("d/f"), "new").unwrap();
        fs::write(dir.path().join("e/f"), "changed").unwrap();
        assert!(entry.open().is_err());
        assert!(entry.remove().is_err());
        assert_eq!(fs::read_to_string(dir.path().join("d/f")).unwrap(), "new");
        assert_eq!(
            fs::read_to_string(dir.path().join("e/f")).unwrap(),
            "changed"
        );
    }

    #[test]
    fn empty_directories_go_and_full_ones_stay() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b/c")).unwrap();
        fs::create_dir_all(dir.path().join("d/e")).unwrap();
        fs::write(dir.path().join("d/f"), "").unwrap();
        assert_eq!(remove_empty_directories(dir.path()).unwrap(), 4);
        assert!(dir.path().join("d/f").exists());
        assert!(!dir.path().join("a").exists());
    }

    #[test]
    fn what_the_service_refuses() {
        assert_eq!(refusal(b"accounts/a.png", 0), None);
        assert!(refusal(b"a\xff", 0).is_some());
        assert!(refusal(b"a\nb", 0).is_some());
        assert!(refusal("a\u{7f}b".as_bytes(), 0).is_some());
        assert!(refusal(&[b"a/".repeat(512), b"b".to_vec()].concat(), 0).is_some());
        assert_eq!(
            refusal(&[b"a/".repeat(511), b"bc".to_vec()].concat(), 0),
            None
        );
        assert!(refusal(b"a", 20_000_000_000_000).is_some());
    }
}
