//! Opening and reading a local file so that nothing blocks, nothing is followed, and a change
//! while it is read is seen.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::content::{self, SNIFFED};
use super::digest;
use super::walk::{SkipReason, Stamp, special};
use crate::buffers::Buffer;

/// Files up to this many bytes are read in one go.
pub(super) const SMALL: u64 = 512 * 1024;

/// A file as it is now.
#[derive(Debug)]
pub(super) enum Opened {
    /// Read whole, digested.
    Small {
        bytes: Bytes,
        file: Arc<File>,
        md5: [u8; 16],
        stamp: Stamp,
        content_type: String,
    },
    /// Open, to be read while it is sent.
    Large {
        file: Arc<File>,
        stamp: Stamp,
        content_type: String,
    },
    /// It changed between two looks.
    Changed,
    /// It is not to be uploaded.
    Skipped(SkipReason, Option<String>),
}

/// A file that was opened, before any digest.
enum Seen {
    Small {
        bytes: Buffer,
        file: Arc<File>,
        stamp: Stamp,
        content_type: String,
    },
    Other(Opened),
}

/// Opens files below `root` and reads the small ones, whose digests are then made side by side.
/// Blocks: not for the thread of the connections.
pub(super) fn open_all<'a>(root: &Path, paths: impl Iterator<Item = &'a str>) -> Vec<Opened> {
    let seen: Vec<Seen> = paths.map(|path| see(root, path)).collect();
    let small = seen.iter().filter_map(|seen| match seen {
        Seen::Small { bytes, .. } => Some(&**bytes),
        Seen::Other(_) => None,
    });
    let mut digests = digest::of_many(&small.collect::<Vec<_>>()).into_iter();
    seen.into_iter()
        .map(|seen| match seen {
            Seen::Other(opened) => opened,
            Seen::Small {
                bytes,
                file,
                stamp,
                content_type,
            } => Opened::Small {
                bytes: bytes.into_bytes(),
                file,
                md5: digests.next().unwrap_or_default(),
                stamp,
                content_type,
            },
        })
        .collect()
}

fn see(root: &Path, path: &str) -> Seen {
    match try_open(&root.join(path), path) {
        Ok(seen) => seen,
        Err(e) => Seen::Other(match e.kind() {
            io::ErrorKind::NotFound => Opened::Skipped(SkipReason::Vanished, None),
            _ if e.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
                Opened::Skipped(SkipReason::Symlink, None)
            }
            // What opening a socket answers.
            _ if e.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => {
                Opened::Skipped(SkipReason::Socket, None)
            }
            _ => Opened::Skipped(SkipReason::Unreadable, Some(e.to_string())),
        }),
    }
}

fn try_open(full: &Path, path: &str) -> io::Result<Seen> {
    // `NONBLOCK`: a FIFO that took a file's place would block for ever.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(full)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        let reason = special(&metadata.file_type());
        return Ok(Seen::Other(Opened::Skipped(reason, None)));
    }
    let stamp = Stamp::of(&metadata);
    if stamp.size > SMALL {
        let mut first = [0; SNIFFED];
        let length = file.read_at(&mut first, 0)?;
        return Ok(Seen::Other(Opened::Large {
            content_type: content::content_type(path, &first[..length]),
            file: Arc::new(file),
            stamp,
        }));
    }
    let size = usize::try_from(stamp.size).map_err(io::Error::other)?;
    // One byte more than announced, so that growth shows without another call.
    let mut buffer = Buffer::of(size + 1);
    let mut length = 0;
    while length <= size {
        match file.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    if length != size || Stamp::of(&file.metadata()?) != stamp {
        return Ok(Seen::Other(Opened::Changed));
    }
    buffer.shorten(size);
    Ok(Seen::Small {
        content_type: content::content_type(path, &buffer[..size.min(SNIFFED)]),
        bytes: buffer,
        file: Arc::new(file),
        stamp,
    })
}

/// Whether an open file still is what it was.
pub(super) fn is_unchanged(file: &File, stamp: Stamp) -> io::Result<bool> {
    Ok(Stamp::of(&file.metadata()?) == stamp)
}
