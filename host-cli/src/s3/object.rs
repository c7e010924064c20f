//! Operations on one object.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use futures_util::stream;
use http::Method;
use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, RANGE,
};
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};

use super::client::{Call, Client, Traffic};
use super::error::ErrorKind;
use super::patience::Life;
use super::transport::{LocalFailure, RequestBody};
use super::xml::bare_etag;
use super::{S3Error, S3Result};
use crate::buffers::Buffer;

/// `Content-MD5` as a header.
pub(super) const CONTENT_MD5: HeaderName = HeaderName::from_static("content-md5");

/// How much of a large file is read at a time.
const CHUNK: u64 = 256 * 1024;

/// How much of a small one, when it is sent again: as many as there are uploads may be under way.
const CHUNK_OF_SMALL: u64 = 32 * 1024;

/// What a request carries. Cheap to clone, so that a retry can send it again.
#[derive(Clone, Debug)]
pub enum Body {
    /// Nothing.
    Empty,
    /// Bytes in memory.
    Bytes(Bytes),
    /// Bytes that were read from a file: in memory only until they are on their way.
    Read(Arc<ReadBytes>),
    /// `length` bytes of an open file from `offset`, read while they are sent.
    File {
        /// The file; read by position, so that many may share it.
        file: Arc<File>,
        /// First byte.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
}

/// A file's bytes, whole, and the file. They are let go once they were handed to the connection, and
/// not kept until the answer comes; to be sent again, they are read again.
#[derive(Debug)]
pub struct ReadBytes {
    bytes: Mutex<Option<Bytes>>,
    file: Arc<File>,
    length: u64,
}

impl ReadBytes {
    /// `bytes` are all that is in `file`.
    pub fn new(bytes: Bytes, file: Arc<File>) -> Self {
        ReadBytes {
            length: bytes.len() as u64,
            bytes: Mutex::new(Some(bytes)),
            file,
        }
    }

    fn bytes(&self) -> std::sync::MutexGuard<'_, Option<Bytes>> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body {
    /// Whether the next copy to send comes out of memory.
    pub(super) fn is_in_memory(&self) -> bool {
        match self {
            Body::Empty | Body::Bytes(_) => true,
            Body::Read(read) => read.bytes().is_some(),
            Body::File { .. } => false,
        }
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Body::Empty => 0,
            Body::Bytes(bytes) => bytes.len() as u64,
            Body::Read(read) => read.length,
            Body::File { length, .. } => *length,
        }
    }

    /// A fresh copy to send, metered by `traffic`; `life` is told of each piece that is taken.
    pub(super) fn to_request(&self, traffic: &Arc<Traffic>, life: &Arc<Life>) -> RequestBody {
        match self {
            Body::Empty => Empty::new().map_err(|never| match never {}).boxed_unsync(),
            Body::Bytes(bytes) => from_memory(bytes.clone(), life),
            Body::Read(read) => match read.bytes().take() {
                Some(bytes) => from_memory(bytes, life),
                None => from_file(&read.file, (0, read.length), CHUNK_OF_SMALL, traffic, life),
            },
            Body::File {
                file,
                offset,
                length,
            } => from_file(file, (*offset, *length), CHUNK, traffic, life),
        }
    }
}

fn from_memory(bytes: Bytes, life: &Arc<Life>) -> RequestBody {
    if bytes.len() as u64 <= CHUNK {
        return Full::new(bytes)
            .map_err(|never| match never {})
            .boxed_unsync();
    }
    let life = life.clone();
    let pieces = stream::unfold(bytes, move |mut left| {
        let life = life.clone();
        async move {
            if left.is_empty() {
                return None;
            }
            life.moved();
            let piece = left.split_to(left.len().min(CHUNK as usize));
            Some((Ok(Frame::data(piece)), left))
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}

/// `part`: where it begins, and how many bytes it has.
fn from_file(
    file: &Arc<File>,
    part: (u64, u64),
    chunk: u64,
    traffic: &Arc<Traffic>,
    life: &Arc<Life>,
) -> RequestBody {
    let shared = (file.clone(), traffic.clone(), life.clone());
    let chunks = stream::try_unfold(part, move |(at, left)| {
        let (file, traffic, life) = shared.clone();
        async move {
            if left == 0 {
                return Ok(None);
            }
            let size = left.min(chunk);
            life.held_back();
            traffic.bytes.pass(size as f64).await;
            life.moved();
            let chunk = tokio::task::spawn_blocking(move || read_at(&file, at, size))
                .await
                .map_err(io::Error::other)?
                .map_err(|e| io::Error::other(LocalFailure(e)))?;
            traffic.count_sent(size);
            Ok(Some((Frame::data(chunk), (at + size, left - size))))
        }
    });
    StreamBody::new(chunks).boxed_unsync()
}

/// `size` bytes at `offset`; an error where the file ends before.
fn read_at(file: &File, offset: u64, size: u64) -> io::Result<Bytes> {
    let mut buffer = Buffer::of(usize::try_from(size).map_err(io::Error::other)?);
    file.read_exact_at(&mut buffer, offset)?;
    Ok(buffer.into_bytes())
}

/// An object to be stored in one request.
#[derive(Clone, Debug)]
pub struct PutRequest {
    /// The key, not encoded.
    pub key: String,
    /// The bytes.
    pub body: Body,
    /// MD5 of the bytes, sent as `Content-MD5` and compared with the answer's ETag.
    pub md5: [u8; 16],
    /// `Content-Type`.
    pub content_type: String,
    /// `Cache-Control`.
    pub cache_control: Option<String>,
}

/// What the service tells about an object.
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

/// First and last byte (included) to read.
pub type ObjectRange = (u64, u64);

impl Client {
    /// Stores an object; the answer's ETag is compared with the MD5, so no second look is needed.
    /// Returns the ETag.
    pub async fn put_object(&self, request: &PutRequest) -> S3Result<String> {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(CONTENT_MD5, md5_header(&request.md5));
        insert_text(&mut headers, CONTENT_TYPE, &request.content_type);
        if let Some(value) = &request.cache_control {
            insert_text(&mut headers, CACHE_CONTROL, value);
        }
        let call = Call {
            method: Method::PUT,
            key: Some(&request.key),
            query: &[],
            headers,
            body: request.body.clone(),
        };
        let expected = hex::encode(request.md5);
        self.call(call, |answer| {
            let etag = etag_of(&answer.headers);
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

    /// Looks at an object. [`S3Error::is_not_found`] tells that there is none.
    pub async fn head_object(&self, key: &str) -> S3Result<ObjectHead> {
        let call = Call::new(Method::HEAD, Some(key));
        self.call(call, |answer| head_of(&answer.headers)).await
    }

    /// Opens an object, or a range of it, for reading. The body is not retried.
    pub async fn get_object(
        &self,
        key: &str,
        range: Option<ObjectRange>,
    ) -> S3Result<(ObjectHead, Incoming)> {
        let mut call = Call::new(Method::GET, Some(key));
        if let Some((first, last)) = range {
            insert_text(&mut call.headers, RANGE, &format!("bytes={first}-{last}"));
        }
        self.send(call, |response| async {
            let head = head_of(response.headers())?;
            Ok((head, response.into_body()))
        })
        .await
    }

    /// Reads a whole object of at most `limit` bytes; a broken transfer is tried again.
    pub async fn read_object(&self, key: &str, limit: u64) -> S3Result<(ObjectHead, Bytes)> {
        let call = Call::new(Method::GET, Some(key));
        self.call(call, |answer| {
            let head = head_of(&answer.headers)?;
            if head.size > limit {
                return Err(ErrorKind::Malformed(format!(
                    "{} bytes where at most {limit} are expected",
                    head.size
                )));
            }
            Ok((head, answer.body))
        })
        .await
    }

    /// Deletes an object. The service keeps its versions; one that is not there is no error.
    pub async fn delete_object(&self, key: &str) -> S3Result<()> {
        self.call(Call::new(Method::DELETE, Some(key)), |_| Ok(()))
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
    insert_value(&BASE64.encode(md5))
}

/// A header value of `text`; letters that no header takes become `?`.
fn insert_value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static("?"))
}

pub(super) fn insert_text(headers: &mut HeaderMap, name: HeaderName, text: &str) {
    headers.insert(name, insert_value(text));
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
