//! The bytes of objects: one file for each put or part, written once and never changed.
//!
//! Leaves to others: which files belong to which object ([`super::store`]).
//! A file counts only once the journal names it; what a crash leaves behind is overwritten later,
//! because numbers that the journal does not name are handed out again.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, TryStreamExt};
use md5::{Digest, Md5};
use s3s::StdError;
use s3s::dto::StreamingBlob;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};

use super::records::Piece;

/// Up to this size a file is read or written in one call on the async thread: handing such a call to
/// another thread costs more than the call, and the whole origin is measured by what it costs.
const INLINE_LIMIT: u64 = 256 * 1024;
/// Folders that the files are spread over.
const FOLDERS: u64 = 64;
/// Size of one read or write of a larger file.
const CHUNK: usize = 512 * 1024;

/// What becomes of the bytes of an upload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Bodies {
    /// They are digested and kept.
    #[default]
    Kept,
    /// They are digested and thrown away: the object is listed, and cannot be read.
    Discarded,
    /// They are discarded, and their `Content-MD5` is trusted.
    Trusted,
}

/// The directory of one bucket's bytes.
pub struct ContentFiles {
    dir: PathBuf,
    next: AtomicU64,
    bodies: Bodies,
}

/// Why a body could not be stored.
#[derive(Debug)]
pub enum ReceiveError {
    /// The client went away, or sent what its signature does not cover.
    Body(StdError),
    /// The disk refused.
    Disk(io::Error),
    /// The body ended early or went on too long.
    Length {
        /// As the request announced it.
        announced: u64,
        /// As counted.
        received: u64,
    },
}

/// A stored body that no journal line names yet.
pub struct Received {
    /// Its file.
    pub piece: Piece,
    /// MD5 of its bytes.
    pub md5: [u8; 16],
}

impl ContentFiles {
    /// Opens the directory, in which numbers below `next` may be in use.
    ///
    /// # Errors
    /// When the directories cannot be made.
    pub fn open(dir: &Path, next: u64, bodies: Bodies) -> io::Result<Self> {
        for low in 0..FOLDERS {
            std::fs::create_dir_all(dir.join(format!("{low:02x}")))?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            next: AtomicU64::new(next),
            bodies,
        })
    }

    fn path(&self, id: u64) -> PathBuf {
        self.dir.join(format!("{:02x}/{id:016x}", id % FOLDERS))
    }

    /// A number that no other file has.
    pub fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Writes a request body to a new file. On any failure the file is gone again.
    ///
    /// # Errors
    /// See [`ReceiveError`].
    pub async fn receive(
        &self,
        body: Option<StreamingBlob>,
        announced: Option<u64>,
        announced_md5: Option<[u8; 16]>,
    ) -> Result<Received, ReceiveError> {
        let id = self.next_id();
        let trusted = announced_md5.filter(|_| self.bodies == Bodies::Trusted);
        let result = self.receive_into(id, body, announced, trusted).await;
        if result.is_err() {
            self.remove(id);
        }
        result
    }

    async fn receive_into(
        &self,
        id: u64,
        body: Option<StreamingBlob>,
        announced: Option<u64>,
        trusted: Option<[u8; 16]>,
    ) -> Result<Received, ReceiveError> {
        let path = self.path(id);
        let mut hasher = Md5::new();
        let mut pending = BytesMut::new();
        let mut file: Option<tokio::fs::File> = None;
        let mut size = 0;
        let mut body = body;
        while let Some(stream) = body.as_mut() {
            let Some(chunk) = stream.next().await else {
                break;
            };
            let chunk = chunk.map_err(ReceiveError::Body)?;
            size += chunk.len() as u64;
            if trusted.is_none() {
                hasher.update(&chunk);
            }
            if self.bodies != Bodies::Kept {
                continue;
            }
            pending.extend_from_slice(&chunk);
            if pending.len() >= CHUNK {
                if file.is_none() {
                    file = Some(
                        tokio::fs::File::create(&path)
                            .await
                            .map_err(ReceiveError::Disk)?,
                    );
                }
                if let Some(file) = &mut file {
                    file.write_all(&pending).await.map_err(ReceiveError::Disk)?;
                }
                pending.clear();
            }
        }
        if let Some(announced) = announced
            && announced != size
        {
            return Err(ReceiveError::Length {
                announced,
                received: size,
            });
        }
        match file {
            None if self.bodies != Bodies::Kept => {}
            None => std::fs::write(&path, &pending).map_err(ReceiveError::Disk)?,
            Some(mut file) => {
                file.write_all(&pending).await.map_err(ReceiveError::Disk)?;
                // A write error of the background thread shows at the next call at the earliest.
                file.flush().await.map_err(ReceiveError::Disk)?;
            }
        }
        Ok(Received {
            piece: Piece { id, size },
            md5: trusted.unwrap_or_else(|| hasher.finalize().into()),
        })
    }

    /// A second name for the bytes of `piece`, for a copy.
    ///
    /// # Errors
    /// When the link cannot be made.
    pub fn link(&self, piece: Piece) -> io::Result<Piece> {
        let id = self.next_id();
        let target = self.path(id);
        if target.exists() {
            std::fs::remove_file(&target)?;
        }
        std::fs::hard_link(self.path(piece.id), target)?;
        Ok(Piece {
            id,
            size: piece.size,
        })
    }

    /// Removes a file that no journal line names any more. A file that is already gone is no fault.
    pub fn remove(&self, id: u64) {
        if let Err(error) = std::fs::remove_file(self.path(id))
            && error.kind() != io::ErrorKind::NotFound
        {
            eprintln!("b2-origin: could not remove the bytes of a dropped object: {error}");
        }
    }

    /// Reads `range` of the concatenated `pieces`.
    ///
    /// # Errors
    /// `NotFound` when an overwrite or delete got in between: look the object up again.
    pub async fn read(
        &self,
        pieces: &[Piece],
        range: std::ops::Range<u64>,
    ) -> io::Result<StreamingBlob> {
        let mut slices = Vec::new();
        let mut start = 0;
        for piece in pieces {
            let end = start + piece.size;
            let (from, to) = (range.start.max(start), range.end.min(end));
            if from < to {
                slices.push((self.path(piece.id), from - start, to - from));
            }
            start = end;
        }
        if slices.iter().map(|(_, _, length)| length).sum::<u64>() != range.end - range.start {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the object was registered without bytes",
            ));
        }
        if range.end - range.start <= INLINE_LIMIT {
            return read_inline(&slices, (range.end - range.start) as usize);
        }
        let mut files = Vec::new();
        for (path, offset, length) in slices {
            // Opened before the answer begins, so that a concurrent delete cannot cut it short.
            let mut file = tokio::fs::File::open(path).await?;
            file.seek(io::SeekFrom::Start(offset)).await?;
            files.push((file, length));
        }
        let stream =
            futures_util::stream::iter(files).flat_map(|(file, length)| stream_file(file, length));
        let body = http_body_util::StreamBody::new(stream.map_ok(hyper::body::Frame::data));
        Ok(StreamingBlob::from(s3s::Body::http_body_unsync(body)))
    }
}

fn read_inline(slices: &[(PathBuf, u64, u64)], total: usize) -> io::Result<StreamingBlob> {
    use std::os::unix::fs::FileExt;
    let mut bytes = vec![0; total];
    let mut filled = 0;
    for (path, offset, length) in slices {
        let length = *length as usize;
        std::fs::File::open(path)?.read_exact_at(&mut bytes[filled..filled + length], *offset)?;
        filled += length;
    }
    Ok(StreamingBlob::from(s3s::Body::from(bytes)))
}

fn stream_file(file: tokio::fs::File, length: u64) -> impl Stream<Item = io::Result<Bytes>> + Send {
    futures_util::stream::try_unfold((file, length), |(mut file, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let mut buffer = BytesMut::with_capacity(CHUNK.min(left as usize));
        let read = (&mut file).take(left).read_buf(&mut buffer).await?;
        if read == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        Ok(Some((buffer.freeze(), (file, left - read as u64))))
    })
}
