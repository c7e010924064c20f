//! What former runs knew: path, size, times, inode and digest of each file that was seen beside its
//! object, and the multipart uploads that are under way.
//!
//! A digest is never believed alone: it is compared with the bucket's listing. But that a key is
//! recorded tells that it was in the bucket once, and so, when it no longer is, that Mastodon has
//! deleted it. Whether *not* recorded means that it was never there is what [`Journal::is_settled`]
//! answers: only after a whole run that ended cleanly. Batches are committed by a thread of their own;
//! a killed run loses the last one at most.

mod cursor;
mod record;
mod store;
mod writer;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{DatabaseError, ReadOnlyDatabase};

pub use self::cursor::Cursor;
pub use self::record::Recorded;
use self::store::{ABOUT, OpenError, SETTLED, Store, UPLOADS, VERSION, open};
pub use self::writer::Writer;

use crate::error::{Error, Result};

/// An open journal. One process writes to it at a time.
#[derive(Clone, Debug)]
pub struct Journal {
    store: Arc<Store>,
    path: PathBuf,
    settled: bool,
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
        let settled = store.is_settled();
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
        let changed = self.store.change(|transaction| {
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
        let settled = store.is_settled();
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
        Writer::begin(self.store.clone())
    }

    /// The multipart upload of `key` that an earlier run of ours has begun.
    pub fn upload(&self, key: &str) -> Option<String> {
        let transaction = self.store.begin_read().ok()??;
        let table = transaction.open_table(UPLOADS).ok()?;
        Some(table.get(key).ok()??.value().to_owned())
    }

    /// Remembers a multipart upload, at once; `None` forgets the one there is. Blocks.
    pub fn set_upload(&self, key: &str, id: Option<&str>) -> Result<(), redb::Error> {
        self.store.change(|transaction| {
            let mut table = transaction.open_table(UPLOADS)?;
            match id {
                Some(id) => table.insert(key, id)?,
                None => table.remove(key)?,
            };
            Ok(())
        })
    }
}

fn cannot_open(path: &Path, cause: impl Into<crate::error::Cause>) -> Error {
    Error::new(format!("open the journal `{}`", path.display())).cause(cause)
}

fn held(path: &Path) -> Error {
    cannot_open(path, "another run holds it")
        .hint("wait for the other run of medialift on this directory, or end it")
}

#[cfg(test)]
mod tests;
