//! The thread that writes records, a batch at a time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::record::Recorded;
use super::store::{ABOUT, FILES, SETTLED, Store};

/// Records written at a time.
const WRITE_BATCH: usize = 4000;

/// The longest time that a record waits to be committed.
const WRITE_INTERVAL: Duration = Duration::from_secs(2);

/// What the writing thread is told.
#[derive(Debug)]
enum Note {
    Record(String, Recorded),
    Forget(String),
    /// Written at once, with all that waits; then the sender is told.
    Sending(String, Option<oneshot::Sender<()>>),
    Settled,
}

/// Hands records to the writing thread. [`Writer::finish`] commits the rest.
#[derive(Debug)]
pub struct Writer {
    sender: Option<SyncSender<Note>>,
    thread: Option<JoinHandle<Result<(), redb::Error>>>,
}

impl Writer {
    pub(super) fn begin(store: Arc<Store>) -> Self {
        let (sender, receiver) = sync_channel(WRITE_BATCH);
        Writer {
            sender: Some(sender),
            thread: Some(std::thread::spawn(move || write(&store, &receiver))),
        }
    }

    /// Remembers a file. Blocks for a moment when the disk is slower than the network.
    pub fn record(&self, path: String, record: Recorded) {
        self.send(Note::Record(path, record));
    }

    /// Writes down that `path` is about to be sent. The answer comes when that is safe on disk.
    pub fn sending(&self, path: String) -> oneshot::Receiver<()> {
        let (written, answer) = oneshot::channel();
        self.send(Note::Sending(path, Some(written)));
        answer
    }

    /// Forgets a file that is gone.
    pub fn forget(&self, path: String) {
        self.send(Note::Forget(path));
    }

    fn send(&self, note: Note) {
        if let Some(sender) = &self.sender {
            // Fails only where the thread has ended on an error, which `finish` reports.
            let _ = sender.send(note);
        }
    }

    /// Commits what is left; `settled`: all that is in the bucket and here is recorded now. An error
    /// costs the next run some reading.
    pub fn finish(mut self, settled: bool) -> Result<(), String> {
        if settled {
            self.send(Note::Settled);
        }
        self.end()
    }

    fn end(&mut self) -> Result<(), String> {
        drop(self.sender.take());
        match self.thread.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(()),
            Some(Ok(Err(e))) => Err(e.to_string()),
            Some(Err(_)) => Err("its thread ended unexpectedly".to_owned()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

fn commit(transaction: &redb::WriteTransaction, batch: &[Note]) -> Result<(), redb::Error> {
    let mut files = transaction.open_table(FILES)?;
    for note in batch {
        match note {
            Note::Record(path, record) => {
                files.insert(path.as_str(), record.to_bytes().as_slice())?;
            }
            Note::Forget(path) => {
                files.remove(path.as_str())?;
            }
            Note::Sending(path, _) => {
                files.insert(path.as_str(), Recorded::sending().to_bytes().as_slice())?;
            }
            Note::Settled => {
                transaction.open_table(ABOUT)?.insert(SETTLED, "")?;
            }
        }
    }
    Ok(())
}

fn write(store: &Store, notes: &Receiver<Note>) -> Result<(), redb::Error> {
    let mut batch = Vec::with_capacity(WRITE_BATCH);
    let mut due = Instant::now() + WRITE_INTERVAL;
    let mut urgent = false;
    loop {
        let wait = due.saturating_duration_since(Instant::now());
        let ended = match notes.recv_timeout(wait) {
            Ok(note) => {
                urgent |= matches!(note, Note::Sending(..));
                batch.push(note);
                if urgent {
                    batch.extend(notes.try_iter().take(WRITE_BATCH));
                }
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        if ended || urgent || batch.len() >= WRITE_BATCH || Instant::now() >= due {
            if !batch.is_empty() {
                store.change(|transaction| commit(transaction, &batch))?;
            }
            for note in batch.drain(..) {
                if let Note::Sending(_, Some(written)) = note {
                    // Nobody waits any more where the run was interrupted.
                    let _ = written.send(());
                }
            }
            due = Instant::now() + WRITE_INTERVAL;
            urgent = false;
        }
        if ended {
            return Ok(());
        }
    }
}
