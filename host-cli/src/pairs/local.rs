//! The walk on a thread of its own, joined with the journal, handed over in batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::pair::{Options, Pair};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::journal::{Cursor, Recorded};
use crate::s3::Listed;
use crate::tree::{Entry, SkipReason, walk, walk_list};

/// Entries handed over at a time: one wake-up for many.
const BATCH: usize = 128;

/// Batches that may wait: what is read ahead stays small.
const BATCHES: usize = 4;

/// What this machine knows of one path.
#[derive(Debug)]
pub(super) struct Local {
    /// None: only the journal knows the path.
    pub(super) entry: Option<Entry>,
    path: String,
    known: Option<Recorded>,
}

impl Local {
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether no object can have this path, which as shown is not its place in the order either.
    pub(super) fn has_no_key(&self) -> bool {
        matches!(&self.entry, Some(Entry::Skipped(skipped)) if skipped.reason == SkipReason::NotUtf8)
    }

    pub(super) fn paired(self, object: Option<Listed>) -> Pair {
        Pair {
            path: self.path,
            local: self.entry,
            object,
            known: self.known,
        }
    }
}

/// The local side as a stream. Dropping it waits for its thread, which reads the journal.
#[derive(Debug)]
pub(super) struct LocalStream {
    batches: mpsc::Receiver<Result<Vec<Local>>>,
    batch: std::vec::IntoIter<Local>,
    thread: Option<JoinHandle<()>>,
    root_id: Option<(u64, u64)>,
}

impl LocalStream {
    pub(super) fn begin(
        options: &Options,
        journal: Cursor,
        excluded: Arc<AtomicU64>,
    ) -> Result<LocalStream> {
        let (sender, batches) = mpsc::channel(BATCHES);
        let (entries, root_id): (Box<dyn Iterator<Item = Entry> + Send>, _) =
            match options.files_from.clone() {
                Some(paths) => (Box::new(walk_list(&options.tree, paths)?.into_iter()), None),
                None => {
                    let walk = walk(&options.tree)?;
                    let root_id = walk.root_id();
                    (Box::new(walk), Some(root_id))
                }
            };
        let scan = Scan {
            filter: options.filter.clone(),
            excluded,
            journal,
            sender,
            batch: Vec::with_capacity(BATCH),
        };
        Ok(LocalStream {
            batches,
            batch: Vec::new().into_iter(),
            thread: Some(std::thread::spawn(move || scan.run(entries))),
            root_id,
        })
    }

    pub(super) fn root_id(&self) -> Option<(u64, u64)> {
        self.root_id
    }

    /// # Errors
    /// Where the walk or the journal ended before its end.
    pub(super) async fn next(&mut self) -> Result<Option<Local>> {
        loop {
            if let Some(local) = self.batch.next() {
                return Ok(Some(local));
            }
            let Some(batch) = self.batches.recv().await else {
                // All was handed over, so this waits for nothing.
                return match self.thread.take().map(JoinHandle::join) {
                    Some(Err(_)) => Err(Error::new("read the directory beside the journal")
                        .cause("the thread that does so ended unexpectedly")
                        .hint("check the disks; if the journal is damaged, move it aside and run the command again, which reads every file once")),
                    _ => Ok(None),
                };
            };
            self.batch = batch?.into_iter();
        }
    }
}

impl Drop for LocalStream {
    fn drop(&mut self) {
        // The thread ends when nobody takes its batches any more.
        self.batches.close();
        while self.batches.try_recv().is_ok() {}
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Scan {
    filter: Filter,
    excluded: Arc<AtomicU64>,
    journal: Cursor,
    sender: mpsc::Sender<Result<Vec<Local>>>,
    batch: Vec<Local>,
}

impl Scan {
    fn run(mut self, entries: impl Iterator<Item = Entry>) {
        let last = match self.scan(entries) {
            Ok(Some(())) => Ok(std::mem::take(&mut self.batch)),
            // Nobody takes what comes any more.
            Ok(None) => return,
            Err(e) => Err(e),
        };
        let _ = self.sender.blocking_send(last);
    }

    /// `None` where nobody takes what comes any more.
    fn scan(&mut self, entries: impl Iterator<Item = Entry>) -> Result<Option<()>> {
        for entry in entries {
            let path = entry.path();
            let known = if matches!(&entry, Entry::Skipped(s) if s.reason == SkipReason::NotUtf8) {
                None
            } else {
                while let Some(gone) = self.journal.next_before(Some(path))? {
                    if self.push_known(gone).is_none() {
                        return Ok(None);
                    }
                }
                self.journal.take(path)
            };
            if !self.takes(&entry) {
                self.excluded.fetch_add(1, Relaxed);
                continue;
            }
            let local = Local {
                path: path.to_owned(),
                entry: Some(entry),
                known,
            };
            if self.push(local).is_none() {
                return Ok(None);
            }
        }
        while let Some(gone) = self.journal.next_before(None)? {
            if self.push_known(gone).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    fn push_known(&mut self, (path, known): (String, Recorded)) -> Option<()> {
        self.push(Local {
            entry: None,
            path,
            known: Some(known),
        })
    }

    fn push(&mut self, local: Local) -> Option<()> {
        self.batch.push(local);
        if self.batch.len() < BATCH {
            return Some(());
        }
        let next = Vec::with_capacity(BATCH);
        let batch = std::mem::replace(&mut self.batch, next);
        self.sender.blocking_send(Ok(batch)).ok()
    }

    fn takes(&self, entry: &Entry) -> bool {
        match entry {
            Entry::Skipped(skipped) if skipped.hides_entries() => {
                self.filter.may_take_below(&skipped.path)
            }
            entry => self.filter.takes(entry.path()),
        }
    }
}
