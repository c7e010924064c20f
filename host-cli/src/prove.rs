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
use crate::tree::{Entry, Stamp};
use crate::upload::digest;

/// How often a transfer that breaks in the middle is begun anew.
const READS: usize = 4;
/// Longest wait for the next bytes of an object.
const PATIENCE: Duration = Duration::from_secs(60);

/// What has to be proven before a local file may be deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Basis {
    /// That the object has the file's bytes.
    Content,
    /// That the object is still absent: Mastodon has deleted it.
    Absence,
    /// Nothing would do; why.
    Nothing(&'static str),
}

/// What the deletion of a local file rests on.
pub fn basis(decision: Decision, pair: &Pair) -> Basis {
    match (decision, &pair.local) {
        // It may have been deleted with its account: never the last copy of what is hidden.
        (Decision::DeletedThere, Some(Entry::File(file))) if file.hidden => {
            Basis::Nothing("it is hidden, and the bucket does not have it")
        }
        (Decision::DeletedThere, _) if !is_as_uploaded(pair) => {
            Basis::Nothing("it was written since it was uploaded, and the bucket does not have it")
        }
        (Decision::DeletedThere, _) => Basis::Absence,
        _ => Basis::Content,
    }
}

/// Whether the local file is the very one that was in the bucket. Its mode and its other names may
/// have changed since.
pub fn is_as_uploaded(pair: &Pair) -> bool {
    let (Some(Entry::File(file)), Some(known)) = (&pair.local, &pair.known) else {
        return false;
    };
    let content = |stamp: &Stamp| (stamp.size, stamp.modified, stamp.inode);
    known.same && content(&known.stamp) == content(&file.stamp)
}

/// Outcome of comparing one file with one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The object has the file's bytes.
    Same,
    /// It has not; the words say how that shows.
    Differs(String),
    /// The ETag alone cannot tell: a multipart upload of unknown part size.
    Unclear,
    /// There is no such file any more.
    Gone,
}

impl Verdict {
    fn differs(words: impl Into<String>) -> Self {
        Verdict::Differs(words.into())
    }
}

/// Compares a file's size and content with what the service says of the object.
pub async fn by_etag(
    file: Arc<File>,
    size: u64,
    object_size: u64,
    etag: String,
) -> io::Result<Verdict> {
    if size != object_size {
        return Ok(Verdict::Differs(size_differs(size, object_size)));
    }
    tokio::task::spawn_blocking(move || {
        let Some((_, count)) = etag.split_once('-') else {
            let md5 = hex::encode(digest::of_range(&file, 0, size)?);
            return Ok(if etag.eq_ignore_ascii_case(&md5) {
                Verdict::Same
            } else {
                Verdict::differs("its MD5 in the bucket is another")
            });
        };
        let Ok(count) = count.parse::<u32>() else {
            return Ok(Verdict::Unclear);
        };
        for part_size in part_sizes(size, count) {
            if digest::composite_of(&file, size, part_size)? == etag {
                return Ok(Verdict::Same);
            }
        }
        Ok(Verdict::Unclear)
    })
    .await
    .map_err(io::Error::other)?
}

/// Part sizes that make `count` parts of `size` bytes: the usual ones, then powers of two.
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
/// A failure to read it is an error; an object that is not there, is shorter, longer or other than
/// the file, or whose plain ETag is not its own MD5, is a difference.
pub async fn by_reading(
    client: &Client,
    key: &str,
    file: Arc<File>,
    size: u64,
) -> Result<Verdict, ReadError> {
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
                return Ok(Verdict::differs("the bucket does not have it"));
            }
            Err(e) => return Err(ReadError::Service(e)),
        };
        if head.size != size {
            return Ok(Verdict::Differs(size_differs(size, head.size)));
        }
        match md5_of(body, size).await {
            Ok(remote) if remote != local => {
                return Ok(Verdict::differs("the bucket gives other bytes"));
            }
            Ok(_) if !head.etag.contains('-') && head.etag != hex::encode(local) => {
                return Ok(Verdict::differs("its MD5 in the bucket is another"));
            }
            Ok(_) => return Ok(Verdict::Same),
            Err(broken) if reads >= READS => return Err(ReadError::Broken(broken)),
            Err(_) => tokio::time::sleep(Duration::from_millis(100 << reads)).await,
        }
    }
}

/// How a file and an object of these sizes differ.
pub fn size_differs(size: u64, object_size: u64) -> String {
    format!("it has {object_size} bytes in the bucket and {size} here")
}

/// MD5 of a body that must have `size` bytes.
async fn md5_of(mut body: hyper::body::Incoming, size: u64) -> Result<[u8; 16], String> {
    let mut hasher = Md5::new();
    let mut seen = 0;
    loop {
        let frame = match tokio::time::timeout(PATIENCE, body.frame()).await {
            Err(_) => return Err("no bytes for a minute".to_owned()),
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
        Err(format!("{seen} of {size} bytes came"))
    }
}

/// Why there is no verdict.
#[derive(Debug)]
pub enum ReadError {
    /// The file here could not be read.
    Local(io::Error),
    /// The service refused.
    Service(S3Error),
    /// The object could not be read to its end, several times over.
    Broken(String),
}

impl std::fmt::Display for ReadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReadError::Local(e) => write!(f, "it cannot be read here: {e}"),
            ReadError::Service(e) => match &*e.kind {
                ErrorKind::Service { status, code, .. } => {
                    write!(
                        f,
                        "the bucket does not let it be read: {} {code}",
                        status.as_u16()
                    )
                }
                _ => write!(f, "the bucket could not be asked: {e}"),
            },
            ReadError::Broken(e) => write!(f, "the bucket does not give it whole: {e}"),
        }
    }
}
