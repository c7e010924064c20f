//! A large file in many parts: resumed where an earlier run of ours left off, each part proven by its
//! digest, the whole by the service's result or by asking for the object.

use std::io;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::content::CACHE_CONTROL;
use super::digest;
use super::job::{Job, Opened, Outcome, TRIES, Try, Uploader, blocking, is_unchanged, unreadable};
use crate::decide::{Decision, part_count};
use crate::journal::Recorded;
use crate::s3::{Body, CompletedPart, ErrorKind, Part, S3Error, S3Result};

/// The service takes no more parts than this.
const MOST_PARTS: u64 = 10_000;

/// Parts of one file that are digested or sent at a time.
const PARTS_AT_ONCE: usize = 4;

/// Brings one large file into the bucket.
pub(super) async fn attempt(uploader: &Arc<Uploader>, job: &Job, opened: Opened) -> Try {
    // Never closed.
    let _turn = uploader.in_parts.acquire().await;
    let part_size = part_size(opened.stamp.size, uploader.limits.part_size);
    match compare(uploader, job, &opened, part_size).await {
        Ok(Some(outcome)) => return Try::Over(outcome),
        Ok(None) => {}
        Err(e) => return unreadable(job, &e),
    }
    let bytes = opened.stamp.size;
    if uploader.dry_run {
        let record = None;
        return Try::Over(Outcome::Uploaded { bytes, record });
    }
    let compared = match uploader.come_meanwhile(job).await {
        Ok(None) => Ok(None),
        Ok(Some(now)) => compare(uploader, &now, &opened, part_size).await,
        Err(e) => return Try::Over(Outcome::Failed(Box::new(e))),
    };
    match compared {
        Ok(Some(outcome)) => return Try::Over(outcome),
        Ok(None) => {}
        Err(e) => return unreadable(job, &e),
    }
    match upload(uploader, job, &opened, part_size).await {
        Ok(Some(etag)) => Try::Over(Outcome::Uploaded {
            bytes,
            record: Recorded::same(opened.stamp, &etag),
        }),
        Ok(None) => Try::Changed(None),
        Err(e) if !e.ends_the_run() && !is_unchanged(&opened.file, opened.stamp) => {
            Try::Changed(None)
        }
        Err(e) => Try::Over(Outcome::Failed(Box::new(e))),
    }
}

/// Our part size, or as much more as 10,000 parts need.
fn part_size(size: u64, ours: u64) -> u64 {
    ours.max(size.div_ceil(MOST_PARTS))
}

/// Reads the file where that is to decide; `None` is to send it.
async fn compare(
    uploader: &Uploader,
    job: &Job,
    opened: &Opened,
    part_size: u64,
) -> io::Result<Option<Outcome>> {
    let (Decision::Compare, Some(object)) = (job.decision, &job.pair.object) else {
        return Ok(None);
    };
    let size = opened.stamp.size;
    let candidates: Vec<u64> = match part_count(&object.etag) {
        None => vec![0],
        Some(count) => digest::possible_part_sizes(size, count, part_size),
    };
    let mut etag = String::new();
    for candidate in candidates {
        let reader = opened.file.clone();
        etag = blocking(move || match candidate {
            0 => digest::of_range(&reader, 0, size).map(hex::encode),
            part_size => digest::composite_of(&reader, size, part_size),
        })
        .await?;
        if etag == object.etag {
            break;
        }
    }
    if !is_unchanged(&opened.file, opened.stamp) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(uploader.settled(job, opened.stamp, &etag))
}

/// Sends what is missing and completes the upload; `None` where the file changed meanwhile, or its
/// object came.
async fn upload(
    uploader: &Arc<Uploader>,
    job: &Job,
    opened: &Opened,
    part_size: u64,
) -> S3Result<Option<String>> {
    let client = &uploader.client;
    let key = &client.target().key(&job.file.path);
    let ranges: Vec<(u64, u64)> = digest::part_ranges(opened.stamp.size, part_size).collect();
    let (id, present) = match resumable(uploader, key, &ranges).await? {
        Some(found) => found,
        None => (
            begin(uploader, key, &opened.content_type).await?,
            Vec::new(),
        ),
    };
    let (id, present) = (&id, &present);
    let sends = stream::iter((1..).zip(ranges)).map(|(number, (offset, length))| async move {
        let _memory = uploader.stream_memory().await;
        let reader = opened.file.clone();
        // The part is read twice, the second time from the system's cache: the digest goes ahead.
        let md5 = blocking(move || digest::of_range(&reader, offset, length))
            .await
            .map_err(|e| S3Error::local(key, e))?;
        let etag = hex::encode(md5);
        let there = |part: &Part| part.number == number && part.etag == etag && part.size == length;
        if present.iter().any(there) {
            return Ok((CompletedPart { number, etag }, md5));
        }
        let body = Body::File {
            file: opened.file.clone(),
            offset,
            length,
        };
        let part = client.upload_part(key, id, number, body, md5).await?;
        Ok::<_, S3Error>((part, md5))
    });
    let sent: Vec<(CompletedPart, [u8; 16])> = sends.buffered(PARTS_AT_ONCE).try_collect().await?;
    // Its parts may be of two states of the file; and what Mastodon wrote under this key while they
    // were sent is not overwritten. Nobody will want them.
    if !is_unchanged(&opened.file, opened.stamp) || uploader.come_meanwhile(job).await?.is_some() {
        client.abort_multipart_upload(key, id).await?;
        remember(uploader, key, None).await?;
        return Ok(None);
    }
    let (parts, digests): (Vec<CompletedPart>, Vec<[u8; 16]>) = sent.into_iter().unzip();
    let expected = digest::composite(&digests);
    let etag = complete(uploader, (key, id), &parts, (opened.stamp.size, &expected)).await?;
    remember(uploader, key, None).await?;
    Ok(Some(etag))
}

/// Completes an upload. That a service answers with success is no proof: only its result is, or an
/// object of the right size and ETag.
async fn complete(
    uploader: &Uploader,
    (key, id): (&str, &str),
    parts: &[CompletedPart],
    (size, expected): (u64, &str),
) -> S3Result<String> {
    let client = &uploader.client;
    let mut tries = 1;
    loop {
        let error = match client.complete_multipart_upload(key, id, parts).await {
            // Every part was compared by its own digest; a service may have its own way to name the
            // whole, and what it says is what its listing will say.
            Ok(etag) => return Ok(etag),
            Err(e) => e,
        };
        // The answer was lost, or is not S3's: the object may be there all the same.
        let unclear =
            matches!(*error.kind, ErrorKind::Malformed(_)) || error.code() == Some("NoSuchUpload");
        if !unclear {
            return Err(error.after(tries - 1));
        }
        match client.head_object(key).await {
            Ok(head) if head.size == size && head.etag == expected => return Ok(head.etag),
            Ok(_) => {}
            Err(e) if e.is_not_found() => {}
            Err(e) => return Err(e.after(tries)),
        }
        if tries == TRIES || error.code().is_some() {
            return Err(error.after(tries - 1));
        }
        tries += 1;
    }
}

async fn begin(uploader: &Arc<Uploader>, key: &str, content_type: &str) -> S3Result<String> {
    let client = &uploader.client;
    let id = client
        .create_multipart_upload(key, content_type, Some(CACHE_CONTROL))
        .await?;
    remember(uploader, key, Some(&id)).await?;
    Ok(id)
}

/// Writes down which upload of `key` is ours, before anything is sent.
async fn remember(uploader: &Arc<Uploader>, key: &str, id: Option<&str>) -> S3Result<()> {
    let (journal, owned) = (uploader.journal.clone(), key.to_owned());
    let id = id.map(str::to_owned);
    blocking(move || {
        // Without it the next run begins anew, which costs the parts and loses nothing.
        let _ = journal.set_upload(&owned, id.as_deref());
        Ok(())
    })
    .await
    .map_err(|e| S3Error::local(key, e))
}

/// The upload of this key that an earlier run of ours began with parts of the same size, and what it
/// has. Uploads that others have begun are never looked at.
///
/// One that was begun with another part size is given up, so that its parts are not billed.
async fn resumable(
    uploader: &Arc<Uploader>,
    key: &str,
    ranges: &[(u64, u64)],
) -> S3Result<Option<(String, Vec<Part>)>> {
    let client = &uploader.client;
    let Some(id) = uploader.journal.upload(key) else {
        return Ok(None);
    };
    let parts = match client.list_parts(key, &id).await {
        Ok(parts) => parts,
        Err(e) if e.is_not_found() => return Ok(None),
        Err(e) => return Err(e),
    };
    let fits = |part: &Part| {
        (part.number as usize)
            .checked_sub(1)
            .and_then(|index| ranges.get(index))
            .is_some_and(|(_, length)| *length == part.size)
    };
    if parts.iter().all(fits) {
        return Ok(Some((id, parts)));
    }
    client.abort_multipart_upload(key, &id).await?;
    remember(uploader, key, None).await?;
    Ok(None)
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
