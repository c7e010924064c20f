//! Files in many parts: resumed where an earlier run left off, each part proven by its digest.

use std::fs::File;
use std::io;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::task::JoinSet;

use super::apply::{Job, Outcome, Try, Workshop, blocking, is_same, still, unreadable};
use super::content::CACHE_CONTROL;
use super::digest;
use super::journal::Record;
use super::plan;
use super::walk::Stamp;
use crate::s3::{Body, CompletedPart, ErrorKind, Part, S3Error, S3Result};

/// The service takes no more parts than this.
const MOST_PARTS: u64 = 10_000;

/// Files that are sent in parts at a time: their parts use all the room for streams, and more files
/// would only be read so far ahead that the system forgets what it has read.
pub(super) const FILES_AT_ONCE: usize = 4;

/// Parts that are digested side by side.
const DIGESTED_AT_ONCE: usize = 8;

/// Groups of parts under way: one that is sent, and two that are digested meanwhile, so that one of
/// them reads the disk while the other calculates.
const GROUPS_AT_ONCE: usize = 3;

/// Parts of one file that are sent at a time.
const PARTS_AT_ONCE: usize = 4;

/// Brings one large file into the bucket.
pub(super) async fn attempt(
    workshop: &Arc<Workshop>,
    job: &Job,
    file: Arc<File>,
    stamp: Stamp,
    content_type: String,
) -> Try {
    let part_size = part_size(stamp.size, workshop.part_size);
    // Never closed.
    let _turn = workshop.in_parts.acquire().await;
    match same_already(job, &file, stamp, part_size).await {
        Ok(Some(outcome)) => return Try::Over(outcome),
        Ok(None) => {}
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => return Try::Changed,
        Err(e) => return Try::Over(unreadable(job, &e)),
    }
    let bytes = stamp.size;
    if workshop.dry_run {
        return Try::Over(Outcome::Uploaded {
            bytes,
            record: None,
        });
    }
    match upload(workshop, job, &file, stamp, part_size, &content_type).await {
        Ok(Some(etag)) => Try::Over(Outcome::Uploaded {
            bytes,
            record: Record::of_etag(stamp, &etag),
        }),
        Ok(None) => Try::Changed,
        Err(e) if !e.is_fatal() && !still(&file, stamp) => Try::Changed,
        Err(e) => Try::Over(Outcome::Failed(Box::new(e))),
    }
}

/// Our part size, or as much more as 10,000 parts need.
fn part_size(size: u64, ours: u64) -> u64 {
    ours.max(size.div_ceil(MOST_PARTS))
}

/// Reads the file and compares, where the object may be the same.
async fn same_already(
    job: &Job,
    file: &Arc<File>,
    stamp: Stamp,
    part_size: u64,
) -> io::Result<Option<Outcome>> {
    let Some(remote) = job.remote.as_ref().filter(|_| job.why.is_none()) else {
        return Ok(None);
    };
    let candidates: Vec<Option<u64>> = match plan::part_count(&remote.etag) {
        None => vec![None],
        Some(count) => digest::possible_part_sizes(stamp.size, count, part_size)
            .into_iter()
            .map(Some)
            .collect(),
    };
    for candidate in candidates {
        let reader = file.clone();
        let etag = blocking(move || match candidate {
            None => digest::of_range(&reader, 0, stamp.size).map(hex::encode),
            Some(part_size) => digest::composite_of(&reader, stamp.size, part_size),
        })
        .await?;
        if is_same(job, stamp.size, &etag) && still(file, stamp) {
            return Ok(Some(Outcome::Unchanged {
                bytes: stamp.size,
                record: Record::of_etag(stamp, &etag),
            }));
        }
    }
    Ok(None)
}

/// Sends what is missing and completes the upload; `None` where the file changed meanwhile.
async fn upload(
    workshop: &Arc<Workshop>,
    job: &Job,
    file: &Arc<File>,
    stamp: Stamp,
    part_size: u64,
    content_type: &str,
) -> S3Result<Option<String>> {
    let client = &workshop.client;
    let key = client.target().key(&job.file.path);
    let (id, present) = match resumable(workshop, &key, stamp.size, part_size).await? {
        Some(found) => found,
        None => {
            let id = client
                .create_multipart_upload(&key, content_type, Some(CACHE_CONTROL))
                .await?;
            (id, Vec::new())
        }
    };
    let ranges: Vec<(u64, u64)> = digest::part_ranges(stamp.size, part_size).collect();
    let numbered: Vec<(u32, (u64, u64))> = (1..).zip(ranges).collect();
    // The digest goes ahead of a part, so each group is read twice: the second time from the
    // system's cache, since few groups are digested ahead.
    let groups: Vec<_> = numbered
        .chunks(DIGESTED_AT_ONCE)
        .map(<[_]>::to_vec)
        .collect();
    let digested = stream::iter(groups)
        .map(|group| {
            let ranges: Vec<(u64, u64)> = group.iter().map(|part| part.1).collect();
            let (workshop, reader) = (workshop.clone(), file.clone());
            // A task of its own: nobody asks for a group while parts are sent, and room that it held
            // meanwhile would be missing to those parts.
            let mut task = JoinSet::new();
            task.spawn(async move {
                let room = workshop.stream_room().await;
                blocking(move || {
                    // For as long as it reads, whoever still waits for it.
                    let _room = room;
                    digest::of_ranges(&reader, &ranges)
                })
                .await
            });
            let key = &key;
            async move {
                let digests = match task.join_next().await {
                    Some(Ok(digests)) => digests,
                    Some(Err(e)) => Err(io::Error::other(e)),
                    None => Err(io::Error::other("the parts' digests are gone")),
                };
                let digests = digests.map_err(|e| local_failure(key, e))?;
                let parts = group.into_iter().zip(digests).map(Ok::<_, S3Error>);
                Ok(stream::iter(parts))
            }
        })
        .buffered(GROUPS_AT_ONCE)
        .try_flatten();
    let sends = digested.map(|digested| {
        let (id, key, present) = (&id, &key, &present);
        async move {
            let ((number, (offset, length)), md5) = digested?;
            let etag = hex::encode(md5);
            let known = present.iter().find(|part| part.number == number);
            if known.is_some_and(|part| part.etag == etag && part.size == length) {
                return Ok((CompletedPart { number, etag }, md5));
            }
            let _room = workshop.stream_room().await;
            let body = Body::File {
                file: file.clone(),
                offset,
                length,
            };
            let part = client.upload_part(key, id, number, body, md5).await?;
            Ok::<_, S3Error>((part, md5))
        }
    });
    let parts: Vec<(CompletedPart, [u8; 16])> = sends.buffered(PARTS_AT_ONCE).try_collect().await?;
    if !still(file, stamp) {
        // Its parts are of two states of the file: nobody will want them.
        client.abort_multipart_upload(&key, &id).await?;
        return Ok(None);
    }
    let (parts, digests): (Vec<CompletedPart>, Vec<[u8; 16]>) = parts.into_iter().unzip();
    let expected = digest::composite(&digests);
    match client.complete_multipart_upload(&key, &id, &parts).await {
        // Every part was compared by its own digest; a service may have its own way to name the
        // whole, and what it says is what its listing will say.
        Ok(etag) => Ok(Some(if etag.is_empty() { expected } else { etag })),
        // The answer to an earlier attempt may have been lost.
        Err(e) if e.code() == Some("NoSuchUpload") => {
            let head = client.head_object(&key).await?;
            if head.size == stamp.size && head.etag == expected {
                Ok(Some(head.etag))
            } else {
                Err(e)
            }
        }
        Err(e) => Err(e),
    }
}

/// An upload of this key that an earlier run began with the same part size, and what it has.
///
/// One that was begun with another part size is given up, so that its parts are not billed.
async fn resumable(
    workshop: &Workshop,
    key: &str,
    size: u64,
    part_size: u64,
) -> S3Result<Option<(String, Vec<Part>)>> {
    let client = &workshop.client;
    let ranges: Vec<(u64, u64)> = digest::part_ranges(size, part_size).collect();
    for upload in client.list_multipart_uploads(key).await? {
        let parts = match client.list_parts(key, &upload.id).await {
            Ok(parts) => parts,
            Err(e) if e.is_not_found() => continue,
            Err(e) => return Err(e),
        };
        let fits = |part: &Part| {
            (part.number as usize)
                .checked_sub(1)
                .and_then(|index| ranges.get(index))
                .is_some_and(|(_, length)| *length == part.size)
        };
        if parts.iter().all(fits) {
            return Ok(Some((upload.id, parts)));
        }
        client.abort_multipart_upload(key, &upload.id).await?;
    }
    Ok(None)
}

fn local_failure(key: &str, error: io::Error) -> S3Error {
    S3Error {
        method: http::Method::PUT,
        uri: key.to_owned(),
        attempts: 0,
        elapsed: std::time::Duration::ZERO,
        kind: Box::new(ErrorKind::Local(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_where_ten_thousand_would_not_do() {
        assert_eq!(part_size(100 << 20, 16 << 20), 16 << 20);
        let size = 400_u64 << 30;
        assert!(size.div_ceil(part_size(size, 16 << 20)) <= MOST_PARTS);
    }
}
