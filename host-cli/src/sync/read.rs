//! Opening and reading a local file so that nothing blocks, nothing is followed, and a change
//! while it is read is seen.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::OFlags;

use super::content::{self, SNIFFED};
use super::digest;
use super::walk::{SkipReason, Stamp, special};

/// Files up to this many bytes are read in one go.
pub(super) const SMALL: u64 = 512 * 1024;

/// A file as it is now.
#[derive(Debug)]
pub(super) enum Opened {
    /// Read whole, digested.
    Small {
        bytes: Bytes,
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

/// Opens `path`, and reads it where it is small. Blocks: call it on a blocking thread.
pub(super) fn open(root: &Path, path: &str) -> Opened {
    match try_open(&root.join(path), path) {
        Ok(opened) => opened,
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            Opened::Skipped(SkipReason::Vanished, None)
        }
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
            Opened::Skipped(SkipReason::Symlink, None)
        }
        // What opening a socket answers.
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
            Opened::Skipped(SkipReason::Socket, None)
        }
        Err(e) => Opened::Skipped(SkipReason::Unreadable, Some(e.to_string())),
    }
}

fn try_open(full: &Path, path: &str) -> io::Result<Opened> {
    // `NONBLOCK`: a FIFO that took a file's place would block for ever.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(full)?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(Opened::Skipped(special(&metadata.file_type()), None));
    }
    let stamp = Stamp::of(&metadata);
    if stamp.size > SMALL {
        let mut first = [0; SNIFFED];
        let length = file.read_at(&mut first, 0)?;
        return Ok(Opened::Large {
            content_type: content::content_type(path, &first[..length]),
            file: Arc::new(file),
            stamp,
        });
    }
    let size = usize::try_from(stamp.size).map_err(io::Error::other)?;
    // One byte more than announced, so that growth shows without another call.
    let mut buffer = vec![0; size + 1];
    let mut length = 0;
    while length <= size {
        match file.read(&mut buffer[length..])? {
            0 => break,
            read => length += read,
        }
    }
    if length != size || Stamp::of(&file.metadata()?) != stamp {
        return Ok(Opened::Changed);
    }
    buffer.truncate(size);
    Ok(Opened::Small {
        md5: digest::of_bytes(&buffer),
        content_type: content::content_type(path, &buffer[..size.min(SNIFFED)]),
        bytes: Bytes::from(buffer),
        stamp,
    })
}

/// Whether an open file still is what it was.
pub(super) fn is_unchanged(file: &File, stamp: Stamp) -> io::Result<bool> {
    Ok(Stamp::of(&file.metadata()?) == stamp)
}
