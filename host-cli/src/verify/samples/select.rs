//! Selects the samples: random ones from a media directory or the bucket, or every file of a directory.
//!
//! Random selection walks neither of them whole, so its time does not depend on their size.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::{ExpectedContent, Sample};
use crate::config::LONGEST_KEY;
use crate::error::Result;
use crate::s3::{Client, ListRequest, S3Error};
use crate::tree::{self, TreeEntry};

/// Directories of Mastodon's media; samples come from each of them.
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
/// Random descents for each wanted sample.
const DESCENTS_PER_SAMPLE: usize = 20;

/// Prefixes of keys that the edge refuses by default.
const DENIED: [&str; 2] = ["backups/", "imports/"];

/// Up to `count` files of the tree at `directory`, of as many kinds as there are.
pub fn from_directory(directory: &Path, key_prefix: &str, count: usize) -> Vec<Sample> {
    let mut samples: Vec<Sample> = Vec::new();
    let is_private_tree = fs::metadata(directory).is_ok_and(|metadata| is_private(&metadata));
    for _ in 0..count * DESCENTS_PER_SAMPLE {
        let Some(path) = random_file(directory) else {
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
        // So Mastodon hides files of a suspended account, and `sync` does not upload them.
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
            expected: ExpectedContent::File(path),
        });
    }
    select_by_kind(samples, count)
}

/// Every file that `sync` uploads and the edge serves, in the order of keys, and the number of entries that
/// `sync` would skip.
///
/// # Errors
/// Fails where the directory cannot be walked.
pub fn every_file(directory: &Path, key_prefix: &str) -> Result<(Vec<Sample>, u64)> {
    let walk = tree::walk(&tree::WalkOptions {
        root: directory.to_owned(),
        prefix_length: key_prefix.len(),
        follow_links: false,
    })?;
    let mut samples = Vec::new();
    let mut skipped = 0;
    for entry in walk {
        let TreeEntry::File(file) = entry else {
            skipped += 1;
            continue;
        };
        let denied = DENIED.iter().any(|denied| file.path.starts_with(denied));
        if !denied && !file.hidden {
            samples.push(Sample {
                key: format!("{key_prefix}{}", file.path),
                size: file.stamp.size,
                expected: ExpectedContent::File(directory.join(&file.path)),
            });
        }
    }
    Ok((samples, skipped))
}

/// Whether only its owner may read it.
fn is_private(metadata: &fs::Metadata) -> bool {
    metadata.permissions().mode() & 0o077 == 0
}

/// A random file; none where the random path ends otherwise. Links are not followed.
fn random_file(directory: &Path) -> Option<PathBuf> {
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

/// Selects `count` samples, taking one of each kind of file in turn, so that rare kinds are included.
fn select_by_kind(mut samples: Vec<Sample>, count: usize) -> Vec<Sample> {
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

/// Up to `count` objects of the bucket, from each of Mastodon's directories.
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
        // Ids are split into directories of three digits: a random one is a random position.
        let start = format!("{prefix}{:03}", fastrand::u32(0..1000));
        let mut page = list(bucket, &prefix, Some(start)).await?;
        if page.is_empty() {
            page = list(bucket, &prefix, None).await?;
        }
        fastrand::shuffle(&mut page);
        samples.extend(select_by_kind(page, count));
    }
    fastrand::shuffle(&mut samples);
    Ok(select_by_kind(samples, count))
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
            expected: ExpectedContent::Md5(Some(object.etag).filter(|etag| !etag.contains('-'))),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_kinds_are_selected() {
        let sample = |key: String| Sample {
            key,
            size: 1,
            expected: ExpectedContent::Md5(None),
        };
        let mut many: Vec<Sample> = (0..100).map(|n| sample(format!("{n}.png"))).collect();
        many.push(sample("clip.mp4".to_owned()));
        let kept = select_by_kind(many, 5);
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
