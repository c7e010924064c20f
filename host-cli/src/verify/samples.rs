//! Media that is in the bucket already, read through the files domain.
//!
//! Chosen at random from the local tree, whose bytes are then the standard, or from the bucket,
//! whose size and ETag are. Neither is walked whole: a tree of millions is sampled as fast as one
//! of a hundred.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::StatusCode;
use md5::{Digest, Md5};
use serde::Serialize;

use super::Domain;
use super::domain::LONGEST_BODY;
use crate::config::LONGEST_KEY;
use crate::error::Result;
use crate::findings::{Finding, chain};
use crate::s3::{Client, ListRequest, S3Error};
use crate::tree::{self, Entry};

/// Where Mastodon keeps media: a few of each are looked at.
const FOLDERS: [&str; 11] = [
    "media_attachments/files/",
    "accounts/avatars/",
    "accounts/headers/",
    "custom_emojis/images/",
    "preview_cards/images/",
    "site_uploads/files/",
    "cache/media_attachments/files/",
    "cache/accounts/avatars/",
    "cache/accounts/headers/",
    "cache/custom_emojis/images/",
    "cache/preview_cards/images/",
];
const DESCENTS_PER_SAMPLE: usize = 20;
const MOST_NAMED: usize = 3;

/// Keys that the edge refuses by default, and that Mastodon serves to nobody.
const DENIED: [&str; 2] = ["backups/", "imports/"];

/// Reads at a time.
const READS_AT_ONCE: usize = 8;

/// How many files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleCount {
    /// At most so many.
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

/// What the bytes must be.
#[derive(Clone, Debug)]
enum Standard {
    /// Those of this file.
    File(PathBuf),
    /// Of this MD5, where the ETag is one.
    Md5(Option<String>),
}

/// One object to be read.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its key.
    pub key: String,
    size: u64,
    standard: Standard,
}

/// What came of reading it.
#[derive(Clone, Debug, Serialize)]
pub struct Read {
    /// Its key.
    pub key: String,
    /// Its address.
    pub url: String,
    /// Bytes, as the standard has them.
    pub size: u64,
    /// `Content-Type` of the answer.
    #[serde(rename = "type")]
    pub content_type: String,
    /// `X-Cache-Status` of the answer.
    pub cache: String,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
}

/// Up to `count` files of the tree at `directory`, videos and pictures among them if there are any.
pub fn from_directory(directory: &Path, key_prefix: &str, count: usize) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let is_private_tree = fs::metadata(directory).is_ok_and(|metadata| is_private(&metadata));
    for _ in 0..count * DESCENTS_PER_SAMPLE {
        let Some(path) = descend(directory) else {
            continue;
        };
        let Some(relative) = path.strip_prefix(directory).ok().and_then(Path::to_str) else {
            continue;
        };
        let key = format!("{key_prefix}{relative}");
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        let denied = DENIED.iter().any(|denied| relative.starts_with(denied));
        // Mastodon hides a suspended account's files so, and `sync` leaves them out.
        let hidden = !is_private_tree && is_private(&metadata);
        if denied
            || hidden
            || key.len() > LONGEST_KEY
            || !metadata.is_file()
            || samples.iter().any(|s| s.key == key)
        {
            continue;
        }
        samples.push(Sample {
            key,
            size: metadata.len(),
            standard: Standard::File(path),
        });
    }
    thin_out(samples, count)
}

/// Every file of the tree that `sync` uploads and the edge serves, in the order of its key, and how many
/// entries are none that can be read and uploaded.
///
/// # Errors
/// Fails where the directory cannot be walked.
pub fn every_file(directory: &Path, key_prefix: &str) -> Result<(Vec<Sample>, usize)> {
    let walk = tree::walk(&tree::Options {
        root: directory.to_owned(),
        prefix_length: key_prefix.len(),
        follow_links: false,
    })?;
    let mut samples = Vec::new();
    let mut skipped = 0;
    for entry in walk {
        let Entry::File(file) = entry else {
            skipped += 1;
            continue;
        };
        let denied = DENIED.iter().any(|denied| file.path.starts_with(denied));
        if !denied && !file.hidden {
            samples.push(Sample {
                key: format!("{key_prefix}{}", file.path),
                size: file.stamp.size,
                standard: Standard::File(directory.join(&file.path)),
            });
        }
    }
    Ok((samples, skipped))
}

/// Whether only its owner may read it.
fn is_private(metadata: &fs::Metadata) -> bool {
    metadata.permissions().mode() & 0o077 == 0
}

/// One random way down the tree, to a file or a dead end. Links are not followed.
fn descend(directory: &Path) -> Option<PathBuf> {
    let mut at = directory.to_owned();
    loop {
        let entries: Vec<_> = fs::read_dir(&at).ok()?.filter_map(Result::ok).collect();
        let entry = fastrand::choice(&entries)?;
        at = entry.path();
        let kind = entry.file_type().ok()?;
        if kind.is_file() {
            return Some(at);
        }
        if !kind.is_dir() {
            return None;
        }
    }
}

/// Keeps `count`, each kind of file in its turn, so that rare kinds are not lost among the many.
fn thin_out(mut samples: Vec<Sample>, count: usize) -> Vec<Sample> {
    let kind = |key: &str| key.rsplit_once('.').map_or("", |(_, end)| end).to_owned();
    let mut kept: Vec<Sample> = Vec::new();
    while kept.len() < count && !samples.is_empty() {
        let mut round: Vec<String> = Vec::new();
        samples.retain(|sample| {
            let kind = kind(&sample.key);
            if kept.len() < count && !round.contains(&kind) {
                round.push(kind);
                kept.push(sample.clone());
                return false;
            }
            true
        });
    }
    kept
}

/// Up to `count` objects of the bucket, some of each of Mastodon's folders.
pub async fn from_bucket(
    bucket: &Client,
    count: usize,
) -> std::result::Result<Vec<Sample>, S3Error> {
    let key_prefix = &bucket.target().key_prefix;
    let mut samples = Vec::new();
    let folders = FOLDERS.iter().map(|folder| format!("{key_prefix}{folder}"));
    for prefix in folders.chain([key_prefix.clone()]) {
        if prefix == *key_prefix && samples.len() >= count {
            break;
        }
        // Ids are spread over three-digit folders: a random one is a random place in them.
        let start = format!("{prefix}{:03}", fastrand::u32(0..1000));
        let mut page = list(bucket, &prefix, Some(start)).await?;
        if page.is_empty() {
            page = list(bucket, &prefix, None).await?;
        }
        fastrand::shuffle(&mut page);
        samples.extend(thin_out(page, count));
    }
    fastrand::shuffle(&mut samples);
    Ok(thin_out(samples, count))
}

async fn list(
    bucket: &Client,
    prefix: &str,
    start_after: Option<String>,
) -> std::result::Result<Vec<Sample>, S3Error> {
    let request = ListRequest {
        prefix: prefix.to_owned(),
        start_after,
        ..ListRequest::default()
    };
    let page = bucket.list(&request).await?;
    let hidden = |key: &str| {
        ["backups/", "imports/", "medialift-probe"]
            .iter()
            .any(|part| key.contains(part))
    };
    Ok(page
        .objects
        .into_iter()
        .filter(|object| !hidden(&object.key))
        .map(|object| Sample {
            key: object.key,
            size: object.size,
            // The ETag of an upload in parts is not an MD5.
            standard: Standard::Md5(Some(object.etag).filter(|etag| !etag.contains('-'))),
        })
        .collect())
}

/// Reads each sample through the domain and holds it against its standard. `bucket_is_owned`:
/// Mastodon writes and deletes in the bucket, so a local file may be out of date.
pub async fn read(
    domain: &Domain,
    bucket: &Client,
    bucket_is_owned: bool,
    samples: &[Sample],
) -> (Finding, Vec<Read>) {
    let check = "samples";
    let mut reads = Vec::new();
    let mut answers = stream::iter(samples)
        .map(|sample| async move { (sample, read_one(domain, sample).await) })
        .buffered(READS_AT_ONCE);
    while let Some((sample, (read, body))) = answers.next().await {
        // A file is the standard while Mastodon does not write to the bucket.
        let may_change = bucket_is_owned || !matches!(sample.standard, Standard::File(_));
        if read.fault.is_none() || !may_change || !has_changed(bucket, sample, &body).await {
            reads.push(read);
        }
    }
    let faulty: Vec<&Read> = reads.iter().filter(|read| read.fault.is_some()).collect();
    let finding = if reads.is_empty() {
        Finding::skipped(check, "there is no media in the bucket yet")
    } else if faulty.is_empty() {
        Finding::passed(
            check,
            format!(
                "{} files of yours read, every byte as it should be",
                reads.len()
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
                "{} of {} files are not as they should be: {}",
                faulty.len(),
                reads.len(),
                named.join(", ")
            ),
            "run `medialift sync` once more: it sends what is missing or differs",
        )
    };
    (finding, reads)
}

/// Whether a sample that is not as expected was deleted or replaced in the bucket meanwhile.
async fn has_changed(bucket: &Client, sample: &Sample, body: &[u8]) -> bool {
    match bucket.head_object(&sample.key).await {
        Ok(head) => head.etag == hex::encode(Md5::digest(body)),
        Err(error) => error.is_not_found(),
    }
}

async fn read_one(domain: &Domain, sample: &Sample) -> (Read, Bytes) {
    let url = domain.url.of(&sample.key);
    let mut read = Read {
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
    let answer = match domain.send(method, &url, &[]).await {
        Ok(answer) => answer,
        Err(error) => {
            read.fault = Some(chain(&error));
            return (read, Bytes::new());
        }
    };
    read.content_type = answer.header("content-type").unwrap_or_default();
    read.cache = answer.header("x-cache-status").unwrap_or_default();
    let length = if whole {
        Some(answer.body.len() as u64)
    } else {
        answer.header("content-length").and_then(|l| l.parse().ok())
    };
    read.fault = if answer.status != StatusCode::OK {
        Some(format!("answered {}", answer.status))
    } else if length != Some(sample.size) {
        Some(format!(
            "{} bytes instead of {}",
            length.unwrap_or(0),
            sample.size
        ))
    } else if whole {
        differs(&sample.standard, &answer.body)
    } else {
        None
    };
    (read, answer.body)
}

fn differs(standard: &Standard, body: &[u8]) -> Option<String> {
    match standard {
        Standard::File(path) => match fs::read(path) {
            Ok(bytes) if bytes == body => None,
            Ok(_) => Some("other bytes than the local file".to_owned()),
            Err(error) => Some(format!("the local file cannot be read: {error}")),
        },
        Standard::Md5(None) => None,
        Standard::Md5(Some(md5)) => (hex::encode(Md5::digest(body)) != *md5)
            .then(|| "other bytes than the bucket lists".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_kinds_are_kept_among_many() {
        let sample = |key: String| Sample {
            key,
            size: 1,
            standard: Standard::Md5(None),
        };
        let mut many: Vec<Sample> = (0..100).map(|n| sample(format!("{n}.png"))).collect();
        many.push(sample("clip.mp4".to_owned()));
        let kept = thin_out(many, 5);
        assert_eq!(kept.len(), 5);
        assert!(kept.iter().any(|s| s.key == "clip.mp4"));
    }

    #[test]
    fn a_directory_is_sampled_without_links_and_archives() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        for name in ["accounts/avatars/1.png", "backups/dumps/1.zip"] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        std::os::unix::fs::symlink("/etc", root.join("link")).unwrap();
        let keys: Vec<String> = from_directory(root, "p/", 10)
            .into_iter()
            .map(|s| s.key)
            .collect();
        assert_eq!(keys, ["p/accounts/avatars/1.png"]);
    }

    #[test]
    fn all_files_are_those_that_sync_uploads_and_the_edge_serves() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        fs::set_permissions(root, fs::Permissions::from_mode(0o755)).unwrap();
        for name in [
            "a/2.png",
            "a.png",
            "backups/1.zip",
            "imports/1.csv",
            "hidden.png",
        ] {
            let path = root.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, name).unwrap();
        }
        let hidden = fs::Permissions::from_mode(0o600);
        fs::set_permissions(root.join("hidden.png"), hidden).unwrap();
        std::os::unix::fs::symlink("a.png", root.join("link.png")).unwrap();
        let (samples, skipped) = every_file(root, "p/").unwrap();
        assert_eq!(skipped, 1, "the link");
        let keys: Vec<&str> = samples.iter().map(|sample| sample.key.as_str()).collect();
        assert_eq!(keys, ["p/a.png", "p/a/2.png"]);
        assert!(every_file(&root.join("nothing"), "").is_err());
    }
}
