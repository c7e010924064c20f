//! S3's operations over the store: the trait of the protocol crate, one short method each.
//!
//! Leaves to others: reading and writing objects ([`super::objects`]), multipart uploads
//! ([`super::uploads`]), signatures and refused headers ([`super::access`]).

use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::listing::{self, PageRequest};
use super::refusals;
use super::store::{Bucket as StoredBucket, Store};
use super::{objects, uploads};

mod answers;

pub(super) use answers::encoder;
use answers::{entries, grants, owner, read_token};

/// The S3 service.
pub struct Service {
    /// The buckets.
    pub store: Arc<Store>,
    /// What `GetBucketLocation` answers.
    pub region: String,
    /// Bytes that every part of a multipart upload but the last must have.
    pub min_part_size: u64,
}

/// The most entries on one page of a listing.
const PAGE_LIMIT: i32 = 1000;

impl Service {
    /// The bucket of that name.
    ///
    /// # Errors
    /// `404 NoSuchBucket`.
    pub fn bucket(&self, name: &str) -> S3Result<&StoredBucket> {
        self.store
            .bucket(name)
            .ok_or_else(|| refusals::no_such_bucket(name))
    }
}

fn done<T>(output: T) -> S3Result<S3Response<T>> {
    Ok(S3Response::new(output))
}

#[async_trait::async_trait]
impl S3 for Service {
    async fn list_buckets(
        &self,
        _: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        let bucket = |bucket: &StoredBucket| Bucket {
            name: Some(bucket.name.clone()),
            creation_date: Some(Timestamp::default()),
            ..Bucket::default()
        };
        let buckets = self.store.buckets().map(bucket).collect();
        done(ListBucketsOutput {
            buckets: Some(buckets),
            owner: Some(owner()),
            ..ListBucketsOutput::default()
        })
    }

    async fn head_bucket(
        &self,
        req: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.bucket(&req.input.bucket)?;
        done(HeadBucketOutput::default())
    }

    async fn create_bucket(
        &self,
        req: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        match self.store.bucket(&req.input.bucket) {
            Some(_) => Err(s3_error!(
                BucketAlreadyOwnedByYou,
                "Bucket name is already in use"
            )),
            None => Err(s3_error!(AccessDenied, "not entitled")),
        }
    }

    async fn get_bucket_location(
        &self,
        req: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        self.bucket(&req.input.bucket)?;
        let location_constraint = Some(BucketLocationConstraint::from(self.region.clone()));
        done(GetBucketLocationOutput {
            location_constraint,
        })
    }

    async fn get_bucket_versioning(
        &self,
        req: S3Request<GetBucketVersioningInput>,
    ) -> S3Result<S3Response<GetBucketVersioningOutput>> {
        self.bucket(&req.input.bucket)?;
        let status = Some(BucketVersioningStatus::from_static(
            BucketVersioningStatus::ENABLED,
        ));
        done(GetBucketVersioningOutput {
            status,
            ..GetBucketVersioningOutput::default()
        })
    }

    async fn get_bucket_acl(
        &self,
        req: S3Request<GetBucketAclInput>,
    ) -> S3Result<S3Response<GetBucketAclOutput>> {
        let bucket = self.bucket(&req.input.bucket)?;
        done(GetBucketAclOutput {
            grants: Some(grants(bucket.visibility)),
            owner: Some(owner()),
        })
    }

    async fn get_object_acl(
        &self,
        req: S3Request<GetObjectAclInput>,
    ) -> S3Result<S3Response<GetObjectAclOutput>> {
        let bucket = self.bucket(&req.input.bucket)?;
        bucket
            .object(&req.input.key)
            .ok_or_else(refusals::no_such_key)?;
        let grants = Some(grants(bucket.visibility));
        done(GetObjectAclOutput {
            grants,
            owner: Some(owner()),
            ..GetObjectAclOutput::default()
        })
    }

    /// B2 takes it and changes nothing: who may read an object is the bucket's to say.
    async fn put_object_acl(
        &self,
        req: S3Request<PutObjectAclInput>,
    ) -> S3Result<S3Response<PutObjectAclOutput>> {
        let bucket = self.bucket(&req.input.bucket)?;
        bucket
            .object(&req.input.key)
            .ok_or_else(refusals::no_such_key)?;
        done(PutObjectAclOutput::default())
    }

    async fn list_objects_v2(
        &self,
        req: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        let after = match &input.continuation_token {
            Some(token) => read_token(token)?,
            None => input.start_after.clone().unwrap_or_default(),
        };
        let max_keys = input.max_keys.unwrap_or(PAGE_LIMIT).clamp(0, PAGE_LIMIT);
        let request = PageRequest {
            prefix: input.prefix.as_deref().unwrap_or(""),
            delimiter: input.delimiter.as_deref().unwrap_or(""),
            after: &after,
            limit: max_keys as usize,
        };
        let page = listing::page(bucket, request);
        let encode = encoder(input.encoding_type.as_ref());
        let next = page.next.as_ref().map(hex::encode);
        let (contents, common_prefixes) = entries(page, encode);
        done(ListObjectsV2Output {
            name: Some(input.bucket),
            prefix: Some(encode(input.prefix.as_deref().unwrap_or(""))),
            max_keys: Some(max_keys),
            key_count: Some((contents.len() + common_prefixes.len()) as i32),
            continuation_token: input.continuation_token,
            is_truncated: Some(next.is_some()),
            next_continuation_token: next,
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            delimiter: input.delimiter.as_deref().map(encode),
            start_after: input.start_after.as_deref().map(encode),
            encoding_type: input.encoding_type,
            ..ListObjectsV2Output::default()
        })
    }

    async fn list_objects(
        &self,
        req: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let input = req.input;
        let bucket = self.bucket(&input.bucket)?;
        let max_keys = input.max_keys.unwrap_or(PAGE_LIMIT).clamp(0, PAGE_LIMIT);
        let request = PageRequest {
            prefix: input.prefix.as_deref().unwrap_or(""),
            delimiter: input.delimiter.as_deref().unwrap_or(""),
            after: input.marker.as_deref().unwrap_or(""),
            limit: max_keys as usize,
        };
        let page = listing::page(bucket, request);
        let encode = encoder(input.encoding_type.as_ref());
        let next_marker = page.next.as_deref().map(encode);
        let (contents, common_prefixes) = entries(page, encode);
        done(ListObjectsOutput {
            name: Some(input.bucket),
            prefix: Some(encode(input.prefix.as_deref().unwrap_or(""))),
            marker: Some(encode(input.marker.as_deref().unwrap_or(""))),
            max_keys: Some(max_keys),
            is_truncated: Some(next_marker.is_some()),
            next_marker,
            contents: Some(contents),
            common_prefixes: Some(common_prefixes),
            delimiter: input.delimiter.as_deref().map(encode),
            encoding_type: input.encoding_type,
            ..ListObjectsOutput::default()
        })
    }

    async fn get_object(
        &self,
        req: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        objects::get(self.bucket(&req.input.bucket)?, req).await
    }

    async fn head_object(
        &self,
        req: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        objects::head(self.bucket(&req.input.bucket)?, req.input)
    }

    async fn put_object(
        &self,
        req: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        objects::put(self.bucket(&req.input.bucket)?, req.input).await
    }

    async fn copy_object(
        &self,
        req: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        objects::copy(self, req.input)
    }

    async fn delete_object(
        &self,
        req: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let bucket = self.bucket(&req.input.bucket)?;
        bucket
            .delete(&req.input.key)
            .map_err(|error| refusals::disk(&error))?;
        done(DeleteObjectOutput::default())
    }

    async fn delete_objects(
        &self,
        req: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let bucket = self.bucket(&req.input.bucket)?;
        let quiet = req.input.delete.quiet.unwrap_or(false);
        let mut deleted = Vec::new();
        for object in req.input.delete.objects {
            bucket
                .delete(&object.key)
                .map_err(|error| refusals::disk(&error))?;
            if !quiet {
                deleted.push(DeletedObject {
                    key: Some(object.key),
                    ..DeletedObject::default()
                });
            }
        }
        done(DeleteObjectsOutput {
            deleted: Some(deleted),
            ..DeleteObjectsOutput::default()
        })
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        done(uploads::create(self.bucket(&req.input.bucket)?, req.input)?)
    }

    async fn upload_part(
        &self,
        req: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        done(uploads::put_part(self.bucket(&req.input.bucket)?, req.input).await?)
    }

    async fn list_parts(
        &self,
        req: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        done(uploads::list_parts(
            self.bucket(&req.input.bucket)?,
            req.input,
        )?)
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        done(uploads::list(self.bucket(&req.input.bucket)?, req.input))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        done(uploads::complete(
            self.bucket(&req.input.bucket)?,
            req.input,
            self.min_part_size,
        )?)
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        uploads::abort(
            self.bucket(&req.input.bucket)?,
            &req.input.upload_id,
            &req.input.key,
        )?;
        done(AbortMultipartUploadOutput::default())
    }
}
