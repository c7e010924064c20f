//! Reading, writing and copying whole objects.
//!
//! Leaves to others: multipart uploads ([`super::uploads`]).

use std::collections::BTreeMap;
use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::header;
use s3s::dto::*;
use s3s::{S3Request, S3Response, S3Result, s3_error};

use super::conditions::{Conditions, NO_CACHE, requested_bytes};
use super::content::{ReceiveError, Received};
use super::records::{Attributes, EntityTag, ObjectRecord, now_millis};
use super::refusals;
use super::service::Service;
use super::store::Bucket;

/// B2 takes 5 GB in one piece; what is larger has to come in parts.
const MOST_AT_ONCE: i64 = 5_000_000_000;

/// `GetObject`.
///
/// # Errors
/// As S3 has them.
pub async fn get(
    bucket: &Bucket,
    req: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let input = req.input;
    let conditions = Conditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    // An overwrite between the look-up and the open of the file takes the file away: look again.
    for _ in 0..16 {
        let object = bucket
            .object(&input.key)
            .ok_or_else(refusals::no_such_key)?;
        conditions.check(&object)?;
        let part = requested_bytes(input.range, req.headers.get(header::IF_RANGE), &object)?;
        let bytes = part.clone().unwrap_or(0..object.size);
        match bucket.content.read(&object.pieces, bytes.clone()).await {
            Ok(body) => {
                let content_range = part
                    .map(|part| format!("bytes {}-{}/{}", part.start, part.end - 1, object.size));
                let described = describe(&object);
                return Ok(S3Response::new(GetObjectOutput {
                    body: Some(body),
                    content_length: Some((bytes.end - bytes.start) as i64),
                    content_range,
                    accept_ranges: described.accept_ranges,
                    cache_control: described.cache_control,
                    content_disposition: described.content_disposition,
                    content_encoding: described.content_encoding,
                    content_language: described.content_language,
                    content_type: described.content_type,
                    e_tag: described.e_tag,
                    last_modified: described.last_modified,
                    metadata: described.metadata,
                    version_id: described.version_id,
                    ..GetObjectOutput::default()
                }));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(s3_error!(
                    error,
                    InternalError,
                    "The object's bytes could not be read"
                ));
            }
        }
    }
    Err(s3_error!(InternalError, "The object's bytes are not there"))
}

/// `HeadObject`.
///
/// # Errors
/// As S3 has them.
pub fn head(bucket: &Bucket, input: HeadObjectInput) -> S3Result<S3Response<HeadObjectOutput>> {
    let object = bucket
        .object(&input.key)
        .ok_or_else(refusals::no_such_key)?;
    let conditions = Conditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    conditions.check(&object)?;
    Ok(S3Response::new(describe(&object)))
}

fn describe(object: &ObjectRecord) -> HeadObjectOutput {
    let attributes = &object.attributes;
    let content_type = attributes
        .content_type
        .clone()
        .unwrap_or_else(|| "application/octet-stream".to_owned());
    HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: Some(object.size as i64),
        content_type: Some(content_type),
        cache_control: Some(
            attributes
                .cache_control
                .clone()
                .unwrap_or_else(|| NO_CACHE.to_owned()),
        ),
        content_disposition: attributes.content_disposition.clone(),
        content_encoding: attributes.content_encoding.clone(),
        content_language: attributes.content_language.clone(),
        e_tag: Some(ETag::Strong(object.tag.text())),
        last_modified: Some(Timestamp::from(object.modified_time())),
        metadata: Some(attributes.metadata.clone().into_iter().collect()),
        version_id: Some(object.version_id()),
        ..HeadObjectOutput::default()
    }
}

/// `PutObject`.
///
/// # Errors
/// As S3 has them; `500 InternalError` when the disk refuses. A refused object leaves nothing behind.
pub async fn put(bucket: &Bucket, input: PutObjectInput) -> S3Result<S3Response<PutObjectOutput>> {
    if input
        .content_length
        .is_some_and(|length| length > MOST_AT_ONCE)
    {
        return Err(s3_error!(
            EntityTooLarge,
            "Your proposed upload exceeds the maximum allowed object size."
        ));
    }
    let announced_md5 = announced_md5(input.content_md5.as_deref())?;
    let received = receive(bucket, input.body, input.content_length, announced_md5).await?;
    let attributes = bucket.shared(Attributes {
        content_type: input.content_type,
        cache_control: input.cache_control,
        content_disposition: input.content_disposition,
        content_encoding: input.content_encoding.and_then(without_aws_chunked),
        content_language: input.content_language,
        metadata: sorted(input.metadata),
    });
    let object = ObjectRecord {
        size: received.piece.size,
        tag: EntityTag::of_md5(received.md5),
        modified: now_millis(),
        pieces: Box::new([received.piece]),
        attributes,
    };
    let (e_tag, version_id) = (ETag::Strong(object.tag.text()), object.version_id());
    bucket
        .put(&input.key, object)
        .map_err(|error| refusals::disk(&error))?;
    Ok(S3Response::new(PutObjectOutput {
        e_tag: Some(e_tag),
        version_id: Some(version_id),
        ..PutObjectOutput::default()
    }))
}

/// `CopyObject`, within the origin. The bytes are linked, not copied.
///
/// # Errors
/// As S3 has them.
pub fn copy(service: &Service, input: CopyObjectInput) -> S3Result<S3Response<CopyObjectOutput>> {
    let CopySource::Bucket {
        bucket: source_bucket,
        key: source_key,
        ..
    } = &input.copy_source
    else {
        return Err(s3_error!(
            NotImplemented,
            "Only objects of a bucket can be copied"
        ));
    };
    let source_bucket = service.bucket(source_bucket)?;
    let source = source_bucket
        .object(source_key)
        .ok_or_else(refusals::no_such_key)?;
    let bucket = service.bucket(&input.bucket)?;
    if !std::ptr::eq(source_bucket, bucket) {
        return Err(s3_error!(
            NotImplemented,
            "Objects can be copied within one bucket only"
        ));
    }
    let replaces = input
        .metadata_directive
        .as_ref()
        .is_some_and(|directive| directive.as_str() == MetadataDirective::REPLACE);
    let attributes = if replaces {
        bucket.shared(Attributes {
            content_type: input.content_type,
            cache_control: input.cache_control,
            content_disposition: input.content_disposition,
            content_encoding: input.content_encoding,
            content_language: input.content_language,
            metadata: sorted(input.metadata),
        })
    } else {
        source.attributes.clone()
    };
    let link = |piece| bucket.content.link(piece);
    let pieces = source
        .pieces
        .iter()
        .copied()
        .map(link)
        .collect::<io::Result<_>>();
    let pieces = pieces.map_err(|error| refusals::disk(&error))?;
    let object = ObjectRecord {
        modified: now_millis(),
        pieces,
        attributes,
        ..source
    };
    let result = CopyObjectResult {
        e_tag: Some(ETag::Strong(object.tag.text())),
        last_modified: Some(Timestamp::from(object.modified_time())),
        ..CopyObjectResult::default()
    };
    let version_id = object.version_id();
    bucket
        .put(&input.key, object)
        .map_err(|error| refusals::disk(&error))?;
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(result),
        version_id: Some(version_id),
        ..CopyObjectOutput::default()
    }))
}

/// Stores a body and checks it against what the client said of it.
///
/// # Errors
/// `400 BadDigest`, `400 IncompleteBody`, `500 InternalError`.
pub(super) async fn receive(
    bucket: &Bucket,
    body: Option<StreamingBlob>,
    announced: Option<i64>,
    announced_md5: Option<[u8; 16]>,
) -> S3Result<Received> {
    let announced = announced.and_then(|length| u64::try_from(length).ok());
    let received = bucket
        .content
        .receive(body, announced, announced_md5)
        .await
        .map_err(|error| match error {
            ReceiveError::Body(source) => {
                let mut error =
                    s3_error!(IncompleteBody, "The request body terminated unexpectedly");
                error.set_source(source);
                error
            }
            ReceiveError::Disk(error) => refusals::disk(&error),
            ReceiveError::Length {
                announced,
                received,
            } => {
                s3_error!(
                    IncompleteBody,
                    "The request body has {received} bytes, not the {announced} announced"
                )
            }
        })?;
    if announced_md5.is_some_and(|announced| announced != received.md5) {
        bucket.content.remove(received.piece.id);
        return Err(s3_error!(
            BadDigest,
            "The Content-MD5 you specified did not match what we received."
        ));
    }
    Ok(received)
}

/// Reads a `Content-MD5` header.
///
/// # Errors
/// `400 InvalidDigest`.
pub(super) fn announced_md5(header: Option<&str>) -> S3Result<Option<[u8; 16]>> {
    let Some(text) = header else { return Ok(None) };
    let bytes = BASE64_STANDARD.decode(text).ok();
    match bytes.and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()) {
        Some(md5) => Ok(Some(md5)),
        None => Err(s3_error!(
            InvalidDigest,
            "The Content-MD5 you specified is not valid."
        )),
    }
}

/// Metadata in a fixed order.
pub(super) fn sorted(metadata: Option<Metadata>) -> BTreeMap<String, String> {
    metadata.unwrap_or_default().into_iter().collect()
}

/// `aws-chunked` says how the request was sent, not what the object is.
pub(super) fn without_aws_chunked(encoding: String) -> Option<String> {
    let kept: Vec<_> = encoding
        .split(',')
        .map(str::trim)
        .filter(|name| *name != "aws-chunked")
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}
