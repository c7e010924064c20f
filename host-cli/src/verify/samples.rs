//! Existing media, read through the files domain and compared.
//!
//! Which files or objects are read is left to `select`.

mod select;

use std::fs;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use md5::{Digest, Md5};
use serde::Serialize;

pub use self::select::{every_file, from_bucket, from_directory};
use super::Domain;
use super::domain::LONGEST_BODY;
use crate::error::chain;
use crate::findings::Finding;
use crate::format::counted;
use crate::s3::Client;

/// Most files named in a finding.
const MOST_NAMED: usize = 3;

/// Concurrent reads.
const CONCURRENT_READS: usize = 8;

/// How many files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleCount {
    /// At most this many.
    UpTo(usize),
    /// Every file of a media directory.
    All,
}

impl Serialize for SampleCount {
    fn serialize<S: serde::Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        match self {
            Self::UpTo(count) => count.serialize(to),
            Self::All => to.serialize_str("all"),
        }
    }
}

impl std::str::FromStr for SampleCount {
    type Err = &'static str;

    fn from_str(text: &str) -> std::result::Result<Self, Self::Err> {
        match text {
            "all" => Ok(Self::All),
            text => text
                .parse()
                .map(Self::UpTo)
                .map_err(|_| "expected a number, or `all`"),
        }
    }
}

impl std::fmt::Display for SampleCount {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::UpTo(count) => count.fmt(f),
            Self::All => f.write_str("all"),
        }
    }
}

/// The expected content of a sample.
#[derive(Clone, Debug)]
enum ExpectedContent {
    /// The content of this local file.
    File(PathBuf),
    /// Content with this MD5; none where the ETag of the object is not an MD5.
    Md5(Option<String>),
}

/// An object to read.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its key.
    pub key: String,
    size: u64,
    expected: ExpectedContent,
}

/// The result of reading a sample.
#[derive(Clone, Debug, Serialize)]
pub struct SampleRead {
    /// Its key.
    pub key: String,
    /// Its address.
    pub url: String,
    /// The expected size in bytes.
    pub size: u64,
    /// `Content-Type` of the response.
    #[serde(rename = "type")]
    pub content_type: String,
    /// `X-Cache-Status` of the response.
    pub cache: String,
    /// How the response differs from the expected one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Reads each sample through the domain and compares it. `bucket_is_owned`: Mastodon writes to the bucket,
/// so that a local file may be out of date.
pub async fn read(
    domain: &Domain,
    bucket: &Client,
    bucket_is_owned: bool,
    samples: &[Sample],
) -> (Finding, Vec<SampleRead>) {
    let check = "samples";
    let mut reads = Vec::new();
    let mut responses = stream::iter(samples)
        .map(|sample| async move { (sample, read_one(domain, sample).await) })
        .buffered(CONCURRENT_READS);
    while let Some((sample, (read, body))) = responses.next().await {
        // Where Mastodon does not write to the bucket, the object must have the content of the local file.
        let may_change = bucket_is_owned || !matches!(sample.expected, ExpectedContent::File(_));
        if read.fault.is_none() || !may_change || !has_changed(bucket, sample, &body).await {
            reads.push(read);
        }
    }
    let faulty: Vec<&SampleRead> = reads.iter().filter(|read| read.fault.is_some()).collect();
    let finding = if reads.is_empty() {
        Finding::skipped(check, "the bucket has no media yet")
    } else if faulty.is_empty() {
        Finding::passed(
            check,
            format!(
                "{} read with the expected bytes",
                counted(reads.len() as u64, "file was", "files were")
            ),
        )
    } else {
        let named: Vec<String> = faulty
            .iter()
            .take(MOST_NAMED)
            .map(|read| format!("`{}` ({})", read.key, read.fault.as_deref().unwrap_or("")))
            .collect();
        Finding::failed(
            check,
            format!(
                "{} of {} files differ: {}",
                faulty.len(),
                reads.len(),
                named.join(", ")
            ),
            "run `medialift sync` again: it uploads files that are missing or differ",
        )
    };
    (finding, reads)
}

/// Whether a sample that differs was deleted or replaced in the bucket since it was selected.
async fn has_changed(bucket: &Client, sample: &Sample, body: &[u8]) -> bool {
    match bucket.head_object(&sample.key).await {
        Ok(head) => head.etag == hex::encode(Md5::digest(body)),
        Err(error) => error.is_not_found(),
    }
}

async fn read_one(domain: &Domain, sample: &Sample) -> (SampleRead, Bytes) {
    let url = domain.url.of(&sample.key);
    let mut read = SampleRead {
        key: sample.key.clone(),
        url: url.clone(),
        size: sample.size,
        content_type: String::new(),
        cache: String::new(),
        fault: None,
    };
    let whole = sample.size <= LONGEST_BODY as u64;
    let method = if whole {
        http::Method::GET
    } else {
        http::Method::HEAD
    };
    let response = match domain.send(method, &url, &[]).await {
        Ok(response) => response,
        Err(error) => {
            read.fault = Some(chain(&error));
            return (read, Bytes::new());
        }
    };
    read.content_type = response.header("content-type").unwrap_or_default();
    read.cache = response.header("x-cache-status").unwrap_or_default();
    let length = if whole {
        Some(response.body.len() as u64)
    } else {
        response
            .header("content-length")
            .and_then(|l| l.parse().ok())
    };
    read.fault = if response.status != StatusCode::OK {
        Some(format!("answered {}", response.status))
    } else if length != Some(sample.size) {
        Some(format!(
            "{} bytes instead of {}",
            length.unwrap_or(0),
            sample.size
        ))
    } else if whole {
        differs(&sample.expected, &response.body)
    } else {
        None
    };
    (read, response.body)
}

fn differs(expected: &ExpectedContent, body: &[u8]) -> Option<String> {
    match expected {
        ExpectedContent::File(path) => match fs::read(path) {
            Ok(bytes) if bytes == body => None,
            Ok(_) => Some("differs from the local file".to_owned()),
            Err(error) => Some(format!("the local file cannot be read: {error}")),
        },
        ExpectedContent::Md5(None) => None,
        ExpectedContent::Md5(Some(md5)) => (hex::encode(Md5::digest(body)) != *md5)
            .then(|| "differs from the object in the bucket".to_owned()),
    }
}
