//! The walk on a thread of its own, joined with the journal, in batches.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::filter::Filter;
use super::journal::{Cursor, Record, Writer};
use super::walk::{Entry, SkipReason, Skipped, walk, walk_list};
use crate::error::Result;

/// Entries handed over at a time: one wake-up for many.
const BATCH: usize = 128;

/// Batches that may wait: what is read ahead stays small.
const BATCHES: usize = 4;

/// One entry of the local side.
#[derive(Debug)]
pub(super) enum Found {
    /// A file, and what the journal knows about it in its present state.
    File(super::walk::LocalFile, Option<Record>),
    /// Something to report.
    Skipped(Skipped),
}

/// What to scan.
pub(super) struct Scan {
    pub(super) root: PathBuf,
    pub(super) prefix_length: usize,
    /// The paths of `--files-from`, in place of a walk.
    pub(super) files_from: Option<Vec<OsString>>,
    /// Whether there was such a list.
    pub(super) listed: bool,
    pub(super) filter: Filter,
    pub(super) excluded: Arc<AtomicU64>,
    /// The journal, and the writer that is told what is gone.
    pub(super) journal: Option<(Cursor, Arc<Writer>)>,
}

/// The local side as a stream. Dropping it waits for its thread, which may hold the journal's
/// writer: whoever finishes that one comes after.
#[derive(Debug)]
pub(super) struct Scanned {
    batches: mpsc::Receiver<Vec<Found>>,
    batch: std::vec::IntoIter<Found>,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Scanned {
    fn drop(&mut self) {
        // The thread ends when nobody takes its batches any more.
        self.batches.close();
        while self.batches.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Scanned {
    pub(super) async fn next(&mut self) -> Option<Found> {
        loop {
            if let Some(found) = self.batch.next() {
                return Some(found);
            }
            self.batch = self.batches.recv().await?.into_iter();
        }
    }
}

impl Scan {
    /// Begins; fails at once where the directory or the list cannot be used.
    pub(super) fn begin(mut self) -> Result<Scanned> {
        let (sender, batches) = mpsc::channel(BATCHES);
        let entries: Box<dyn Iterator<Item = Entry> + Send> = match self.files_from.take() {
            Some(paths) => Box::new(walk_list(&self.root, self.prefix_length, paths)?.into_iter()),
            None => Box::new(walk(&self.root, self.prefix_length)?),
        };
        let thread = std::thread::spawn(move || self.run(entries, &sender));
        Ok(Scanned {
            thread: Some(thread),
            batches,
            batch: Vec::new().into_iter(),
        })
    }

    fn run(mut self, entries: impl Iterator<Item = Entry>, sender: &mpsc::Sender<Vec<Found>>) {
        let mut batch = Vec::with_capacity(BATCH);
        for entry in entries {
            let found = match entry {
                Entry::Skipped(skipped) if self.concerns(&skipped) => Found::Skipped(skipped),
                Entry::File(file) if self.filter.takes(&file.path) => {
                    let known = self.known(&file.path);
                    let known = known.filter(|record| record.stamp == file.stamp);
                    Found::File(file, known)
                }
                _ => {
                    self.excluded.fetch_add(1, Relaxed);
                    continue;
                }
            };
            batch.push(found);
            if batch.len() == BATCH && sender.blocking_send(std::mem::take(&mut batch)).is_err() {
                return;
            }
        }
        let _ = sender.blocking_send(batch);
    }

    fn concerns(&self, skipped: &Skipped) -> bool {
        if skipped.reason == SkipReason::UnreadableDirectory {
            self.filter.may_take_below(&skipped.path)
        } else {
            self.filter.takes(&skipped.path)
        }
    }

    fn known(&mut self, path: &str) -> Option<Record> {
        let forget = !self.listed && self.filter.takes_all();
        let (cursor, writer) = self.journal.as_mut()?;
        // With a filter or a list, what is passed over is not gone.
        cursor.find(path, |gone| {
            if forget {
                writer.forget(gone);
            }
        })
    }
}
