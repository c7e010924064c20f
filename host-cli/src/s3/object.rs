//! Operations on one object.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::Method;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, RANGE,
};
use hyper::body::Incoming;

use super::body::Body;
use super::client::{Client, UnsignedRequest};
use super::error::{ErrorKind, S3Error, S3Result};
use super::xml::bare_etag;

/// `Content-MD5` as a header.
pub(super) const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// An object to be stored in one request.
#[derive(Clone, Debug)]
pub struct PutRequest {
    /// The key, not encoded.
    pub key: String,
    /// The bytes.
    pub body: Body,
    /// MD5 of the bytes, sent as `Content-MD5` and compared with the returned ETag.
    pub md5: [u8; 16],
    /// `Content-Type`.
    pub content_type: String,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
}

/// Headers of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectHead {
    /// Bytes.
    pub size: u64,
    /// ETag without quotes: the MD5, or `…-N` of a multipart upload.
    pub etag: String,
    /// `Content-Type`.
    pub content_type: Option<String>,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
}

/// First and last byte to read, both included.
pub type ObjectRange = (u64, u64);

impl Client {
    /// Stores an object. The returned ETag was compared with the MD5: it proves what is stored.
    pub async fn put_object(&self, request: &PutRequest) -> S3Result<String> {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_MD5, md5_header(&request.md5));
        insert_text(&mut headers, CONTENT_TYPE, &request.content_type);
        if let Some(value) = &request.cache_control {
            insert_text(&mut headers, CACHE_CONTROL, value);
        }
        let unsigned = UnsignedRequest {
            method: Method::PUT,
            key: Some(&request.key),
            query: &[],
            headers,
            body: request.body.clone(),
        };
        let expected = hex::encode(request.md5);
        self.execute(unsigned, |response| {
            let etag = etag_of(&response.headers);
            if etag == expected {
                Ok(etag)
            } else {
                Err(ErrorKind::Mismatch {
                    sent: expected.clone(),
                    stored: etag,
                })
            }
        })
        .await
    }

    /// HEAD of an object. [`S3Error::is_not_found`] where there is none.
    pub async fn head_object(&self, key: &str) -> S3Result<ObjectHead> {
        let request = UnsignedRequest::new(Method::HEAD, Some(key));
        self.execute(request, |response| head_of(&response.headers))
            .await
    }

    /// Opens an object, or a range of it, for reading. The body is not retried.
    pub async fn get_object(
        &self,
        key: &str,
        range: Option<ObjectRange>,
    ) -> S3Result<(ObjectHead, Incoming)> {
        let mut request = UnsignedRequest::new(Method::GET, Some(key));
        if let Some((first, last)) = range {
            insert_text(
                &mut request.headers,
                RANGE,
                &format!("bytes={first}-{last}"),
            );
        }
        self.execute_streaming(request, |response| async {
            let head = head_of(response.headers())?;
            Ok((head, response.into_body()))
        })
        .await
    }

    /// Reads a whole object of at most `limit` bytes; a broken transfer is retried.
    pub async fn read_object(&self, key: &str, limit: u64) -> S3Result<(ObjectHead, Bytes)> {
        let request = UnsignedRequest::new(Method::GET, Some(key));
        self.execute(request, |response| {
            let head = head_of(&response.headers)?;
            if head.size > limit {
                return Err(ErrorKind::Malformed(format!(
                    "{} bytes where at most {limit} are expected",
                    head.size
                )));
            }
            Ok((head, response.body))
        })
        .await
    }

    /// Deletes an object. The service keeps its versions; that there is none is no error.
    pub async fn delete_object(&self, key: &str) -> S3Result<()> {
        self.execute(UnsignedRequest::new(Method::DELETE, Some(key)), |_| Ok(()))
            .await
            .or_else(|e: S3Error| {
                if e.code() == Some("NoSuchKey") {
                    Ok(())
                } else {
                    Err(e)
                }
            })
    }
}

pub(super) fn md5_header(md5: &[u8; 16]) -> HeaderValue {
    header_value(&BASE64.encode(md5))
}

/// `text` as a header value; `?` where it cannot be one.
fn header_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("?"))
}

pub(super) fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    headers.insert(name, header_value(text));
}

pub(super) fn etag_of(headers: &HeaderMap) -> String {
    bare_etag(&text_of(headers, &ETAG).unwrap_or_default())
}

fn text_of(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn head_of(headers: &HeaderMap) -> Result<ObjectHead, ErrorKind> {
    let size = text_of(headers, &CONTENT_LENGTH)
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| ErrorKind::Malformed("no `Content-Length`".to_owned()))?;
    Ok(ObjectHead {
        size,
        etag: etag_of(headers),
        content_type: text_of(headers, &CONTENT_TYPE),
        cache_control: text_of(headers, &CACHE_CONTROL),
    })
}
