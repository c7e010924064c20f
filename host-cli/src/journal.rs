//! What former runs knew: path, size, times, inode and digest of each file that was seen beside its
//! object, and the multipart uploads that are under way.
//!
//! A digest is never believed alone: it is compared with the bucket's listing. But that a key is
//! recorded tells that it was in the bucket once, and so, when it no longer is, that Mastodon has
//! deleted it. Whether *not* recorded means that it was never there is what [`Journal::is_settled`]
//! answers: only after a whole run that ended cleanly. Batches are committed by a thread of their own;
//! a killed run loses the last one at most.

mod cursor;
mod writer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{
    Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, TableDefinition,
};

pub use self::cursor::Cursor;
pub use self::writer::Writer;

use crate::error::{Error, Result};
use crate::tree::Stamp;

const FILES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("files");
const ABOUT: TableDefinition<'_, &str, &str> = TableDefinition::new("about");
/// Key to upload id.
const UPLOADS: TableDefinition<'_, &str, &str> = TableDefinition::new("uploads");

/// Changes when the layout of a record does; a journal of another version is begun anew.
const VERSION: &str = "2";

/// In [`ABOUT`], there once a whole run has ended cleanly and until the next one begins.
const SETTLED: &str = "settled";

/// Pages held in memory: both streams are read and written almost in order, so few are needed.
const CACHE_BYTES: usize = 2 * 1024 * 1024;

/// What is known of one key: it was in the bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// The file's when this was written.
    pub stamp: Stamp,
    /// The object's digest: MD5 of the content, or of the parts' digests.
    pub md5: [u8; 16],
    /// Parts of a multipart upload; 0 where the object was sent whole.
    pub parts: u32,
    /// The file had the object's content: sent by us, or found equal. Else the key was only seen.
    pub same: bool,
    /// It was about to be sent when this was written: whether it ever was there is not known.
    pub sending: bool,
}

impl Recorded {
    /// A file that is the same as its object of this ETag; `None` where that is no digest.
    pub fn same(stamp: Stamp, etag: &str) -> Option<Recorded> {
        let (digest, parts) = match etag.split_once('-') {
            Some((digest, parts)) => (digest, parts.parse().ok()?),
            None => (etag, 0),
        };
        let mut md5 = [0; 16];
        hex::decode_to_slice(digest, &mut md5).ok()?;
        Some(Recorded {
            stamp,
            md5,
            parts,
            same: true,
            sending: false,
        })
    }

    /// A key that was seen in the bucket beside a file that may have other content.
    pub fn seen() -> Recorded {
        Recorded {
            stamp: Stamp::default(),
            md5: [0; 16],
            parts: 0,
            same: false,
            sending: false,
        }
    }

    /// A key that is about to be sent.
    pub fn sending() -> Recorded {
        Recorded {
            sending: true,
            ..Recorded::seen()
        }
    }

    /// The digest in an ETag's form.
    pub fn etag(&self) -> String {
        match self.parts {
            0 => hex::encode(self.md5),
            parts => format!("{}-{parts}", hex::encode(self.md5)),
        }
    }

    fn to_bytes(self) -> [u8; 53] {
        let mut bytes = [0; 53];
        bytes[..8].copy_from_slice(&self.stamp.size.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.stamp.modified.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.stamp.changed.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.stamp.inode.to_le_bytes());
        bytes[32..48].copy_from_slice(&self.md5);
        bytes[48..52].copy_from_slice(&self.parts.to_le_bytes());
        bytes[52] = u8::from(self.same) | u8::from(self.sending) << 1;
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Recorded> {
        let bytes: &[u8; 53] = bytes.try_into().ok()?;
        let number = |at: usize| bytes[at..at + 8].try_into().map(u64::from_le_bytes).ok();
        Some(Recorded {
            stamp: Stamp {
                size: number(0)?,
                modified: number(8)?.cast_signed(),
                changed: number(16)?.cast_signed(),
                inode: number(24)?,
            },
            md5: bytes[32..48].try_into().ok()?,
            parts: u32::from_le_bytes(bytes[48..52].try_into().ok()?),
            same: bytes[52] & 1 != 0,
            sending: bytes[52] & 2 != 0,
        })
    }
}

/// An open journal. One process writes to it at a time.
#[derive(Clone, Debug)]
pub struct Journal {
    store: Arc<Store>,
    path: PathBuf,
    settled: bool,
}

/// The database behind a journal.
enum Store {
    Writable(Database),
    ReadOnly(ReadOnlyDatabase),
    /// There is none yet, and none is made.
    Absent,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Store::Writable(_) => "Writable",
            Store::ReadOnly(_) => "ReadOnly",
            Store::Absent => "Absent",
        })
    }
}

impl Store {
    fn begin_read(&self) -> Result<Option<ReadTransaction>, redb::Error> {
        Ok(match self {
            Store::Writable(database) => Some(database.begin_read()?),
            Store::ReadOnly(database) => Some(database.begin_read()?),
            Store::Absent => None,
        })
    }
}

impl Journal {
    /// Opens the journal at `path` (made where there is none) to read and write. `about` names what it
    /// is of: a journal of something else is put aside.
    ///
    /// The second value is what to tell: that a broken one was put aside.
    ///
    /// # Errors
    /// Where another run holds it, or where nothing can be written there.
    pub fn open(path: &Path, about: &str) -> Result<(Journal, Option<String>)> {
        let about = format!("{VERSION}\n{about}");
        let failed = |cause: crate::error::Cause| cannot_open(path, cause);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(|e| {
                failed(e.into()).hint("give a directory that can be written with `--state-dir`")
            })?;
        }
        let (database, said) = match open(path, &about) {
            Ok(database) => (database, None),
            Err(OpenError::Held) => return Err(held(path)),
            // Nothing is remembered then, and nothing believed to have been.
            Err(OpenError::Io(e)) if e.kind() == io::ErrorKind::StorageFull => {
                let journal = Journal {
                    store: Arc::new(Store::Absent),
                    path: path.to_owned(),
                    settled: false,
                };
                let said = format!(
                    "the journal was not written (I/O error: {e}); the next run reads more files and sends nothing twice"
                );
                return Ok((journal, Some(said)));
            }
            Err(OpenError::Io(e)) => {
                return Err(failed(e.into()).hint(
                    "check the disk and who may write there, or give another place with `--state-dir`",
                ));
            }
            Err(OpenError::Broken(cause)) => {
                let aside = path.with_extension("broken");
                fs::rename(path, &aside).map_err(|e| failed(e.into()))?;
                let database = open(path, &about).map_err(|e| failed(format!("{e:?}").into()))?;
                let said = format!(
                    "the journal `{}` could not be used ({cause}); it was put aside as `{}` and is rebuilt, which reads every file once",
                    path.display(),
                    aside.display()
                );
                (database, Some(said))
            }
        };
        let store = Store::Writable(database);
        let settled = read_settled(&store);
        let journal = Journal {
            store: Arc::new(store),
            path: path.to_owned(),
            settled,
        };
        Ok((journal, said))
    }

    /// Begins a run that does not write down each key before it sends it: until that has ended
    /// cleanly, the journal is not settled.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn unsettle(&self) -> Result<()> {
        if !self.settled {
            return Ok(());
        }
        let changed = self.change(|transaction| {
            transaction.open_table(ABOUT)?.remove(SETTLED)?;
            Ok(())
        });
        changed.map_err(|e| {
            Error::new(format!("write the journal `{}`", self.path.display())).cause(e)
        })
    }

    /// Opens the journal at `path` to read only: nothing is made or changed on disk. The second value
    /// is what to tell: that it cannot be read without being repaired, and counts as empty.
    ///
    /// # Errors
    /// Where another run writes to it.
    pub fn read_only(path: &Path) -> Result<(Journal, Option<String>)> {
        let mut said = None;
        let store = match ReadOnlyDatabase::open(path) {
            Ok(database) => Store::ReadOnly(database),
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(held(path)),
            Err(DatabaseError::Storage(redb::StorageError::Io(e)))
                if e.kind() == io::ErrorKind::NotFound =>
            {
                Store::Absent
            }
            Err(e) => {
                said = Some(format!(
                    "the journal `{}` cannot be read before the next run has repaired it ({e}): every file is read instead",
                    path.display()
                ));
                Store::Absent
            }
        };
        let settled = read_settled(&store);
        let journal = Journal {
            store: Arc::new(store),
            path: path.to_owned(),
            settled,
        };
        Ok((journal, said))
    }

    /// Whether a key that is not recorded was never in the bucket, as far as medialift has to do with
    /// it: a whole run has ended cleanly, and none was killed since.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// Reads beside a walk in the same order.
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.store.clone(), self.path.clone())
    }

    /// Starts the thread that writes. A journal that is only read takes records and drops them.
    pub fn writer(&self) -> Writer {
        Writer::begin(self.clone())
    }

    /// The multipart upload of `key` that an earlier run of ours has begun.
    pub fn upload(&self, key: &str) -> Option<String> {
        let transaction = self.store.begin_read().ok()??;
        let table = transaction.open_table(UPLOADS).ok()?;
        Some(table.get(key).ok()??.value().to_owned())
    }

    /// Remembers a multipart upload, at once; `None` forgets the one there is. Blocks.
    pub fn set_upload(&self, key: &str, id: Option<&str>) -> Result<(), redb::Error> {
        self.change(|transaction| {
            let mut table = transaction.open_table(UPLOADS)?;
            match id {
                Some(id) => table.insert(key, id)?,
                None => table.remove(key)?,
            };
            Ok(())
        })
    }

    fn change(
        &self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error> {
        if let Store::Writable(database) = &*self.store {
            let transaction = database.begin_write()?;
            change(&transaction)?;
            transaction.commit()?;
        }
        Ok(())
    }
}

fn read_settled(store: &Store) -> bool {
    let read = || -> Result<bool, redb::Error> {
        let Some(transaction) = store.begin_read()? else {
            return Ok(false);
        };
        Ok(transaction.open_table(ABOUT)?.get(SETTLED)?.is_some())
    };
    read().unwrap_or(false)
}

fn cannot_open(path: &Path, cause: impl Into<crate::error::Cause>) -> Error {
    Error::new(format!("open the journal `{}`", path.display())).cause(cause)
}

fn held(path: &Path) -> Error {
    cannot_open(path, "another run holds it")
        .hint("wait for the other run of medialift on this directory, or end it")
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
                transaction.open_table(UPLOADS)?;
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

#[cfg(test)]
mod tests;
