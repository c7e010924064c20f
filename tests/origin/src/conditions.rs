//! Whether a read's conditions hold, and which bytes it asks for.
//!
//! The order of the conditions is that of RFC 9110 section 13.2.2. Leaves to others: the answer's body.

use http::{HeaderMap, HeaderValue, StatusCode, header};
use s3s::dto::{ETag, ETagCondition, Range, Timestamp, TimestampFormat};
use s3s::{S3Error, S3Result, s3_error};

use super::records::ObjectRecord;

/// The conditions of one read.
#[derive(Debug, Default)]
pub struct Conditions {
    /// `If-Match`.
    pub if_match: Option<ETagCondition>,
    /// `If-None-Match`.
    pub if_none_match: Option<ETagCondition>,
    /// `If-Modified-Since`.
    pub if_modified_since: Option<Timestamp>,
    /// `If-Unmodified-Since`.
    pub if_unmodified_since: Option<Timestamp>,
}

/// What B2 answers as `Cache-Control` for an object that has none of its own.
pub const NO_CACHE: &str = "max-age=0, no-cache, no-store";

impl Conditions {
    /// Checks them against the object.
    ///
    /// # Errors
    /// `412 PreconditionFailed`, or `304 NotModified` with the object's validators.
    pub fn check(&self, object: &ObjectRecord) -> S3Result<()> {
        let tag = ETag::Strong(object.tag.text());
        let modified = Timestamp::from(object.modified_time());
        let matches = |condition: &ETagCondition| match condition {
            ETagCondition::Any => true,
            ETagCondition::ETag(wanted) => wanted.weak_cmp(&tag),
        };
        let holds = match (&self.if_match, &self.if_unmodified_since) {
            (Some(condition), _) => matches(condition),
            (None, Some(time)) => modified <= *time,
            (None, None) => true,
        };
        if !holds {
            return Err(s3_error!(
                PreconditionFailed,
                "At least one of the preconditions you specified did not hold."
            ));
        }
        let unchanged = match (&self.if_none_match, &self.if_modified_since) {
            (Some(condition), _) => matches(condition),
            (None, Some(time)) => modified <= *time,
            (None, None) => false,
        };
        if unchanged {
            Err(not_modified(object))
        } else {
            Ok(())
        }
    }
}

fn not_modified(object: &ObjectRecord) -> S3Error {
    let mut headers = HeaderMap::new();
    let cache_control = object
        .attributes
        .cache_control
        .as_deref()
        .unwrap_or(NO_CACHE);
    let fields = [
        (header::ETAG, format!("\"{}\"", object.tag.text())),
        (header::LAST_MODIFIED, http_date(object)),
        (header::CACHE_CONTROL, cache_control.to_owned()),
    ];
    for (name, value) in fields {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    let mut error = s3_error!(NotModified);
    error.set_status_code(StatusCode::NOT_MODIFIED);
    error.set_headers(headers);
    error
}

fn http_date(object: &ObjectRecord) -> String {
    let mut text = Vec::new();
    match Timestamp::from(object.modified_time()).format(TimestampFormat::HttpDate, &mut text) {
        Ok(()) => String::from_utf8_lossy(&text).into_owned(),
        Err(_) => String::new(),
    }
}

/// The bytes that `range` asks for, unless `If-Range` names another version.
///
/// # Errors
/// `416 InvalidRange` with `Content-Range: bytes */LENGTH`.
pub fn requested_bytes(
    range: Option<Range>,
    if_range: Option<&HeaderValue>,
    object: &ObjectRecord,
) -> S3Result<Option<std::ops::Range<u64>>> {
    let Some(range) = range else { return Ok(None) };
    if let Some(if_range) = if_range {
        let tag = format!("\"{}\"", object.tag.text());
        if if_range != tag.as_str() && if_range != http_date(object).as_str() {
            return Ok(None);
        }
    }
    range.check(object.size).map(Some).map_err(|_| {
        let mut error = s3_error!(InvalidRange, "The requested range is not satisfiable");
        error.set_headers(super::refusals::xml_headers_with(
            "content-range",
            &format!("bytes */{}", object.size),
        ));
        error
    })
}
