//! What former runs knew: path, size, time, inode and digest of each file that was seen equal to
//! its object. With it a second run reads no file.
//!
//! The journal is a cache and never believed alone: its digest is compared with the bucket's
//! listing. Lost, broken or of another directory, it is begun anew. Batches are committed by a
//! thread of their own; a killed run loses the last batch at most, which the next run reads again.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use redb::{Database, DatabaseError, ReadableDatabase, TableDefinition};

use super::digest;
use super::walk::Stamp;
use crate::config::Target;
use crate::error::{Error, Result};

const FILES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("files");
const ABOUT: TableDefinition<'_, &str, &str> = TableDefinition::new("about");

/// Changes when the layout of a record does; a journal of another version is begun anew.
const VERSION: &str = "1";

/// Pages held in memory: both streams are read and written almost in order, so few are needed.
const CACHE_BYTES: usize = 2 * 1024 * 1024;

/// Records read at a time, so that no read transaction keeps old pages alive for long.
const READ_BATCH: usize = 1000;

/// Records written at a time.
const WRITE_BATCH: usize = 4000;

/// The longest time that a record waits to be committed.
const WRITE_INTERVAL: Duration = Duration::from_secs(2);

/// One file as it was when it was the same as its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Size, time and inode.
    pub stamp: Stamp,
    /// MD5 of the content, or of the parts' digests.
    pub md5: [u8; 16],
    /// Parts of a multipart upload; 0 where the object was sent whole.
    pub parts: u32,
}

impl Record {
    /// Reads an ETag; `None` where it is no digest.
    pub fn of_etag(stamp: Stamp, etag: &str) -> Option<Record> {
        let (digest, parts) = match etag.split_once('-') {
            Some((digest, parts)) => (digest, parts.parse().ok()?),
            None => (etag, 0),
        };
        let mut md5 = [0; 16];
        hex::decode_to_slice(digest, &mut md5).ok()?;
        Some(Record { stamp, md5, parts })
    }

    /// The digest in an ETag's form.
    pub fn etag(&self) -> String {
        match self.parts {
            0 => hex::encode(self.md5),
            parts => format!("{}-{parts}", hex::encode(self.md5)),
        }
    }

    fn to_bytes(self) -> [u8; 44] {
        let mut bytes = [0; 44];
        bytes[..8].copy_from_slice(&self.stamp.size.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.stamp.modified.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.stamp.inode.to_le_bytes());
        bytes[24..40].copy_from_slice(&self.md5);
        bytes[40..].copy_from_slice(&self.parts.to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Record> {
        let bytes: &[u8; 44] = bytes.try_into().ok()?;
        let word = |at: usize| bytes[at..at + 8].try_into().map(u64::from_le_bytes).ok();
        Some(Record {
            stamp: Stamp {
                size: word(0)?,
                modified: word(8)?.cast_signed(),
                inode: word(16)?,
            },
            md5: bytes[24..40].try_into().ok()?,
            parts: u32::from_le_bytes(bytes[40..].try_into().ok()?),
        })
    }
}

/// An open journal. One process holds it at a time.
#[derive(Clone, Debug)]
pub struct Journal {
    database: Arc<Database>,
}

impl Journal {
    /// Opens the journal of `directory` and `target` below `state_dir`.
    ///
    /// The second value is what to tell: that a broken one was put aside. Fails where another run
    /// holds it, or where nothing can be written there.
    pub fn open(
        state_dir: &Path,
        target: &Target,
        directory: &Path,
    ) -> Result<(Journal, Option<String>)> {
        let about = format!("{VERSION}\n{target}\n{}", directory.display());
        let name = hex::encode(&digest::of_bytes(about.as_bytes())[..8]);
        let path = state_dir.join(format!("journal-{name}.redb"));
        let failed = |cause: crate::error::Cause| {
            Error::new(format!("open the journal `{}`", path.display())).cause(cause)
        };
        fs::create_dir_all(state_dir).map_err(|e| {
            failed(e.into()).hint("give a directory that can be written with `--state-dir`")
        })?;
        match open(&path, &about) {
            Ok(database) => Ok((
                Journal {
                    database: Arc::new(database),
                },
                None,
            )),
            Err(OpenError::Held) => Err(failed("another run holds it".into())
                .hint("wait for the other `medialift sync` of this directory, or end it")),
            Err(OpenError::Io(e)) => Err(failed(e.into()).hint(
                "check the disk and who may write there, or give another place with `--state-dir`",
            )),
            Err(OpenError::Broken(cause)) => {
                let aside = path.with_extension("broken");
                fs::rename(&path, &aside).map_err(|e| failed(e.into()))?;
                let database = open(&path, &about).map_err(|e| failed(format!("{e:?}").into()))?;
                let said = format!(
                    "the journal `{}` could not be used ({cause}); it was put aside as `{}` and is rebuilt, which reads every file once",
                    path.display(),
                    aside.display()
                );
                Ok((
                    Journal {
                        database: Arc::new(database),
                    },
                    Some(said),
                ))
            }
        }
    }

    /// Reads beside a walk in the same order.
    pub fn cursor(&self) -> Cursor {
        Cursor {
            database: self.database.clone(),
            ahead: VecDeque::new(),
            last: None,
            ended: false,
        }
    }

    /// Starts the thread that writes.
    pub fn writer(&self) -> Writer {
        let (sender, receiver) = sync_channel(WRITE_BATCH);
        let database = self.database.clone();
        let thread = std::thread::spawn(move || write(&database, &receiver));
        Writer {
            sender: Some(sender),
            thread: Some(thread),
        }
    }
}

#[derive(Debug)]
enum OpenError {
    Held,
    Io(io::Error),
    Broken(String),
}

fn open(path: &Path, about: &str) -> Result<Database, OpenError> {
    let broken = |e: &dyn std::fmt::Display| OpenError::Broken(e.to_string());
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create(path)
        .map_err(|e| match e {
            DatabaseError::DatabaseAlreadyOpen => OpenError::Held,
            DatabaseError::Storage(redb::StorageError::Io(e))
                if !matches!(
                    e.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                OpenError::Io(e)
            }
            e => broken(&e),
        })?;
    let known = known_about(&database).map_err(|e| broken(&e))?;
    match known.as_deref() {
        Some(known) if known == about => Ok(database),
        Some(_) => Err(broken(&"it is of another directory or bucket")),
        None => {
            let begin = || -> Result<(), redb::Error> {
                let transaction = database.begin_write()?;
                transaction.open_table(FILES)?;
                transaction.open_table(ABOUT)?.insert("about", about)?;
                transaction.commit()?;
                Ok(())
            };
            begin().map_err(|e| match e {
                redb::Error::Io(e) => OpenError::Io(e),
                e => broken(&e),
            })?;
            Ok(database)
        }
    }
}

fn known_about(database: &Database) -> Result<Option<String>, redb::Error> {
    match database.begin_read()?.open_table(ABOUT) {
        Ok(table) => Ok(table.get("about")?.map(|value| value.value().to_owned())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Records in key order, read beside a walk.
#[derive(Debug)]
pub struct Cursor {
    database: Arc<Database>,
    ahead: VecDeque<(String, Record)>,
    last: Option<String>,
    ended: bool,
}

impl Cursor {
    /// The record of `path`. Paths must come in ascending order; records that are passed over,
    /// whose files are gone, are given to `gone`.
    pub fn find(&mut self, path: &str, mut gone: impl FnMut(String)) -> Option<Record> {
        loop {
            if self.ahead.is_empty() && !self.read_ahead() {
                return None;
            }
            match self.ahead.front()?.0.as_str().cmp(path) {
                std::cmp::Ordering::Greater => return None,
                std::cmp::Ordering::Equal => return self.ahead.pop_front().map(|(_, r)| r),
                std::cmp::Ordering::Less => gone(self.ahead.pop_front()?.0),
            }
        }
    }

    /// Reads the next batch; an unreadable journal reads as an empty one.
    fn read_ahead(&mut self) -> bool {
        if self.ended {
            return false;
        }
        match read_batch(&self.database, self.last.as_deref()) {
            Ok(batch) if !batch.is_empty() => {
                self.last = batch.back().map(|(path, _)| path.clone());
                self.ahead = batch;
                true
            }
            _ => {
                self.ended = true;
                false
            }
        }
    }
}

fn read_batch(
    database: &Database,
    after: Option<&str>,
) -> Result<VecDeque<(String, Record)>, redb::Error> {
    use std::ops::Bound;
    let table = database.begin_read()?.open_table(FILES)?;
    let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut batch = VecDeque::with_capacity(READ_BATCH);
    for row in table
        .range::<&str>((begin, Bound::Unbounded))?
        .take(READ_BATCH)
    {
        let (path, bytes) = row?;
        // A record that does not read counts as none: its file is read again.
        if let Some(record) = Record::from_bytes(bytes.value()) {
            batch.push_back((path.value().to_owned(), record));
        }
    }
    Ok(batch)
}

/// What the writing thread is told.
#[derive(Debug)]
enum Note {
    Record(String, Record),
    Forget(String),
}

/// Hands records to the writing thread. [`Writer::finish`] commits the rest.
#[derive(Debug)]
pub struct Writer {
    sender: Option<SyncSender<Note>>,
    thread: Option<JoinHandle<Result<(), redb::Error>>>,
}

impl Writer {
    /// Remembers a file. Blocks for a moment when the disk is slower than the network.
    pub fn record(&self, path: String, record: Record) {
        self.send(Note::Record(path, record));
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

    /// Commits what is left. An error costs the next run some reading and nothing else.
    pub fn finish(mut self) -> Result<(), String> {
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

fn write(database: &Database, notes: &Receiver<Note>) -> Result<(), redb::Error> {
    let mut batch = Vec::with_capacity(WRITE_BATCH);
    let mut due = Instant::now() + WRITE_INTERVAL;
    loop {
        let wait = due.saturating_duration_since(Instant::now());
        let ended = match notes.recv_timeout(wait) {
            Ok(note) => {
                batch.push(note);
                false
            }
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => true,
        };
        if ended || batch.len() >= WRITE_BATCH || Instant::now() >= due {
            if !batch.is_empty() {
                commit(database, &mut batch)?;
            }
            due = Instant::now() + WRITE_INTERVAL;
        }
        if ended {
            return Ok(());
        }
    }
}

fn commit(database: &Database, batch: &mut Vec<Note>) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut table = transaction.open_table(FILES)?;
        for note in batch.drain(..) {
            match note {
                Note::Record(path, record) => {
                    table.insert(path.as_str(), record.to_bytes().as_slice())?;
                }
                Note::Forget(path) => {
                    table.remove(path.as_str())?;
                }
            }
        }
    }
    transaction.commit()?;
    Ok(())
}

/// Where state is kept unless told otherwise: `$XDG_STATE_HOME/medialift`, else
/// `~/.local/state/medialift`.
pub fn default_state_dir() -> Result<PathBuf> {
    let variable = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    variable("XDG_STATE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("medialift"))
        .ok_or_else(|| {
            Error::usage("find a place for the journal")
                .cause("neither `XDG_STATE_HOME` nor `HOME` is set")
                .hint("give a directory with `--state-dir`")
        })
}

#[cfg(test)]
mod tests;
