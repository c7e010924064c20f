//! Who may do what: application keys, anonymous readers, and the request headers that B2 refuses.
//!
//! The protocol crate checks the signature itself. Leaves to others: everything after it.

use std::collections::BTreeMap;
use std::sync::Arc;

use s3s::S3Result;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};

use super::refusals;
use super::store::{Store, Visibility};

/// The application keys: id to secret.
pub struct Keys(pub BTreeMap<String, SecretKey>);

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, id: &str) -> S3Result<SecretKey> {
        if id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(refusals::master_key());
        }
        self.0
            .get(id)
            .cloned()
            .ok_or_else(|| refusals::invalid_key(id))
    }
}

/// B2's rules of access.
pub struct Rules(pub Arc<Store>);

#[async_trait::async_trait]
impl S3Access for Rules {
    async fn check(&self, request: &mut S3AccessContext<'_>) -> S3Result<()> {
        let bucket = request
            .s3_path()
            .get_bucket_name()
            .and_then(|name| self.0.bucket(name));
        let operation = request.s3_op().name();
        if request.credentials().is_none() {
            let reads = matches!(operation, "GetObject" | "HeadObject");
            let name = request.s3_path().get_bucket_name().unwrap_or_default();
            return match bucket.map(|bucket| bucket.visibility) {
                Some(Visibility::Public) if reads => Ok(()),
                Some(Visibility::Private) if reads => Err(refusals::not_authorized(name)),
                _ => Err(refusals::access_denied()),
            };
        }
        let headers = request.headers();
        for (name, value) in headers {
            let name = name.as_str();
            let refused = name.starts_with("x-amz-checksum-")
                || matches!(
                    name,
                    "x-amz-sdk-checksum-algorithm" | "x-amz-trailer" | "x-amz-tagging"
                )
                || (matches!(name, "if-match" | "if-none-match") && writes(operation));
            if refused {
                return Err(refusals::unsupported_header(name));
            }
            if name == "x-amz-acl" {
                let fitting = match bucket.map(|bucket| bucket.visibility) {
                    Some(Visibility::Public) => "public-read",
                    Some(Visibility::Private) | None => "private",
                };
                if value != fitting {
                    return Err(refusals::unsupported_acl(
                        value.to_str().unwrap_or_default(),
                    ));
                }
            }
        }
        Ok(())
    }
}

fn writes(operation: &str) -> bool {
    matches!(
        operation,
        "PutObject" | "CompleteMultipartUpload" | "CopyObject" | "UploadPart"
    )
}
