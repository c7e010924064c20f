//! Every local file against the bucket: the proof that a cutover needs.
//!
//! The walk and the listing run side by side in key order, so memory does not grow with the
//! number of files. Each file is read and its MD5 compared with the listed ETag.

use std::cmp::Ordering;
use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::Serialize;
use tokio::sync::mpsc;

use super::progress::Progress;
use super::proof::{self, Verdict};
use super::tree::{self, Entry, Kind};
use crate::error::{Error, Result};
use crate::s3::{Client, Listed};
use crate::sync::list::Listing;

/// Differences that are kept by name; those beyond are counted.
const NAMED: usize = 1_000;

/// One path and what is the matter with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Named {
    /// Path below the media directory.
    pub path: String,
    /// What is the matter.
    pub reason: String,
}

/// Paths of one sort, the first thousand by name.
#[derive(Clone, Debug, Default, Serialize)]
pub struct NamedPaths {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub first: Vec<Named>,
}

impl Compared {
    /// Entries of every kind.
    pub fn total(&self) -> u64 {
        self.same + self.different.count + self.not_for_buckets.count
    }
}

impl NamedPaths {
    /// Counts one, and names it while there is room.
    pub fn add(&mut self, path: String, reason: impl Into<String>) {
        self.count += 1;
        if self.first.len() < NAMED {
            self.first.push(Named {
                path,
                reason: reason.into(),
            });
        }
    }

    /// Puts the named ones in order: they were found side by side.
    pub fn sort(&mut self) {
        self.first.sort_by(|a, b| a.path.cmp(&b.path));
    }

    /// The first twenty, a line each, for the report.
    pub fn lines(&self) -> String {
        const SHOWN: usize = 20;
        let mut out = String::new();
        for named in self.first.iter().take(SHOWN) {
            out.push_str(&format!("  {}: {}\n", named.path, named.reason));
        }
        let more = self.count.saturating_sub(SHOWN as u64);
        if more > 0 {
            out.push_str(&format!("  and {more} more\n"));
        }
        out
    }
}

/// Outcome of a full compare.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Compared {
    /// Files that the bucket has, byte for byte as far as the MD5 tells.
    pub same: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are not in the bucket, or differ there, or could not be compared.
    pub different: NamedPaths,
    /// Entries that no bucket can hold: links, sockets, names that are not UTF-8.
    pub not_for_buckets: NamedPaths,
}

/// Compares every file below `root` with the bucket. Fails where the bucket cannot be listed.
pub async fn compare(
    client: &Client,
    root: &Path,
    at_a_time: usize,
    progress: &mut Progress,
) -> Result<Compared> {
    let operation = || format!("compare `{}` with the bucket", root.display());
    let mut local = entries(root.to_owned());
    let mut listing = Listing::begin(client, None);
    let mut next = Next::Unread;
    let mut compared = Compared::default();
    let mut running = FuturesUnordered::new();
    while let Some(entry) = local.recv().await {
        let entry = entry.map_err(|e| Error::new(operation()).cause(e))?;
        let Some(key) = key_of(client, &entry, &mut compared) else {
            continue;
        };
        let object = find(&mut listing, &mut next, &key)
            .await
            .map_err(|e| e.into_error(operation()))?;
        let Some(object) = object else {
            compared
                .different
                .add(entry.shown(), "the bucket does not have it");
            continue;
        };
        running.push(judge(
            client.clone(),
            entry,
            object.key,
            object.size,
            object.etag,
        ));
        while running.len() >= at_a_time {
            if let Some(judged) = running.next().await {
                progress.done(judged.0.stamp.size);
                count(&mut compared, judged);
            }
        }
    }
    while let Some(judged) = running.next().await {
        progress.done(judged.0.stamp.size);
        count(&mut compared, judged);
    }
    compared.different.sort();
    compared.not_for_buckets.sort();
    Ok(compared)
}

/// Asks the bucket for each file below `root` that was written since `begun` (nanoseconds since
/// 1970), one by one: they are few, and a listing may be older than they are.
pub async fn compare_written_since(client: &Client, root: &Path, begun: i128) -> Result<Compared> {
    /// The kernel's clock goes in steps of a few milliseconds, so a little earlier counts too.
    const TICK: i128 = 10_000_000;
    let mut local = entries(root.to_owned());
    let mut compared = Compared::default();
    while let Some(entry) = local.recv().await {
        let entry = entry.map_err(|e| Error::new(format!("read `{}`", root.display())).cause(e))?;
        if entry.stamp.changed < begun - TICK {
            continue;
        }
        let Some(key) = key_of(client, &entry, &mut compared) else {
            continue;
        };
        match client.head_object(&key).await {
            Ok(head) => {
                let judged = judge(client.clone(), entry, key, head.size, head.etag).await;
                count(&mut compared, judged);
            }
            Err(e) if e.is_not_found() => {
                let reason = "the bucket does not have it";
                compared.different.add(entry.shown(), reason);
            }
            Err(e) => {
                return Err(e.into_error(format!("ask the bucket for `{}`", entry.shown())));
            }
        }
    }
    Ok(compared)
}

/// The walk on a thread of its own, a bounded number of entries ahead.
pub fn entries(root: std::path::PathBuf) -> mpsc::Receiver<std::io::Result<Entry>> {
    let (sender, receiver) = mpsc::channel(256);
    tokio::task::spawn_blocking(move || {
        let outcome = tree::walk(&root, &mut |entry| sender.blocking_send(Ok(entry)).is_ok());
        if let Err(e) = outcome {
            let _ = sender.blocking_send(Err(e));
        }
    });
    receiver
}

/// The entry's key; none, and the reason noted, for what no bucket can hold.
fn key_of(client: &Client, entry: &Entry, compared: &mut Compared) -> Option<String> {
    match &entry.kind {
        Kind::Special(what) => {
            compared.not_for_buckets.add(entry.shown(), *what);
            return None;
        }
        Kind::Unreadable(why) => {
            compared.different.add(entry.shown(), why.clone());
            return None;
        }
        Kind::File => {}
    }
    match key(client, entry) {
        Ok(key) => Some(key),
        Err(reason) => {
            compared.not_for_buckets.add(entry.shown(), reason);
            None
        }
    }
}

/// The object key of a file, or why it can have none.
pub fn key(client: &Client, entry: &Entry) -> Result<String, &'static str> {
    let path = std::str::from_utf8(&entry.path).map_err(|_| "the name is not UTF-8")?;
    let key = client.target().key(path);
    match tree::refusal(key.as_bytes(), 0) {
        Some(reason) => Err(reason),
        None => Ok(key),
    }
}

/// How far the listing has been read.
enum Next {
    Unread,
    At(Listed),
    Ended,
}

/// Reads the listing on until `key`, and takes its object out if it is there.
async fn find(
    listing: &mut Listing,
    next: &mut Next,
    key: &str,
) -> crate::s3::S3Result<Option<Listed>> {
    loop {
        match next {
            Next::Ended => return Ok(None),
            Next::At(object) => match object.key.as_str().cmp(key) {
                Ordering::Greater => return Ok(None),
                Ordering::Equal => return Ok(Some(object.clone())),
                Ordering::Less => {}
            },
            Next::Unread => {}
        }
        *next = listing.next().await?.map_or(Next::Ended, Next::At);
    }
}

async fn judge(
    client: Client,
    entry: Entry,
    key: String,
    object_size: u64,
    etag: String,
) -> (Entry, Result<Verdict, String>) {
    let size = entry.stamp.size;
    let judged = async {
        let cannot = |e: std::io::Error| format!("it cannot be read here: {e}");
        let file = Arc::new(entry.open().map_err(cannot)?);
        let verdict = proof::by_etag(file.clone(), size, object_size, etag)
            .await
            .map_err(cannot)?;
        let verdict = match verdict {
            Verdict::Unclear => proof::by_reading(&client, &key, file, size)
                .await
                .map_err(|e| e.to_string())?,
            clear => clear,
        };
        entry.unchanged().map_err(cannot)?;
        Ok(verdict)
    };
    let judged = judged.await;
    (entry, judged)
}

fn count(compared: &mut Compared, (entry, judged): (Entry, Result<Verdict, String>)) {
    match judged {
        Ok(Verdict::Same) => {
            compared.same += 1;
            compared.bytes += entry.stamp.size;
        }
        Ok(Verdict::Differs(reason)) | Err(reason) => compared.different.add(entry.shown(), reason),
        Ok(Verdict::Unclear) => compared
            .different
            .add(entry.shown(), "its content could not be compared"),
    }
}
