//! Every local file against the bucket: the proof that a cutover needs.
//!
//! Each file is read and its MD5 compared with the listed ETag; an object without one is read whole.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;

use crate::decide::{Compare, Conflict, Decision, decide_read};
use crate::error::{Error, Result};
use crate::named::NamedPaths;
use crate::pairs::{Pair, Pairs};
use crate::progress::Progress;
use crate::prove::{self, Verdict};
use crate::s3::Client;
use crate::sides::Sides;
use crate::tree::{self, Entry, LocalFile, SkipReason, walk};

const MISSING: &str = "the bucket does not have it";

/// Outcome of a compare.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Compared {
    /// Files that the bucket has, byte for byte as far as the MD5 tells.
    pub(super) same: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Files that Mastodon has deleted in the bucket since they were uploaded: nothing is missing.
    pub(super) deleted_there: u64,
    /// Files that Mastodon has replaced in the bucket since they were uploaded.
    pub(super) replaced_there: u64,
    /// Files that Mastodon has hidden and `sync` leaves out: they stay on the disk.
    pub(super) hidden: NamedPaths,
    /// Files that were gone when their turn came.
    pub(super) vanished: u64,
    /// Files that are not in the bucket, or differ there, or could not be compared.
    pub(super) different: NamedPaths,
    /// Those of them that `sync` would send.
    pub(super) to_send: u64,
    /// Entries that no bucket can hold: links, sockets, names that are not UTF-8.
    pub(super) not_for_buckets: NamedPaths,
}

impl Compared {
    /// Files of every kind.
    pub(super) fn total(&self) -> u64 {
        self.same
            + self.deleted_there
            + self.replaced_there
            + self.hidden.count
            + self.different.count
            + self.not_for_buckets.count
    }

    fn skip(&mut self, path: &str, reason: SkipReason, detail: Option<&str>) {
        let words = detail.map_or_else(|| reason.to_string(), |said| format!("{reason}: {said}"));
        match reason {
            SkipReason::Vanished | SkipReason::Missing => self.vanished += 1,
            SkipReason::Unreadable | SkipReason::UnreadableDirectory | SkipReason::Changing => {
                self.different.add(path, words);
            }
            _ => self.not_for_buckets.add(path, words),
        }
    }

    /// Counts what is decided without reading the file. `reason`: how it differs.
    fn decided(&mut self, pair: &Pair, decision: Decision, reason: impl Into<String>) {
        match decision {
            Decision::DeletedThere if prove::is_as_uploaded(pair) => self.deleted_there += 1,
            Decision::DeletedThere | Decision::Send(_) | Decision::Conflict(Conflict::NoJournal)
                if is_hidden(pair) =>
            {
                self.hidden.add(&pair.path, "a suspended account's, by its mode");
            }
            Decision::DeletedThere => self.different.add(
                &pair.path,
                "it was written since it was uploaded, and the bucket does not have it",
            ),
            Decision::Send(_) => {
                self.to_send += 1;
                self.different.add(&pair.path, reason);
            }
            Decision::Conflict(Conflict::BucketOwns) if Sides::was_replaced_there(pair) => {
                self.replaced_there += 1;
            }
            Decision::Conflict(Conflict::NoJournal) => self.different.add(
                &pair.path,
                "the bucket does not have it, and no journal tells whether Mastodon deleted it there",
            ),
            Decision::Conflict(_) => self.different.add(&pair.path, reason),
            Decision::Same => {
                self.same += 1;
                self.bytes += size(pair);
            }
            Decision::Skip(reason) => {
                let detail = match &pair.local {
                    Some(Entry::Skipped(skipped)) => skipped.detail.as_deref(),
                    _ => None,
                };
                self.skip(&pair.path, reason, detail);
            }
            Decision::OnlyThere
            | Decision::Delete
            | Decision::Gone
            | Decision::Hidden
            | Decision::Compare => {}
        }
    }
}

/// Compares every file with the bucket. Fails where the bucket cannot be listed.
pub(super) async fn compare(
    sides: &Sides,
    at_a_time: usize,
    progress: &Progress,
) -> Result<Compared> {
    compare_pairs(sides, sides.pairs()?, at_a_time, progress).await
}

/// The same for what was written since `begun` (nanoseconds since 1970), with a new listing.
pub(super) async fn compare_written_since(
    sides: &Sides,
    begun: i64,
    at_a_time: usize,
    progress: &Progress,
) -> Result<Compared> {
    let tree = sides.tree();
    let written = tokio::task::spawn_blocking(move || written_since(&tree, begun));
    let written = written
        .await
        .map_err(|e| Error::new("read the media directory").cause(e))??;
    if written.is_empty() {
        return Ok(Compared::default());
    }
    compare_pairs(sides, sides.pairs_of(written)?, at_a_time, progress).await
}

/// Paths of all that was written since `begun`.
fn written_since(tree: &tree::Options, begun: i64) -> Result<Vec<OsString>> {
    /// The kernel's clock goes in steps of a few milliseconds, so a little earlier counts too.
    const TICK: i64 = 10_000_000;
    let changed = |entry: &Entry| match entry {
        Entry::File(file) => file.stamp.changed,
        // A name that is not UTF-8 cannot be looked up by what is shown of it; the first comparison
        // has named those that were there.
        Entry::Skipped(skipped) => {
            let path = tree.root.join(skipped.path.trim_end_matches('/'));
            fs::symlink_metadata(path).map_or(0, |there| {
                there.ctime() * 1_000_000_000 + there.ctime_nsec()
            })
        }
    };
    Ok(walk(tree)?
        .filter(|entry| changed(entry) >= begun - TICK)
        .map(|entry| OsString::from(entry.path().trim_end_matches('/')))
        .collect())
}

async fn compare_pairs(
    sides: &Sides,
    mut pairs: Pairs,
    at_a_time: usize,
    progress: &Progress,
) -> Result<Compared> {
    let mut compared = Compared::default();
    let mut running = FuturesUnordered::new();
    while let Some(pair) = pairs.next().await? {
        match sides.decide(&pair, Compare::Read) {
            Decision::Compare => running.push(judge(sides, pair)),
            decision => compared.decided(&pair, decision, difference(&pair)),
        }
        while running.len() >= at_a_time {
            if let Some(judged) = running.next().await {
                count(sides, &mut compared, progress, judged);
            }
        }
    }
    while let Some(judged) = running.next().await {
        count(sides, &mut compared, progress, judged);
    }
    compared.different.sort();
    compared.hidden.sort();
    compared.not_for_buckets.sort();
    Ok(compared)
}

/// How two sides differ that need not be read.
fn difference(pair: &Pair) -> String {
    match &pair.object {
        None => MISSING.to_owned(),
        Some(object) => prove::size_differs(size(pair), object.size),
    }
}

fn is_hidden(pair: &Pair) -> bool {
    matches!(&pair.local, Some(Entry::File(file)) if file.hidden)
}

fn size(pair: &Pair) -> u64 {
    match &pair.local {
        Some(Entry::File(file)) => file.stamp.size,
        _ => 0,
    }
}

type Judged = (Pair, Result<Verdict, String>);

async fn judge(sides: &Sides, pair: Pair) -> Judged {
    let verdict = match (&pair.local, &pair.object) {
        (Some(Entry::File(file)), Some(object)) => {
            content(&sides.client, file, &object.key, object.size, &object.etag).await
        }
        _ => Ok(Verdict::Differs(MISSING.to_owned())),
    };
    (pair, verdict)
}

fn count(sides: &Sides, compared: &mut Compared, progress: &Progress, judged: Judged) {
    let (pair, verdict) = judged;
    progress.done(size(&pair));
    let (same, reason) = match verdict {
        Ok(Verdict::Same) => (true, String::new()),
        Ok(Verdict::Gone) => {
            compared.vanished += 1;
            return;
        }
        Ok(Verdict::Differs(reason)) => (false, reason),
        Ok(Verdict::Unclear) => (false, "its content could not be compared".to_owned()),
        // Not known to differ: what the owner may do with it is not the question.
        Err(reason) => {
            compared.different.add(&pair.path, reason);
            return;
        }
    };
    let decision = decide_read(&pair, same, &sides.owner, sides.flags(Compare::Read));
    compared.decided(&pair, decision, reason);
}

/// Whether the object has the file's bytes.
async fn content(
    client: &Client,
    file: &LocalFile,
    key: &str,
    object_size: u64,
    etag: &str,
) -> Result<Verdict, String> {
    let cannot = |e: std::io::Error| format!("it cannot be read here: {e}");
    let size = file.stamp.size;
    let opened = match file.open_unchanged() {
        Ok(opened) => Arc::new(opened),
        Err(_) if file.is_gone() => return Ok(Verdict::Gone),
        Err(e) => return Err(cannot(e)),
    };
    let verdict = prove::by_etag(opened.clone(), size, object_size, etag.to_owned())
        .await
        .map_err(cannot)?;
    let verdict = match verdict {
        Verdict::Unclear => prove::by_reading(client, key, opened, size)
            .await
            .map_err(|e| e.to_string())?,
        clear => clear,
    };
    match file.unchanged() {
        Ok(()) => Ok(verdict),
        Err(_) if file.is_gone() => Ok(Verdict::Gone),
        Err(e) => Err(cannot(e)),
    }
}
