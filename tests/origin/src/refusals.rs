//! B2's refusals: the codes and words that its S3 interface answers with.
//!
//! The words are those that users report from the real service; what could not be found is marked so.
//! Leaves to others: when they apply.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use s3s::{S3Error, S3ErrorCode, s3_error};

/// The object is not there.
pub fn no_such_key() -> S3Error {
    s3_error!(NoSuchKey, "Key not found")
}

/// The bucket is not there.
pub fn no_such_bucket(name: &str) -> S3Error {
    s3_error!(NoSuchBucket, "The specified bucket does not exist: {name}")
}

/// The upload is not there, any more or at all.
pub fn no_such_upload() -> S3Error {
    s3_error!(NoSuchUpload, "No active upload for this upload id")
}

/// An account id used where an application key id belongs.
pub fn master_key() -> S3Error {
    s3_error!(InvalidAccessKeyId, "Malformed Access Key Id")
}

/// A key that is revoked, of another region or made up.
pub fn invalid_key(id: &str) -> S3Error {
    s3_error!(InvalidAccessKeyId, "The key '{id}' is not valid")
}

/// A read without a signature of a bucket that is not public.
pub fn not_authorized(bucket: &str) -> S3Error {
    let mut error = s3_error!(UnauthorizedAccess, "bucket is not authorized: {bucket}");
    error.set_status_code(StatusCode::UNAUTHORIZED);
    error
}

/// Anything else without a signature.
pub fn access_denied() -> S3Error {
    s3_error!(AccessDenied, "Access Denied")
}

/// A header that B2 does not know and therefore refuses.
pub fn unsupported_header(name: &str) -> S3Error {
    s3_error!(
        InvalidArgument,
        "Unsupported header '{name}' received for this API call."
    )
}

/// A canned ACL that is not the bucket's own.
pub fn unsupported_acl(acl: &str) -> S3Error {
    s3_error!(InvalidArgument, "Unsupported value for canned acl '{acl}'")
}

/// Too many requests, or the server that would take them is busy.
pub fn slow_down(retry_after: Option<u64>) -> S3Error {
    let mut error = s3_error!(SlowDown, "no tomes available");
    error.set_status_code(StatusCode::SERVICE_UNAVAILABLE);
    if let Some(seconds) = retry_after {
        error.set_headers(xml_headers_with("retry-after", &seconds.to_string()));
    }
    error
}

/// Something broke.
pub fn internal_error() -> S3Error {
    s3_error!(
        InternalError,
        "An internal error occurred.  Please retry your upload."
    )
}

/// A daily cap is used up. The words on the S3 side could not be confirmed.
pub fn cap_exceeded(operation: &str) -> S3Error {
    let what = match operation {
        "GetObject" | "HeadObject" => "download bandwidth or transaction (Class B)",
        "PutObject"
        | "UploadPart"
        | "CreateMultipartUpload"
        | "CompleteMultipartUpload"
        | "CopyObject" => "storage",
        _ => "transaction (Class C)",
    };
    s3_error!(
        AccessDenied,
        "Cannot complete the request, {what} cap exceeded. See the Caps & Alerts page to increase your cap."
    )
}

/// The client's clock is more than 15 minutes off.
pub fn skewed_clock() -> S3Error {
    s3_error!(
        RequestTimeTooSkewed,
        "The difference between the request time and the server's time is too large."
    )
}

/// The disk of the origin refused.
pub fn disk(error: &std::io::Error) -> S3Error {
    S3Error::with_message(
        S3ErrorCode::InternalError,
        format!("The object was not stored: {error}"),
    )
}

/// `S3Error::set_headers` replaces all of an answer's headers: the type of the body has to be in it.
pub fn xml_headers_with(name: &'static str, value: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(
        http::header::CONTENT_TYPE,
        HeaderValue::from_static("application/xml"),
    );
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(HeaderName::from_static(name), value);
    }
    headers
}
