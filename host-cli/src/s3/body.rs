//! Bodies of requests.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::Frame;

use super::stall::StallTimer;
use super::traffic::Traffic;
use crate::transport::{LocalFailure, RequestBody};

/// Bytes that are read and sent at a time.
const CHUNK: u64 = 256 * 1024;

/// The body of a request. Cheap to clone, so that a retry can send it again.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing.
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// `length` bytes of an open file from `offset`, read while they are sent.
    File {
        /// The file, read by position: several requests may share it.
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

    /// The body for one attempt, limited by `traffic`; each chunk that is sent resets `stall_timer`.
    pub(super) fn to_request(
        &self,
        traffic: &Arc<Traffic>,
        stall_timer: &Arc<StallTimer>,
    ) -> RequestBody {
        match self {
            Body::Empty => Empty::new().map_err(|never| match never {}).boxed_unsync(),
            Body::Bytes(bytes) => from_memory(bytes.clone(), stall_timer),
            Body::File {
                file,
                offset,
                length,
            } => from_file(file, (*offset, *length), traffic, stall_timer),
        }
    }
}

fn from_memory(bytes: Bytes, stall_timer: &Arc<StallTimer>) -> RequestBody {
    if bytes.len() as u64 <= CHUNK {
        return Full::new(bytes)
            .map_err(|never| match never {})
            .boxed_unsync();
    }
    let stall_timer = stall_timer.clone();
    let chunks = stream::unfold(bytes, move |mut left| {
        let stall_timer = stall_timer.clone();
        async move {
            if left.is_empty() {
                return None;
            }
            stall_timer.progressed();
            let chunk = left.split_to(left.len().min(CHUNK as usize));
            Some((Ok(Frame::data(chunk)), left))
        }
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// `part`: offset and length.
fn from_file(
    file: &Arc<File>,
    part: (u64, u64),
    traffic: &Arc<Traffic>,
    stall_timer: &Arc<StallTimer>,
) -> RequestBody {
    let shared = (file.clone(), traffic.clone(), stall_timer.clone());
    let chunks = stream::try_unfold(part, move |(at, left)| {
        let (file, traffic, stall_timer) = shared.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let size = left.min(CHUNK);
            stall_timer.throttled();
            traffic.bytes.acquire(size as f64).await;
            stall_timer.progressed();
            let chunk = tokio::task::spawn_blocking(move || read_at(&file, at, size))
                .await
                .map_err(io::Error::other)?
                .map_err(|e| io::Error::other(LocalFailure(e)))?;
            Ok(Some((Frame::data(chunk), (at + size, left - size))))
        }
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// Reads `size` bytes at `offset`; fails where the file ends before.
fn read_at(file: &File, offset: u64, size: u64) -> io::Result<Bytes> {
    let mut buffer = vec![0; usize::try_from(size).map_err(io::Error::other)?];
    file.read_exact_at(&mut buffer, offset)?;
    Ok(Bytes::from(buffer))
}
