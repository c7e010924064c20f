//! A large file in many parts: the upload of an earlier run is resumed, each part is compared by its digest,
//! and the whole by the service's result or by a HEAD of the object.

use std::io;
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::attempts::Attempts;
use super::content::CACHE_CONTROL;
use super::digest;
use super::job::{Attempt, Job, OpenedFile, UploadOutcome, blocking, is_unchanged};
use super::uploader::{NextStep, ObjectNow, Uploader};
use crate::decide::{Decision, part_count};
use crate::journal::Recorded;
use crate::s3::{Body, CompletedPart, ErrorKind, Part, S3Error, S3Result};

/// Parts that the service takes at most.
const MAX_PARTS: u64 = 10_000;

/// Parts of one file that are digested or sent at a time.
const PARTS_AT_ONCE: usize = 4;

/// Decides by the content where that is needed, and sends what is to be sent.
pub(super) async fn send_in_parts(
    uploader: &Arc<Uploader>,
    job: &Job,
    opened: OpenedFile,
    attempts: &mut Attempts,
) -> Attempt {
    let _permit = uploader.multipart_files.acquire().await;
    let part_size = part_size(opened.stamp.size, uploader.options.multipart.part_size);
    match compare(uploader, job, &opened, part_size).await {
        Ok(NextStep::Finish(outcome)) => return Attempt::Finished(outcome),
        Ok(NextStep::Send) => {}
        Err(e) => return Attempt::unreadable(job, &e),
    }
    let bytes = opened.stamp.size;
    if uploader.options.dry_run {
        let record = None;
        return Attempt::Finished(UploadOutcome::Uploaded { bytes, record });
    }
    match uploader.object_now(job).await {
        Ok(ObjectNow::AsListed) => {}
        Ok(ObjectNow::Appeared(now)) => match compare(uploader, &now, &opened, part_size).await {
            Ok(NextStep::Finish(outcome)) => return Attempt::Finished(outcome),
            Ok(NextStep::Send) => {}
            Err(e) => return Attempt::unreadable(job, &e),
        },
        Err(e) => return Attempt::Finished(UploadOutcome::Failed(Box::new(e))),
    }
    match upload(uploader, job, &opened, part_size, attempts).await {
        Ok(Some(etag)) => Attempt::Finished(UploadOutcome::Uploaded {
            bytes,
            record: Recorded::same(opened.stamp, &etag),
        }),
        Ok(None) => Attempt::FileChanged(None),
        Err(e) if !e.ends_the_run() && !is_unchanged(&opened.file, opened.stamp) => {
            Attempt::FileChanged(None)
        }
        Err(e) => Attempt::of(UploadOutcome::Failed(Box::new(e))),
    }
}

/// The configured part size, or more where 10,000 of these parts would not be enough.
fn part_size(size: u64, configured: u64) -> u64 {
    configured.max(size.div_ceil(MAX_PARTS))
}

/// Reads the file and decides by its content, where the job asks for that.
async fn compare(
    uploader: &Uploader,
    job: &Job,
    opened: &OpenedFile,
    part_size: u64,
) -> io::Result<NextStep> {
    let (Decision::Compare, Some(object)) = (job.decision, &job.pair.object) else {
        return Ok(NextStep::Send);
    };
    let size = opened.stamp.size;
    // `None`: the object was sent whole.
    let candidates: Vec<Option<u64>> = match part_count(&object.etag) {
        None => vec![None],
        Some(count) => digest::possible_part_sizes(size, count, part_size)
            .into_iter()
            .map(Some)
            .collect(),
    };
    let mut etag = String::new();
    for candidate in candidates {
        let reader = opened.file.clone();
        etag = blocking(move || match candidate {
            None => digest::of_range(&reader, 0, size).map(hex::encode),
            Some(part_size) => digest::composite_of(&reader, size, part_size),
        })
        .await?;
        if etag == object.etag {
            break;
        }
    }
    if !is_unchanged(&opened.file, opened.stamp) {
        // As of a file that has become shorter: `Attempt::unreadable` takes it for a change.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(uploader.decide_by_content(job, opened.stamp, &etag))
}

/// Sends the missing parts and completes the upload. `None`: the file changed during that, or
/// an object appeared under its key, and nothing was stored.
async fn upload(
    uploader: &Arc<Uploader>,
    job: &Job,
    opened: &OpenedFile,
    part_size: u64,
    attempts: &mut Attempts,
) -> S3Result<Option<String>> {
    let client = &uploader.client;
    let key = &client.target().key(&job.file.path);
    let ranges: Vec<(u64, u64)> = digest::part_ranges(opened.stamp.size, part_size).collect();
    let (id, present) = match resumable_upload(uploader, key, &ranges).await? {
        Some(found) => found,
        None => (
            create_upload(uploader, key, &opened.content_type).await?,
            Vec::new(),
        ),
    };
    let (id, present) = (&id, &present);
    let sends = stream::iter((1..).zip(ranges)).map(|(number, (offset, length))| async move {
        let _memory = uploader.stream_memory().await;
        let reader = opened.file.clone();
        // `Content-MD5` comes before the body, so a part is read twice: the second time from the page
        // cache.
        let md5 = blocking(move || digest::of_range(&reader, offset, length))
            .await
            .map_err(|e| S3Error::local(key, e))?;
        let etag = hex::encode(md5);
        let is_this =
            |part: &Part| part.number == number && part.etag == etag && part.size == length;
        if present.iter().any(is_this) {
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
    // The parts may be of two versions of the file; and what Mastodon wrote under this key while they
    // were sent must not be overwritten.
    if !is_unchanged(&opened.file, opened.stamp)
        || matches!(uploader.object_now(job).await?, ObjectNow::Appeared(_))
    {
        client.abort_multipart_upload(key, id).await?;
        record_upload(uploader, key, None).await?;
        return Ok(None);
    }
    let (parts, digests): (Vec<CompletedPart>, Vec<[u8; 16]>) = sent.into_iter().unzip();
    let expected = digest::composite(&digests);
    let object = (opened.stamp.size, &*expected);
    let etag = complete_upload(uploader, (key, id), &parts, object, attempts).await?;
    record_upload(uploader, key, None).await?;
    Ok(Some(etag))
}

/// Completes an upload. Status 200 proves nothing, only S3's result in the body does, or an object of
/// the expected size and ETag.
async fn complete_upload(
    uploader: &Uploader,
    (key, id): (&str, &str),
    parts: &[CompletedPart],
    (size, expected): (u64, &str),
    attempts: &mut Attempts,
) -> S3Result<String> {
    let client = &uploader.client;
    loop {
        let error = match client.complete_multipart_upload(key, id, parts).await {
            // Each part was compared by its own digest. The composite ETag is the service's to choose:
            // it is what its listing will show.
            Ok(etag) => return Ok(etag),
            Err(e) => e,
        };
        // The result was lost or is not S3's: the object may be there.
        let no_such_upload = error.code() == Some("NoSuchUpload");
        if !no_such_upload && !matches!(*error.kind, ErrorKind::Malformed(_)) {
            return Err(error);
        }
        match client.head_object(key).await {
            Ok(head) if head.size == size && head.etag == expected => return Ok(head.etag),
            Ok(_) => {}
            Err(e) if e.is_not_found() => {}
            // The request to complete it counts: it may have stored the object.
            Err(e) => return Err(e.after(1)),
        }
        if no_such_upload || !attempts.next().await {
            return Err(error);
        }
    }
}

/// Begins an upload and records it as this run's.
async fn create_upload(
    uploader: &Arc<Uploader>,
    key: &str,
    content_type: &str,
) -> S3Result<String> {
    let client = &uploader.client;
    let id = client
        .create_multipart_upload(key, content_type, Some(CACHE_CONTROL))
        .await?;
    record_upload(uploader, key, Some(&id)).await?;
    Ok(id)
}

/// Records the upload of `key` in the journal, so that a later run resumes it; `None` removes it.
async fn record_upload(uploader: &Arc<Uploader>, key: &str, id: Option<&str>) -> S3Result<()> {
    let (journal, owned) = (uploader.journal.clone(), key.to_owned());
    let id = id.map(str::to_owned);
    blocking(move || {
        // Where it cannot be written, the next run sends all parts again and loses nothing.
        let _ = journal.set_upload(&owned, id.as_deref());
        Ok(())
    })
    .await
    .map_err(|e| S3Error::local(key, e))
}

/// The upload of `key` that an earlier run has recorded, with the parts it has. Uploads of other
/// clients are never touched.
///
/// One of another part size is aborted, so that its parts are not billed.
async fn resumable_upload(
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
    record_upload(uploader, key, None).await?;
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_larger_where_ten_thousand_would_not_be_enough() {
        assert_eq!(part_size(100 << 20, 16 << 20), 16 << 20);
        let size = 400_u64 << 30;
        assert!(size.div_ceil(part_size(size, 16 << 20)) <= MAX_PARTS);
    }
}
