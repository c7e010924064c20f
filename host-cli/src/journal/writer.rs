//! The thread that writes records, a batch at a time.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::record::Recorded;
use super::store::{ABOUT, COMPLETE, FILES, Store};

/// Records written at a time.
const WRITE_BATCH: usize = 4000;

/// The longest time before a record is committed.
const WRITE_INTERVAL: Duration = Duration::from_secs(2);

/// A message to the writing thread.
#[derive(Debug)]
enum Message {
    Record(String, Recorded),
    Remove(String),
    /// Committed at once with all that waits; then the sender is notified.
    Sending(String, Option<oneshot::Sender<()>>),
    Complete,
}

/// Sends records to the writing thread. [`Writer::finish`] commits the rest.
#[derive(Debug)]
pub struct Writer {
    sender: Option<SyncSender<Message>>,
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

    /// Records a key. Blocks while the disk is slower than the network.
    pub fn record(&self, path: String, record: Recorded) {
        self.send(Message::Record(path, record));
    }

    /// Records that `path` is about to be sent. The receiver completes once that is on disk.
    pub fn sending(&self, path: String) -> oneshot::Receiver<()> {
        let (written, receiver) = oneshot::channel();
        self.send(Message::Sending(path, Some(written)));
        receiver
    }

    /// Removes the record of a key.
    pub fn remove(&self, path: String) {
        self.send(Message::Remove(path));
    }

    fn send(&self, message: Message) {
        if let Some(sender) = &self.sender {
            // Fails only where the thread has ended on an error, which `finish` reports.
            let _ = sender.send(message);
        }
    }

    /// Commits the rest, and with `complete` that the journal is complete. Where this fails, the next
    /// run reads more files.
    pub fn finish(mut self, complete: bool) -> Result<(), String> {
        if complete {
            self.send(Message::Complete);
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

fn commit(transaction: &redb::WriteTransaction, batch: &[Message]) -> Result<(), redb::Error> {
    let mut files = transaction.open_table(FILES)?;
    for message in batch {
        match message {
            Message::Record(path, record) => {
                files.insert(path.as_str(), record.to_bytes().as_slice())?;
            }
            Message::Remove(path) => {
                files.remove(path.as_str())?;
            }
            Message::Sending(path, _) => {
                files.insert(path.as_str(), Recorded::sending().to_bytes().as_slice())?;
            }
            Message::Complete => {
                transaction.open_table(ABOUT)?.insert(COMPLETE, "")?;
            }
        }
    }
    Ok(())
}

fn write(store: &Store, messages: &Receiver<Message>) -> Result<(), redb::Error> {
    let mut batch = Vec::with_capacity(WRITE_BATCH);
    let mut due = Instant::now() + WRITE_INTERVAL;
    let mut urgent = false;
    loop {
        let wait = due.saturating_duration_since(Instant::now());
        let ended = match messages.recv_timeout(wait) {
            Ok(message) => {
                urgent |= matches!(message, Message::Sending(..));
                batch.push(message);
                if urgent {
                    batch.extend(messages.try_iter().take(WRITE_BATCH));
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
            for message in batch.drain(..) {
                if let Message::Sending(_, Some(written)) = message {
                    // The receiver is gone where the run was interrupted.
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
