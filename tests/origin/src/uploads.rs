//! Multipart uploads. The parts stay the files they arrived as; completing only names them in order.
//!
//! Leaves to others: whole objects ([`super::objects`]).

use md5::{Digest, Md5};
use s3s::dto::*;
use s3s::{S3Error, S3Result, s3_error};

use super::objects::{announced_md5, receive, sorted, without_aws_chunked};
use super::records::{Attributes, EntityTag, ObjectRecord, Upload, UploadedPart, now_millis};
use super::refusals;
use super::service::encoder;
use super::store::Bucket;

/// Part numbers go from 1 to this.
const MOST_PARTS: i32 = 10_000;

fn upload_of(bucket: &Bucket, upload: &str, key: &str) -> S3Result<Upload> {
    bucket
        .upload(upload, key)
        .ok_or_else(refusals::no_such_upload)
}

/// `CreateMultipartUpload`.
///
/// # Errors
/// `500 InternalError` when the disk refuses.
pub fn create(
    bucket: &Bucket,
    input: CreateMultipartUploadInput,
) -> S3Result<CreateMultipartUploadOutput> {
    let attributes = bucket.shared(Attributes {
        content_type: input.content_type,
        cache_control: input.cache_control,
        content_disposition: input.content_disposition,
        content_encoding: input.content_encoding.and_then(without_aws_chunked),
        content_language: input.content_language,
        metadata: sorted(input.metadata),
    });
    let upload = bucket
        .begin_upload(&input.key, attributes)
        .map_err(|error| refusals::disk(&error))?;
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(upload),
        ..CreateMultipartUploadOutput::default()
    })
}

/// `UploadPart`.
///
/// # Errors
/// As S3 has them; a refused part leaves nothing behind.
pub async fn put_part(bucket: &Bucket, input: UploadPartInput) -> S3Result<UploadPartOutput> {
    upload_of(bucket, &input.upload_id, &input.key)?;
    if !(1..=MOST_PARTS).contains(&input.part_number) {
        return Err(s3_error!(
            InvalidArgument,
            "Part number must be an integer between 1 and 10000, inclusive"
        ));
    }
    let announced_md5 = announced_md5(input.content_md5.as_deref())?;
    let received = receive(bucket, input.body, input.content_length, announced_md5).await?;
    let tag = EntityTag::of_md5(received.md5);
    let part = UploadedPart {
        piece: received.piece,
        tag,
        modified: now_millis(),
    };
    bucket
        .put_part(&input.upload_id, input.part_number as u32, part)
        .map_err(|error| refusals::disk(&error))?;
    Ok(UploadPartOutput {
        e_tag: Some(ETag::Strong(tag.text())),
        ..UploadPartOutput::default()
    })
}

/// `ListParts`.
///
/// # Errors
/// `404 NoSuchUpload`.
pub fn list_parts(bucket: &Bucket, input: ListPartsInput) -> S3Result<ListPartsOutput> {
    let upload = upload_of(bucket, &input.upload_id, &input.key)?;
    let marker = input.part_number_marker.unwrap_or(0);
    let limit = input.max_parts.unwrap_or(1000).clamp(0, 1000);
    let mut parts = upload
        .parts
        .range(marker.max(0) as u32 + 1..)
        .map(|(number, part)| Part {
            part_number: Some(*number as i32),
            size: Some(part.piece.size as i64),
            e_tag: Some(ETag::Strong(part.tag.text())),
            last_modified: Some(timestamp(part.modified)),
            ..Part::default()
        });
    let page: Vec<_> = parts.by_ref().take(limit as usize).collect();
    let truncated = limit > 0 && parts.next().is_some();
    Ok(ListPartsOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        max_parts: Some(limit),
        part_number_marker: Some(marker),
        next_part_number_marker: page.last().and_then(|part| part.part_number),
        is_truncated: Some(truncated),
        parts: Some(page),
        ..ListPartsOutput::default()
    })
}

/// `ListMultipartUploads`.
pub fn list(bucket: &Bucket, input: ListMultipartUploadsInput) -> ListMultipartUploadsOutput {
    let prefix = input.prefix.as_deref().unwrap_or("");
    let limit = input.max_uploads.unwrap_or(1000).clamp(0, 1000);
    let after = (
        input.key_marker.clone().unwrap_or_default(),
        input.upload_id_marker.clone().unwrap_or_default(),
    );
    let follows = |id: &str, key: &str| match (after.0.as_str(), after.1.as_str()) {
        ("", _) => true,
        (after_key, "") => key > after_key,
        (after_key, after_id) => (key, id) > (after_key, after_id),
    };
    let mut found = bucket
        .uploads()
        .into_iter()
        .filter(|(id, upload)| upload.key.starts_with(prefix) && follows(id, &upload.key));
    let page: Vec<_> = found.by_ref().take(limit as usize).collect();
    let truncated = limit > 0 && found.next().is_some();
    let last = page.last().filter(|_| truncated);
    let encode = encoder(input.encoding_type.as_ref());
    ListMultipartUploadsOutput {
        next_key_marker: last.map(|(_, upload)| encode(&upload.key)),
        next_upload_id_marker: last.map(|(id, _)| id.clone()),
        bucket: Some(input.bucket),
        prefix: input.prefix.as_deref().map(encode),
        key_marker: Some(encode(&after.0)),
        upload_id_marker: Some(after.1),
        max_uploads: Some(limit),
        is_truncated: Some(truncated),
        encoding_type: input.encoding_type,
        uploads: Some(
            page.into_iter()
                .map(|(id, upload)| MultipartUpload {
                    key: Some(encode(&upload.key)),
                    upload_id: Some(id),
                    initiated: Some(timestamp(upload.started)),
                    ..MultipartUpload::default()
                })
                .collect(),
        ),
        ..ListMultipartUploadsOutput::default()
    }
}

/// `CompleteMultipartUpload`. The entity tag is the MD5 of the parts' MD5s, a dash, and their number.
///
/// # Errors
/// `400 InvalidPart`, `400 InvalidPartOrder`, `400 EntityTooSmall`, `404 NoSuchUpload`.
pub fn complete(
    bucket: &Bucket,
    input: CompleteMultipartUploadInput,
    min_part_size: u64,
) -> S3Result<CompleteMultipartUploadOutput> {
    let upload = upload_of(bucket, &input.upload_id, &input.key)?;
    let named = input
        .multipart_upload
        .and_then(|upload| upload.parts)
        .unwrap_or_default();
    if named.is_empty() {
        return Err(s3_error!(
            MalformedXML,
            "You must specify at least one part"
        ));
    }
    let mut pieces = Vec::with_capacity(named.len());
    let mut digest = Md5::new();
    let mut last_number = 0;
    for (position, part) in named.iter().enumerate() {
        let number = part
            .part_number
            .and_then(|number| u32::try_from(number).ok())
            .unwrap_or(0);
        if number <= last_number {
            return Err(s3_error!(
                InvalidPartOrder,
                "The list of parts was not in ascending order."
            ));
        }
        last_number = number;
        let stored = upload
            .parts
            .get(&number)
            .ok_or_else(|| invalid_part(number))?;
        if part
            .e_tag
            .as_ref()
            .is_none_or(|tag| tag.value() != stored.tag.text())
        {
            return Err(invalid_part(number));
        }
        if stored.piece.size < min_part_size && position + 1 < named.len() {
            return Err(s3_error!(
                EntityTooSmall,
                "Part number {number} is smaller than the minimum of {min_part_size} bytes"
            ));
        }
        digest.update(stored.tag.md5);
        pieces.push(stored.piece);
    }
    let object = ObjectRecord {
        size: pieces.iter().map(|piece| piece.size).sum(),
        tag: EntityTag {
            md5: digest.finalize().into(),
            parts: named.len() as u32,
        },
        modified: now_millis(),
        pieces: pieces.into_boxed_slice(),
        attributes: upload.attributes,
    };
    let (e_tag, version_id) = (ETag::Strong(object.tag.text()), object.version_id());
    bucket
        .complete_upload(&input.upload_id, &input.key, object)
        .map_err(|error| refusals::disk(&error))?;
    Ok(CompleteMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(e_tag),
        version_id: Some(version_id),
        ..CompleteMultipartUploadOutput::default()
    })
}

/// `AbortMultipartUpload`.
///
/// # Errors
/// `404 NoSuchUpload`.
pub fn abort(bucket: &Bucket, upload: &str, key: &str) -> S3Result<()> {
    upload_of(bucket, upload, key)?;
    bucket
        .abort_upload(upload)
        .map_err(|error| refusals::disk(&error))
}

fn invalid_part(number: u32) -> S3Error {
    s3_error!(
        InvalidPart,
        "Part number {number} was not found, or its entity tag is another"
    )
}

fn timestamp(millis: u64) -> Timestamp {
    Timestamp::from(std::time::UNIX_EPOCH + std::time::Duration::from_millis(millis))
}
