//! A file in one request: a small one from memory, a larger one read again while it is sent.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

use super::content::{CACHE_CONTROL, SNIFFED, content_type};
use super::digest;
use super::job::{
    Attempt, Job, OpenedFile, SentVersion, UploadOutcome, blocking, is_unchanged, skipped,
};
use super::uploader::{NextStep, ObjectNow, Uploader};
use crate::journal::Recorded;
use crate::s3::{Body, PutRequest};
use crate::tree::{LocalFile, OpenError, SkipReason, Stamp};

/// Files up to this many bytes are held in memory.
const IN_MEMORY_UP_TO: u64 = 512 * 1024;

/// After a request that took longer, it is checked whether the file is still what was sent. It costs a
/// call for each file, and a shorter request was neither retried nor delayed.
const CHECK_FILE_AFTER: Duration = Duration::from_secs(1);

/// A file that was opened, and read if it is small.
pub(super) enum ReadFile {
    InMemory(FileInMemory),
    /// Too large to be held in memory.
    Open(OpenedFile),
    /// It changed while it was read.
    Changed,
    /// Mastodon has hidden it since the walk.
    Hidden,
}

/// A file in memory.
pub(super) struct FileInMemory {
    bytes: Bytes,
    md5: [u8; 16],
    stamp: Stamp,
    content_type: String,
    memory: Option<OwnedSemaphorePermit>,
}

/// Opens the file, and reads and digests it if it is small.
pub(super) async fn read(uploader: &Uploader, job: &Job) -> Result<ReadFile, Attempt> {
    let memory = uploader
        .memory(job.file.stamp.size.min(IN_MEMORY_UP_TO))
        .await;
    let file = job.file.clone();
    let include_hidden = uploader.options.decision.include_hidden;
    // For a large file the permit is dropped here: `send_from_disk` and `send_in_parts` take their own.
    match blocking(move || Ok(read_blocking(&file, include_hidden, memory))).await {
        Ok(Ok(read)) => Ok(read),
        Ok(Err(OpenError { reason, detail })) => {
            Err(Attempt::Finished(skipped(job, reason, detail)))
        }
        Err(e) => Err(Attempt::unreadable(job, &e)),
    }
}

fn read_blocking(
    local: &LocalFile,
    include_hidden: bool,
    memory: Option<OwnedSemaphorePermit>,
) -> Result<ReadFile, OpenError> {
    let path = &local.path;
    let mut file = local.open()?;
    let read = || {
        let stamp = Stamp::of_file(&file)?;
        // After the stamp: a later change of the mode is a change of the stamp.
        if !include_hidden && local.is_hidden_now(&file)? {
            return Ok(ReadFile::Hidden);
        }
        if stamp.size > IN_MEMORY_UP_TO {
            let mut first = [0; SNIFFED];
            let length = file.read_at(&mut first, 0)?;
            return Ok(ReadFile::Open(OpenedFile {
                content_type: content_type(path, &first[..length]),
                file: Arc::new(file.try_clone()?),
                stamp,
            }));
        }
        let size = usize::try_from(stamp.size).map_err(std::io::Error::other)?;
        // One byte more than the size, so that growth shows without another call.
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
        Ok(ReadFile::InMemory(FileInMemory {
            md5: digest::of_bytes(&bytes),
            content_type: content_type(path, &bytes[..size.min(SNIFFED)]),
            bytes: Bytes::from(bytes),
            stamp,
            memory,
        }))
    };
    read().map_err(|e: std::io::Error| OpenError {
        reason: SkipReason::Unreadable,
        detail: Some(e.to_string()),
    })
}

/// Sends a file from memory.
pub(super) async fn send_from_memory(
    uploader: &Uploader,
    job: &Job,
    read: FileInMemory,
) -> Attempt {
    let FileInMemory {
        bytes,
        md5,
        stamp,
        content_type,
        memory,
    } = read;
    let request = request(uploader, job, Body::Bytes(bytes), md5, content_type);
    let begin = Instant::now();
    let outcome = put(uploader, job, request, stamp).await;
    drop(memory);
    if begin.elapsed() < CHECK_FILE_AFTER {
        return Attempt::of(outcome);
    }
    let file = job.file.clone();
    match blocking(move || Ok(file.open().ok())).await {
        Ok(Some(now)) => attempt_unless_changed(outcome, &now, stamp, hex::encode(md5)),
        // The file has vanished: there is no newer version to send.
        _ => Attempt::of(outcome),
    }
}

/// Sends a larger file: digested first, then read again while it is sent.
pub(super) async fn send_from_disk(uploader: &Uploader, job: &Job, opened: OpenedFile) -> Attempt {
    let OpenedFile {
        file,
        stamp,
        content_type,
    } = opened;
    let _memory = uploader.stream_memory().await;
    let reader = file.clone();
    let md5 = match blocking(move || digest::of_range(&reader, 0, stamp.size)).await {
        Ok(md5) => md5,
        Err(e) => return Attempt::unreadable(job, &e),
    };
    if !is_unchanged(&file, stamp) {
        return Attempt::FileChanged(None);
    }
    let body = Body::File {
        file: file.clone(),
        offset: 0,
        length: stamp.size,
    };
    let request = request(uploader, job, body, md5, content_type);
    let outcome = put(uploader, job, request, stamp).await;
    attempt_unless_changed(outcome, &file, stamp, hex::encode(md5))
}

/// How the attempt ended, unless the file has changed since: then a former version of it, with `etag`,
/// was sent.
fn attempt_unless_changed(
    outcome: UploadOutcome,
    file: &File,
    stamp: Stamp,
    etag: String,
) -> Attempt {
    if is_unchanged(file, stamp) {
        return Attempt::of(outcome);
    }
    match outcome {
        // Content-MD5 was checked: what is stored is whole, but it is not the file any more.
        UploadOutcome::Uploaded { record, .. } | UploadOutcome::Same { record, .. } => {
            Attempt::FileChanged(Some(SentVersion { etag, record }))
        }
        UploadOutcome::Failed(e) if !e.ends_the_run() => {
            let record = None;
            Attempt::FileChanged(Some(SentVersion { etag, record }))
        }
        other => Attempt::Finished(other),
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

/// Decides by the content, and sends what is to be sent.
async fn put(uploader: &Uploader, job: &Job, request: PutRequest, stamp: Stamp) -> UploadOutcome {
    let bytes = stamp.size;
    let etag = hex::encode(request.md5);
    if let NextStep::Finish(outcome) = uploader.decide_by_content(job, stamp, &etag) {
        return outcome;
    }
    if uploader.options.dry_run {
        let record = None;
        return UploadOutcome::Uploaded { bytes, record };
    }
    match uploader.object_now(job).await {
        Ok(ObjectNow::AsListed) => {}
        Ok(ObjectNow::Appeared(job)) => {
            if let NextStep::Finish(outcome) = uploader.decide_by_content(&job, stamp, &etag) {
                return outcome;
            }
        }
        Err(e) => return UploadOutcome::Failed(Box::new(e)),
    }
    match uploader.client.put_object(&request).await {
        Ok(_) => UploadOutcome::Uploaded {
            bytes,
            record: Recorded::same(stamp, &etag),
        },
        Err(e) => UploadOutcome::Failed(Box::new(e)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::tree::{TreeEntry, WalkOptions, walk};

    #[test]
    fn what_is_hidden_after_the_walk_is_not_read() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path().to_owned();
        let mode = |path: &str, mode| {
            set_permissions(root.join(path), Permissions::from_mode(mode)).unwrap();
        };
        mode("", 0o755);
        for (name, size) in [("small", 3), ("large", IN_MEMORY_UP_TO + 1)] {
            let file = File::create(root.join(name)).unwrap();
            file.set_len(size).unwrap();
            mode(name, 0o644);
        }
        let options = WalkOptions {
            root: root.clone(),
            prefix_length: 0,
            follow_links: false,
        };
        for entry in walk(&options).unwrap() {
            let TreeEntry::File(file) = entry else {
                panic!("{entry:?}")
            };
            assert!(!file.hidden);
            let hidden = |all| {
                let read = read_blocking(&file, all, None).unwrap();
                matches!(read, ReadFile::Hidden)
            };
            assert!(!hidden(false), "{}", file.path);
            mode(&file.path, 0o600);
            assert!(hidden(false), "{}", file.path);
            assert!(!hidden(true), "{}", file.path);
        }
    }
}
