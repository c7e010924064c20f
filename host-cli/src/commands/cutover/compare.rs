//! Compares every local file with the bucket, before a cutover.
//!
//! Each file is read and its MD5 compared with the listed ETag. Where that is no digest of the file, the
//! object is downloaded.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;

use crate::decide::{Compare, Conflict, Decision, decide_read};
use crate::directory_and_bucket::DirectoryAndBucket;
use crate::error::{Error, Result};
use crate::pairs::{Pair, Pairs};
use crate::progress::Progress;
use crate::prove::{self, Comparison};
use crate::reported::ReportedPaths;
use crate::s3::{Client, ListedObject};
use crate::tree::{self, LocalFile, SkipReason, TreeEntry, walk};

const MISSING: &str = "the bucket does not have it";

/// Result of a comparison.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Compared {
    /// Files that the bucket has, by size and MD5.
    pub(super) same: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Files that Mastodon has deleted in the bucket since they were uploaded.
    pub(super) deleted_in_bucket: u64,
    /// Files that Mastodon has replaced in the bucket since they were uploaded.
    pub(super) replaced_in_bucket: u64,
    /// Files that Mastodon has hidden and `sync` does not upload: they stay on the disk.
    pub(super) hidden: ReportedPaths,
    /// Files that were deleted during the comparison.
    pub(super) vanished: u64,
    /// Files that are not in the bucket, or differ there, or could not be compared.
    pub(super) different: ReportedPaths,
    /// Those of them that `sync` would upload.
    pub(super) to_send: u64,
    /// Entries that no bucket can hold: links, sockets, names that are not UTF-8.
    pub(super) not_uploadable: ReportedPaths,
}

impl Compared {
    /// All files.
    pub(super) fn total(&self) -> u64 {
        self.same
            + self.deleted_in_bucket
            + self.replaced_in_bucket
            + self.hidden.count
            + self.different.count
            + self.not_uploadable.count
    }

    fn skip(&mut self, path: &str, reason: SkipReason, detail: Option<&str>) {
        let text = detail.map_or_else(|| reason.to_string(), |error| format!("{reason}: {error}"));
        match reason {
            SkipReason::Vanished | SkipReason::Missing => self.vanished += 1,
            SkipReason::Unreadable | SkipReason::UnreadableDirectory | SkipReason::Changing => {
                self.different.add(path, text);
            }
            _ => self.not_uploadable.add(path, text),
        }
    }

    /// Counts a file by its decision. `reason`: how it differs from its object.
    fn add(&mut self, pair: &Pair, decision: Decision, reason: impl Into<String>) {
        match decision {
            Decision::DeletedInBucket if prove::is_as_uploaded(pair) => self.deleted_in_bucket += 1,
            Decision::DeletedInBucket | Decision::Send(_) | Decision::Conflict(Conflict::NoJournal)
                if pair.file().is_some_and(|file| file.hidden) =>
            {
                self.hidden.add(&pair.path, "its mode hides it, as Mastodon does with files of suspended accounts");
            }
            Decision::DeletedInBucket => self.different.add(
                &pair.path,
                "it was changed after it was uploaded, and the bucket does not have it",
            ),
            Decision::Send(_) => {
                self.to_send += 1;
                self.different.add(&pair.path, reason);
            }
            Decision::Conflict(Conflict::BucketOwns) if DirectoryAndBucket::was_replaced_in_bucket(pair) => {
                self.replaced_in_bucket += 1;
            }
            Decision::Conflict(Conflict::NoJournal) => self.different.add(
                &pair.path,
                "the bucket does not have it, and no journal shows whether Mastodon deleted it there",
            ),
            Decision::Conflict(_) => self.different.add(&pair.path, reason),
            Decision::Same => {
                self.same += 1;
                self.bytes += pair.file_size();
            }
            Decision::Skip(reason) => {
                let detail = match &pair.local {
                    Some(TreeEntry::Skipped(skipped)) => skipped.detail.as_deref(),
                    _ => None,
                };
                self.skip(&pair.path, reason, detail);
            }
            Decision::OnlyInBucket
            | Decision::Delete
            | Decision::Gone
            | Decision::Hidden
            | Decision::Compare => {}
        }
    }
}

/// Compares every file with the bucket.
///
/// # Errors
/// Where the directory or the bucket cannot be listed.
pub(super) async fn compare(
    media: &DirectoryAndBucket,
    concurrency: usize,
    progress: &Progress,
) -> Result<Compared> {
    compare_pairs(media, media.pairs()?, concurrency, progress).await
}

/// The same for files that were written since `begin` (nanoseconds since 1970).
pub(super) async fn compare_written_since(
    media: &DirectoryAndBucket,
    begin: i64,
    concurrency: usize,
    progress: &Progress,
) -> Result<Compared> {
    let walk_options = media.walk_options();
    let written = tokio::task::spawn_blocking(move || written_since(&walk_options, begin));
    let written = written
        .await
        .map_err(|e| Error::new("read the media directory").cause(e))??;
    if written.is_empty() {
        return Ok(Compared::default());
    }
    compare_pairs(media, media.pairs_of(written)?, concurrency, progress).await
}

/// Paths of all entries that were written since `begin`.
fn written_since(options: &tree::WalkOptions, begin: i64) -> Result<Vec<OsString>> {
    /// The kernel's clock has steps of a few milliseconds: a slightly earlier time counts too.
    const TICK: i64 = 10_000_000;
    let changed = |entry: &TreeEntry| match entry {
        TreeEntry::File(file) => file.stamp.changed,
        // A name that is not UTF-8 is not found by its shown form. The first comparison has reported it.
        TreeEntry::Skipped(skipped) => {
            let path = options.root.join(skipped.path.trim_end_matches('/'));
            fs::symlink_metadata(path).map_or(0, |there| {
                there.ctime() * 1_000_000_000 + there.ctime_nsec()
            })
        }
    };
    Ok(walk(options)?
        .filter(|entry| changed(entry) >= begin - TICK)
        .map(|entry| OsString::from(entry.path().trim_end_matches('/')))
        .collect())
}

async fn compare_pairs(
    media: &DirectoryAndBucket,
    mut pairs: Pairs,
    concurrency: usize,
    progress: &Progress,
) -> Result<Compared> {
    let mut compared = Compared::default();
    let mut running = FuturesUnordered::new();
    while let Some(pair) = pairs.next().await? {
        match media.decide(&pair, Compare::Read) {
            Decision::Compare => running.push(compare_pair(media, pair)),
            decision => compared.add(&pair, decision, difference(&pair)),
        }
        while running.len() >= concurrency {
            if let Some(done) = running.next().await {
                add_compared(media, &mut compared, progress, done);
            }
        }
    }
    while let Some(done) = running.next().await {
        add_compared(media, &mut compared, progress, done);
    }
    compared.different.sort();
    compared.hidden.sort();
    compared.not_uploadable.sort();
    Ok(compared)
}

/// How file and object differ without being read.
fn difference(pair: &Pair) -> String {
    match &pair.object {
        None => MISSING.to_owned(),
        Some(object) => prove::size_differs(pair.file_size(), object.size),
    }
}

type ComparedPair = (Pair, Result<Comparison, String>);

async fn compare_pair(media: &DirectoryAndBucket, pair: Pair) -> ComparedPair {
    let comparison = match (pair.file(), &pair.object) {
        (Some(file), Some(object)) => compare_file(&media.client, file, object).await,
        _ => Ok(Comparison::Differs(MISSING.to_owned())),
    };
    (pair, comparison)
}

fn add_compared(
    media: &DirectoryAndBucket,
    compared: &mut Compared,
    progress: &Progress,
    done: ComparedPair,
) {
    let (pair, comparison) = done;
    progress.done(pair.file_size());
    let (same, reason) = match comparison {
        Ok(Comparison::Same) => (true, String::new()),
        Ok(Comparison::Gone) => {
            compared.vanished += 1;
            return;
        }
        Ok(Comparison::Differs(reason)) => (false, reason),
        Ok(Comparison::Unclear) => (false, "its content could not be compared".to_owned()),
        // Not known to differ: no decision applies.
        Err(reason) => {
            compared.different.add(&pair.path, reason);
            return;
        }
    };
    let decision = decide_read(
        &pair,
        same,
        &media.owner,
        media.decision_options(Compare::Read),
    );
    compared.add(&pair, decision, reason);
}

/// Whether the object has the file's bytes.
async fn compare_file(
    client: &Client,
    file: &LocalFile,
    object: &ListedObject,
) -> Result<Comparison, String> {
    let cannot = |e: std::io::Error| format!("the local file cannot be read: {e}");
    let size = file.stamp.size;
    let opened = match file.open_unchanged() {
        Ok(opened) => Arc::new(opened),
        Err(_) if file.is_gone() => return Ok(Comparison::Gone),
        Err(e) => return Err(cannot(e)),
    };
    let comparison = prove::by_etag(opened.clone(), size, object.size, object.etag.clone())
        .await
        .map_err(cannot)?;
    let comparison = match comparison {
        Comparison::Unclear => prove::by_reading(client, &object.key, opened, size)
            .await
            .map_err(|e| e.to_string())?,
        clear => clear,
    };
    match file.check_unchanged() {
        Ok(()) => Ok(comparison),
        Err(_) if file.is_gone() => Ok(Comparison::Gone),
        Err(e) => Err(cannot(e)),
    }
}
