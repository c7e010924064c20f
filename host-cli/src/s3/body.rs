//! What a request carries.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;

use super::patience::Life;
use super::traffic::Traffic;
use crate::transport::{LocalFailure, RequestBody};

/// How much of a large file is read at a time.
const CHUNK: u64 = 256 * 1024;

/// What a request carries. Cheap to clone, so that a retry can send it again.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing.
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// `length` bytes of an open file from `offset`, read while they are sent.
    File {
        /// The file; read by position, so that many may share it.
        file: Arc<File>,
        /// First byte.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
}

impl Body {
    /// Whether all of it is in memory.
    pub(super) fn is_in_memory(&self) -> bool {
        match self {
            Body::Empty | Body::Bytes(_) => true,
            Body::File { .. } => false,
        }
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Body::Empty => 0,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::File { length, .. } => *length,
        }
    }

    /// A fresh copy to send, metered by `traffic`; `life` is told of each piece that is taken.
    pub(super) fn to_request(&self, traffic: &Arc<Traffic>, life: &Arc<Life>) -> RequestBody {
        match self {
            Body::Empty => Empty::new().map_err(|never| match never {}).boxed_unsync(),
            Body::Bytes(bytes) => from_memory(bytes.clone(), life),
            Body::File {
                file,
                offset,
                length,
            } => from_file(file, (*offset, *length), traffic, life),
        }
    }
}

fn from_memory(bytes: Bytes, life: &Arc<Life>) -> RequestBody {
    if bytes.len() as u64 <= CHUNK {
        return Full::new(bytes)
            .map_err(|never| match never {})
            .boxed_unsync();
    }
    let life = life.clone();
    let pieces = stream::unfold(bytes, move |mut left| {
        let life = life.clone();
        async move {
            if left.is_empty() {
                return None;
            }
            life.moved();
            let piece = left.split_to(left.len().min(CHUNK as usize));
            Some((Ok(Frame::data(piece)), left))
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// `part`: where it begins, and how many bytes it has.
fn from_file(
    file: &Arc<File>,
    part: (u64, u64),
    traffic: &Arc<Traffic>,
    life: &Arc<Life>,
) -> RequestBody {
    let shared = (file.clone(), traffic.clone(), life.clone());
    let chunks = stream::try_unfold(part, move |(at, left)| {
        let (file, traffic, life) = shared.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let size = left.min(CHUNK);
            life.held_back();
            traffic.bytes.pass(size as f64).await;
            life.moved();
            let chunk = tokio::task::spawn_blocking(move || read_at(&file, at, size))
                .await
                .map_err(io::Error::other)?
                .map_err(|e| io::Error::other(LocalFailure(e)))?;
            Ok(Some((Frame::data(chunk), (at + size, left - size))))
        }
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// `size` bytes at `offset`; an error where the file ends before.
fn read_at(file: &File, offset: u64, size: u64) -> io::Result<Bytes> {
    let mut buffer = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    file.read_exact_at(&mut buffer, offset)?;
    Ok(Bytes::from(buffer))
}
