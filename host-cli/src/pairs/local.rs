//! The walk, joined with the journal on a thread of its own, which sends its results in batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use super::pair::{JoinOptions, Pair};
use crate::error::{Error, Result};
use crate::filter::Filter;
use crate::journal::{Cursor, Recorded};
use crate::s3::ListedObject;
use crate::tree::{SkipReason, TreeEntry, walk, walk_list};

/// Entries of one batch: one wake-up of the receiver for many entries.
const BATCH: usize = 128;

/// Batches that may wait in the channel.
const BATCHES: usize = 4;

/// One path of the walk or the journal.
#[derive(Debug)]
pub(super) struct Local {
    /// None: the path is only in the journal.
    pub(super) entry: Option<TreeEntry>,
    path: String,
    recorded: Option<Recorded>,
}

impl Local {
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Whether the name is not UTF-8: then no object can have it, and the path as it is shown is out of
    /// order.
    pub(super) fn has_no_key(&self) -> bool {
        matches!(&self.entry, Some(TreeEntry::Skipped(skipped)) if skipped.reason == SkipReason::NotUtf8)
    }

    pub(super) fn with_object(self, object: Option<ListedObject>) -> Pair {
        Pair {
            path: self.path,
            local: self.entry,
            object,
            recorded: self.recorded,
        }
    }
}

/// The local side of the join. Dropping it waits for its thread, which reads the journal.
#[derive(Debug)]
pub(super) struct LocalStream {
    batches: mpsc::Receiver<Result<Vec<Local>>>,
    batch: std::vec::IntoIter<Local>,
    thread: Option<JoinHandle<()>>,
    root_id: Option<(u64, u64)>,
}

impl LocalStream {
    pub(super) fn begin(
        options: &JoinOptions,
        journal: Cursor,
        excluded: Arc<AtomicU64>,
    ) -> Result<LocalStream> {
        let (sender, batches) = mpsc::channel(BATCHES);
        let (entries, root_id): (Box<dyn Iterator<Item = TreeEntry> + Send>, _) =
            match options.files_from.clone() {
                Some(paths) => (Box::new(walk_list(&options.walk, paths)?.into_iter()), None),
                None => {
                    let walk = walk(&options.walk)?;
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
                // The thread has dropped its sender: it has ended or is about to.
                return match self.thread.take().map(JoinHandle::join) {
                    Some(Err(_)) => Err(Error::new("read the directory and the journal")
                        .cause("the thread ended unexpectedly")
                        .hint("check the disks; if the journal in the state directory is damaged, rename it and run the command again, which reads every file once")),
                    _ => Ok(None),
                };
            };
            self.batch = batch?.into_iter();
        }
    }
}

impl Drop for LocalStream {
    fn drop(&mut self) {
        // The thread ends once its batches cannot be received any more.
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
    fn run(mut self, entries: impl Iterator<Item = TreeEntry>) {
        let last = match self.scan(entries) {
            Ok(Some(())) => Ok(std::mem::take(&mut self.batch)),
            Ok(None) => return,
            Err(e) => Err(e),
        };
        let _ = self.sender.blocking_send(last);
    }

    /// `None` where the receiver was dropped.
    fn scan(&mut self, entries: impl Iterator<Item = TreeEntry>) -> Result<Option<()>> {
        for entry in entries {
            let path = entry.path();
            let recorded = if matches!(&entry, TreeEntry::Skipped(s) if s.reason == SkipReason::NotUtf8)
            {
                None
            } else {
                while let Some(missing) = self.journal.next_before(Some(path))? {
                    if self.push_record(missing).is_none() {
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
                recorded,
            };
            if self.push(local).is_none() {
                return Ok(None);
            }
        }
        while let Some(missing) = self.journal.next_before(None)? {
            if self.push_record(missing).is_none() {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }

    fn push_record(&mut self, (path, recorded): (String, Recorded)) -> Option<()> {
        self.push(Local {
            entry: None,
            path,
            recorded: Some(recorded),
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

    fn takes(&self, entry: &TreeEntry) -> bool {
        match entry {
            TreeEntry::Skipped(skipped) if skipped.is_directory() => {
                self.filter.may_take_below(&skipped.path)
            }
            entry => self.filter.takes(entry.path()),
        }
    }
}
