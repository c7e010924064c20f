//! What a request is about: bucket, key and S3's name of the operation, read from method, path and query.
//!
//! It is read before the protocol crate sees the request, since faults apply and requests are counted
//! there. Leaves to others: whether the request is allowed or even well-formed.

use http::request::Parts;
use http::{HeaderMap, Method};
use percent_encoding::percent_decode_str;

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The first segment of the path; empty for the service itself.
    pub bucket: String,
    /// The rest of the path, decoded; empty for the bucket itself.
    pub key: String,
    /// S3's name of the operation, or `Unknown`.
    pub operation: &'static str,
}

impl Target {
    /// Reads it from a request.
    pub fn of(parts: &Parts) -> Self {
        let path = parts.uri.path();
        let (bucket, key) = path
            .strip_prefix('/')
            .unwrap_or(path)
            .split_once('/')
            .unwrap_or((&path[1..], ""));
        let key = percent_decode_str(key).decode_utf8_lossy().into_owned();
        let query = parts.uri.query().unwrap_or("");
        let operation = operation(&parts.method, bucket, &key, query, &parts.headers);
        Self {
            bucket: bucket.to_owned(),
            key,
            operation,
        }
    }
}

fn operation(
    method: &Method,
    bucket: &str,
    key: &str,
    query: &str,
    headers: &HeaderMap,
) -> &'static str {
    let asks = |name: &str| {
        query
            .split('&')
            .any(|pair| pair.split('=').next() == Some(name))
    };
    let copies = headers.contains_key("x-amz-copy-source");
    match (method.as_str(), bucket.is_empty(), key.is_empty()) {
        ("GET", true, _) => "ListBuckets",
        ("HEAD", false, true) => "HeadBucket",
        ("PUT", false, true) => "CreateBucket",
        ("DELETE", false, true) => "DeleteBucket",
        ("POST", false, true) if asks("delete") => "DeleteObjects",
        ("GET", false, true) if asks("uploads") => "ListMultipartUploads",
        ("GET", false, true) if asks("location") => "GetBucketLocation",
        ("GET", false, true) if asks("acl") => "GetBucketAcl",
        ("GET", false, true) if asks("versioning") => "GetBucketVersioning",
        ("GET", false, true) if query.contains("list-type=2") => "ListObjectsV2",
        ("GET", false, true) => "ListObjects",
        ("GET", false, false) if asks("uploadId") => "ListParts",
        ("GET", false, false) if asks("acl") => "GetObjectAcl",
        ("GET", false, false) => "GetObject",
        ("HEAD", false, false) => "HeadObject",
        ("PUT", false, false) if asks("uploadId") && copies => "UploadPartCopy",
        ("PUT", false, false) if asks("uploadId") => "UploadPart",
        ("PUT", false, false) if asks("acl") => "PutObjectAcl",
        ("PUT", false, false) if copies => "CopyObject",
        ("PUT", false, false) => "PutObject",
        ("POST", false, false) if asks("uploads") => "CreateMultipartUpload",
        ("POST", false, false) if asks("uploadId") => "CompleteMultipartUpload",
        ("DELETE", false, false) if asks("uploadId") => "AbortMultipartUpload",
        ("DELETE", false, false) => "DeleteObject",
        _ => "Unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, uri: &str, operation: &str, bucket: &str, key: &str) {
        let request = http::Request::builder()
            .method(method)
            .uri(uri)
            .body(())
            .expect("request");
        let target = Target::of(&request.into_parts().0);
        assert_eq!(
            (target.operation, &*target.bucket, &*target.key),
            (operation, bucket, key)
        );
    }

    #[test]
    fn the_operation_follows_from_method_path_and_query() {
        check("GET", "/", "ListBuckets", "", "");
        check(
            "GET",
            "/media?list-type=2&prefix=a%2F",
            "ListObjectsV2",
            "media",
            "",
        );
        check("GET", "/media/?list-type=2", "ListObjectsV2", "media", "");
        check("GET", "/media", "ListObjects", "media", "");
        check(
            "PUT",
            "/media/a%20b%2Bc/%C3%A9",
            "PutObject",
            "media",
            "a b+c/é",
        );
        check(
            "PUT",
            "/media/a?partNumber=1&uploadId=x",
            "UploadPart",
            "media",
            "a",
        );
        check(
            "POST",
            "/media/a?uploads",
            "CreateMultipartUpload",
            "media",
            "a",
        );
        check(
            "POST",
            "/media/a?uploads=",
            "CreateMultipartUpload",
            "media",
            "a",
        );
        check(
            "POST",
            "/media/a?uploadId=x",
            "CompleteMultipartUpload",
            "media",
            "a",
        );
        check(
            "DELETE",
            "/media/a?uploadId=x",
            "AbortMultipartUpload",
            "media",
            "a",
        );
        check("HEAD", "/media/a", "HeadObject", "media", "a");
        check("OPTIONS", "/media/a", "Unknown", "media", "a");
    }
}
