//! A file in one request: a small one from memory, one of middle size read again while it is sent.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::content::{CACHE_CONTROL, SNIFFED, content_type};
use super::digest;
use super::job::{
    Job, Opened, Outcome, Sent, TRIES, Try, Uploader, blocking, is_unchanged, skipped, unreadable,
};
use crate::journal::Recorded;
use crate::s3::{Body, PutRequest};
use crate::tree::{LocalFile, OpenError, SkipReason, Stamp};

/// Files up to this many bytes are read in one go.
const SMALL: u64 = 512 * 1024;

/// After a request that took so long, the file is looked at once more: it was tried again, or waited.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How an attempt ended, if it did.
pub(super) enum Attempt {
    Ended(Try),
    /// Too large to be read in one go.
    Large(Opened),
    /// Mastodon has hidden it since the walk; nothing was sent.
    Hidden,
}

/// A file that was read.
enum ReadFile {
    Whole {
        bytes: Bytes,
        md5: [u8; 16],
        stamp: Stamp,
        content_type: String,
    },
    Large(Opened),
    Changed,
    /// Mastodon has hidden it since the walk.
    Hidden,
}

/// Opens the file and, if it is small, brings it into the bucket.
pub(super) async fn attempt(uploader: &Uploader, job: &Job) -> Attempt {
    let memory = uploader.memory(job.file.stamp.size.min(SMALL)).await;
    let file = job.file.clone();
    let include_hidden = uploader.includes_hidden();
    let read = blocking(move || Ok(read(&file, include_hidden))).await;
    let read = match read {
        Ok(Ok(read)) => read,
        Ok(Err(OpenError { reason, detail })) => {
            return Attempt::Ended(Try::Over(skipped(job, reason, detail)));
        }
        Err(e) => return Attempt::Ended(unreadable(job, &e)),
    };
    match read {
        ReadFile::Changed => Attempt::Ended(Try::Changed(None)),
        ReadFile::Hidden => Attempt::Hidden,
        // The memory is given back: the way of a large file asks for its own.
        ReadFile::Large(opened) => Attempt::Large(opened),
        ReadFile::Whole {
            bytes,
            md5,
            stamp,
            content_type,
        } => {
            let request = request(uploader, job, Body::Bytes(bytes), md5, content_type);
            let begin = Instant::now();
            let etag = hex::encode(md5);
            let outcome = put(uploader, job, request, stamp).await;
            drop(memory);
            if begin.elapsed() < LOOK_AGAIN_AFTER {
                return Attempt::Ended(Try::Over(outcome));
            }
            let file = job.file.clone();
            let now = blocking(move || Ok(file.open().ok())).await;
            Attempt::Ended(match now {
                Ok(Some(now)) => changed_or(outcome, &now, stamp, etag),
                // What has vanished was stored as it was.
                _ => Try::Over(outcome),
            })
        }
    }
}

/// Opens a file, and reads and digests it where it is small. Blocks.
fn read(local: &LocalFile, include_hidden: bool) -> Result<ReadFile, OpenError> {
    let path = &local.path;
    let mut file = local.open()?;
    let mut read = || {
        let stamp = Stamp::of_file(&file)?;
        // After the stamp: a later change of the mode is a change of the stamp.
        if !include_hidden && local.is_hidden_now(&file)? {
            return Ok(ReadFile::Hidden);
        }
        if stamp.size > SMALL {
            let mut first = [0; SNIFFED];
            let length = file.read_at(&mut first, 0)?;
            return Ok(ReadFile::Large(Opened {
                content_type: content_type(path, &first[..length]),
                file: Arc::new(file.try_clone()?),
                stamp,
            }));
        }
        let size = usize::try_from(stamp.size).map_err(std::io::Error::other)?;
        // One byte more than announced, so that growth shows without another call.
        let mut bytes = vec![0; size + 1];
        let mut length = 0;
        while length <= size {
            match file.read(&mut bytes[length..])? {
                0 => break,
                more => length += more,
            }
        }
        if length != size || Stamp::of_file(&file)? != stamp {
            return Ok(ReadFile::Changed);
        }
        bytes.truncate(size);
        Ok(ReadFile::Whole {
            md5: digest::of_bytes(&bytes),
            content_type: content_type(path, &bytes[..size.min(SNIFFED)]),
            bytes: Bytes::from(bytes),
            stamp,
        })
    };
    read().map_err(|e: std::io::Error| OpenError {
        reason: SkipReason::Unreadable,
        detail: Some(e.to_string()),
    })
}

/// A file of middle size: digested first, then read again while it is sent.
pub(super) async fn stream(uploader: &Uploader, job: &Job, opened: Opened) -> Try {
    let Opened {
        file,
        stamp,
        content_type,
    } = opened;
    let _memory = uploader.stream_memory().await;
    let reader = file.clone();
    let md5 = match blocking(move || digest::of_range(&reader, 0, stamp.size)).await {
        Ok(md5) => md5,
        Err(e) => return unreadable(job, &e),
    };
    if !is_unchanged(&file, stamp) {
        return Try::Changed(None);
    }
    let body = Body::File {
        file: file.clone(),
        offset: 0,
        length: stamp.size,
    };
    let request = request(uploader, job, body, md5, content_type);
    let etag = hex::encode(md5);
    let outcome = put(uploader, job, request, stamp).await;
    changed_or(outcome, &file, stamp, etag)
}

/// `outcome`, unless the file is another by now and what was sent is a former state of it, with `etag`.
fn changed_or(outcome: Outcome, file: &File, stamp: Stamp, etag: String) -> Try {
    if is_unchanged(file, stamp) {
        return Try::Over(outcome);
    }
    match outcome {
        // Content-MD5 was checked, so what is stored is whole; but it is not the file any more.
        Outcome::Uploaded { record, .. } | Outcome::Same { record, .. } => {
            Try::Changed(Some(Sent { etag, record }))
        }
        Outcome::Failed(e) if !e.ends_the_run() => {
            let record = None;
            Try::Changed(Some(Sent { etag, record }))
        }
        other => Try::Over(other),
    }
}

fn request(
    uploader: &Uploader,
    job: &Job,
    body: Body,
    md5: [u8; 16],
    content_type: String,
) -> PutRequest {
    PutRequest {
        key: uploader.client.target().key(&job.file.path),
        body,
        md5,
        content_type,
        cache_control: Some(CACHE_CONTROL.to_owned()),
    }
}

/// Compares with the object where that is open, and sends what is to be sent.
async fn put(uploader: &Uploader, job: &Job, request: PutRequest, stamp: Stamp) -> Outcome {
    let bytes = stamp.size;
    let etag = hex::encode(request.md5);
    if let Some(outcome) = uploader.settled(job, stamp, &etag) {
        return outcome;
    }
    if uploader.dry_run {
        let record = None;
        return Outcome::Uploaded { bytes, record };
    }
    let mut tries = 1;
    loop {
        let settled = match uploader.come_meanwhile(job).await {
            Ok(now) => now.and_then(|now| uploader.settled(&now, stamp, &etag)),
            Err(e) => return Outcome::Failed(Box::new(e)),
        };
        if let Some(outcome) = settled {
            return outcome;
        }
        match uploader.client.put_object(&request).await {
            Ok(_) => {
                let record = Recorded::same(stamp, &etag);
                return Outcome::Uploaded { bytes, record };
            }
            Err(e) if e.kind.is_wrong_content() && tries < TRIES => tries += 1,
            Err(e) => return Outcome::Failed(Box::new(e.after(tries - 1))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::tree::{Entry, Options, walk};

    #[test]
    fn what_is_hidden_after_the_walk_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        let mode = |path: &str, mode| {
            set_permissions(root.join(path), Permissions::from_mode(mode)).unwrap();
        };
        mode("", 0o755);
        for (name, size) in [("small", 3), ("large", SMALL + 1)] {
            let file = File::create(root.join(name)).unwrap();
            file.set_len(size).unwrap();
            mode(name, 0o644);
        }
        let options = Options {
            root: root.clone(),
            prefix_length: 0,
            follow_links: false,
        };
        for entry in walk(&options).unwrap() {
            let Entry::File(file) = entry else {
                panic!("{entry:?}")
            };
            assert!(!file.hidden);
            let hidden = |all| matches!(read(&file, all).unwrap(), ReadFile::Hidden);
            assert!(!hidden(false), "{}", file.path);
            mode(&file.path, 0o600);
            assert!(hidden(false), "{}", file.path);
            assert!(!hidden(true), "{}", file.path);
        }
    }
}
