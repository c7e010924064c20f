//! Whether an object is a file: by its ETag, or by reading all of it.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use md5::{Digest, Md5};

use crate::decide::Decision;
use crate::pairs::Pair;
use crate::s3::{Client, ErrorKind, S3Error};
use crate::tree::Stamp;
use crate::upload::digest;

/// Attempts to read an object whole.
const READS: usize = 4;
/// Longest time between two parts of an object's body.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// What has to be proven before a local file is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredProof {
    /// That the object has the file's bytes.
    SameContent,
    /// That there still is no object: Mastodon has deleted it.
    NoObject,
    /// The file must not be deleted, for this reason.
    Impossible(&'static str),
}

/// What has to be proven before the file of `pair` is deleted.
pub fn required_proof(decision: Decision, pair: &Pair) -> RequiredProof {
    match (decision, pair.file()) {
        // The file of a suspended account may be the last copy.
        (Decision::DeletedInBucket, Some(file)) if file.hidden => {
            RequiredProof::Impossible("it is hidden, and the bucket does not have it")
        }
        (Decision::DeletedInBucket, _) if !is_as_uploaded(pair) => RequiredProof::Impossible(
            "it was changed after it was uploaded, and the bucket does not have it",
        ),
        (Decision::DeletedInBucket, _) => RequiredProof::NoObject,
        _ => RequiredProof::SameContent,
    }
}

/// Whether the local file is the one that was recorded. Its mode and its hard links may have changed.
pub fn is_as_uploaded(pair: &Pair) -> bool {
    let (Some(file), Some(recorded)) = (pair.file(), &pair.recorded) else {
        return false;
    };
    let content = |stamp: &Stamp| (stamp.size, stamp.modified, stamp.inode);
    recorded.same && content(&recorded.stamp) == content(&file.stamp)
}

/// Result of comparing a file with its object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// The object has the file's bytes.
    Same,
    /// It has not, for this reason.
    Differs(String),
    /// Not determined: the ETag is of a multipart upload of unknown part size.
    Unclear,
    /// The file no longer exists.
    Gone,
}

impl Comparison {
    fn differs(reason: impl Into<String>) -> Self {
        Comparison::Differs(reason.into())
    }
}

/// Compares a file's size and digest with those of the object.
pub async fn by_etag(
    file: Arc<File>,
    size: u64,
    object_size: u64,
    etag: String,
) -> io::Result<Comparison> {
    if size != object_size {
        return Ok(Comparison::Differs(size_differs(size, object_size)));
    }
    tokio::task::spawn_blocking(move || {
        let Some((_, count)) = etag.split_once('-') else {
            let md5 = hex::encode(digest::of_range(&file, 0, size)?);
            return Ok(if etag.eq_ignore_ascii_case(&md5) {
                Comparison::Same
            } else {
                Comparison::differs("the object has another MD5")
            });
        };
        let Ok(count) = count.parse::<u32>() else {
            return Ok(Comparison::Unclear);
        };
        for part_size in part_sizes(size, count) {
            if digest::composite_of(&file, size, part_size)? == etag {
                return Ok(Comparison::Same);
            }
        }
        Ok(Comparison::Unclear)
    })
    .await
    .map_err(io::Error::other)?
}

/// Part sizes that make `count` parts of `size` bytes: powers of two, and those of other clients.
fn part_sizes(size: u64, count: u32) -> Vec<u64> {
    let mut sizes = Vec::new();
    for power in 20..33 {
        for candidate in digest::possible_part_sizes(size, count, 1 << power) {
            if !sizes.contains(&candidate) {
                sizes.push(candidate);
            }
        }
    }
    sizes
}

/// Reads the whole object and compares it with the file.
///
/// An object that does not exist, or has other bytes or another size than the file, or a plain ETag that
/// is not its MD5, differs.
///
/// # Errors
/// Where the file or the object cannot be read.
pub async fn by_reading(
    client: &Client,
    key: &str,
    file: Arc<File>,
    size: u64,
) -> Result<Comparison, ReadError> {
    let local = tokio::task::spawn_blocking(move || digest::of_range(&file, 0, size))
        .await
        .map_err(|e| ReadError::Local(io::Error::other(e)))?
        .map_err(ReadError::Local)?;
    let mut reads = 0;
    loop {
        reads += 1;
        let (head, body) = match client.get_object(key, None).await {
            Ok(answer) => answer,
            Err(e) if e.is_not_found() => {
                return Ok(Comparison::differs("the bucket does not have it"));
            }
            Err(e) => return Err(ReadError::Service(e)),
        };
        if head.size != size {
            return Ok(Comparison::Differs(size_differs(size, head.size)));
        }
        match md5_of(body, size).await {
            Ok(remote) if remote != local => {
                return Ok(Comparison::differs("the object has other bytes"));
            }
            Ok(_) if !head.etag.contains('-') && head.etag != hex::encode(local) => {
                return Ok(Comparison::differs("the object has another MD5"));
            }
            Ok(_) => return Ok(Comparison::Same),
            Err(broken) if reads >= READS => return Err(ReadError::Broken(broken)),
            Err(_) => tokio::time::sleep(Duration::from_millis(100 << reads)).await,
        }
    }
}

/// How a file and an object of these sizes differ.
pub fn size_differs(size: u64, object_size: u64) -> String {
    format!("the object has {object_size} bytes, the local file {size}")
}

/// MD5 of a body that must have `size` bytes.
async fn md5_of(mut body: hyper::body::Incoming, size: u64) -> Result<[u8; 16], String> {
    let mut hasher = Md5::new();
    let mut seen = 0;
    loop {
        let frame = match tokio::time::timeout(BODY_TIMEOUT, body.frame()).await {
            Err(_) => return Err(format!("no data for {} seconds", BODY_TIMEOUT.as_secs())),
            Ok(None) => break,
            Ok(Some(Err(e))) => return Err(e.to_string()),
            Ok(Some(Ok(frame))) => frame,
        };
        if let Some(data) = frame.data_ref() {
            hasher.update(data);
            seen += data.len() as u64;
        }
    }
    if seen == size {
        Ok(hasher.finalize().into())
    } else {
        Err(format!("{seen} of {size} bytes were received"))
    }
}

/// Why there is no result.
#[derive(Debug)]
pub enum ReadError {
    /// The file could not be read.
    Local(io::Error),
    /// The service returned an error.
    Service(S3Error),
    /// The object could not be read to its end in any attempt.
    Broken(String),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Local(e) => write!(f, "the local file cannot be read: {e}"),
            ReadError::Service(e) => match &*e.kind {
                ErrorKind::Service { status, code, .. } => {
                    write!(f, "the object cannot be read: {} {code}", status.as_u16())
                }
                _ => write!(f, "the object could not be requested: {e}"),
            },
            ReadError::Broken(e) => write!(f, "the object is incomplete: {e}"),
        }
    }
}
