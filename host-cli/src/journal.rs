//! The records of former runs: path, size, times, inode and digest of each file that had an object, and
//! the multipart uploads in progress.
//!
//! A digest is only used where the bucket's listing has the same. A key that is recorded was in the
//! bucket; if it no longer is, Mastodon has deleted it. A key that is not recorded was never in the
//! bucket, where the journal is complete ([`Journal::is_complete`]). Records are committed in batches by
//! a thread of their own; a killed run loses the last batch at most.

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
use self::store::{ABOUT, COMPLETE, Store, StoreError, UPLOADS, VERSION, open};
pub use self::writer::Writer;

use crate::error::{Error, Result};

/// An open journal. One process writes to it at a time.
#[derive(Clone, Debug)]
pub struct Journal {
    store: Arc<Store>,
    path: PathBuf,
    complete: bool,
}

impl Journal {
    /// Opens the journal at `path`, created where there is none, to read and write. `about` names the
    /// directory and bucket it belongs to: the journal of another pair is renamed.
    ///
    /// The second value is a note for the user: that a broken journal was renamed.
    ///
    /// # Errors
    /// Where another run has it open, or where it cannot be written.
    pub fn open(path: &Path, about: &str) -> Result<(Journal, Option<String>)> {
        let about = format!("{VERSION}\n{about}");
        let failed = |cause: crate::error::Cause| cannot_open(path, cause);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(|e| {
                failed(e.into()).hint("give a directory that can be written with `--state-dir`")
            })?;
        }
        let (database, note) = match open(path, &about) {
            Ok(database) => (database, None),
            Err(StoreError::InUse) => return Err(in_use(path)),
            // The run goes on with an empty journal and records nothing.
            Err(StoreError::Io(e)) if e.kind() == io::ErrorKind::StorageFull => {
                let journal = Journal::of(Store::Absent, path);
                let note = format!(
                    "the journal was not written (I/O error: {e}); the next run reads more files, and uploads none twice"
                );
                return Ok((journal, Some(note)));
            }
            Err(StoreError::Io(e)) => {
                return Err(failed(e.into()).hint(
                    "check the disk and the permissions of the directory, or give another one with `--state-dir`",
                ));
            }
            Err(StoreError::Broken(cause)) => {
                let aside = path.with_extension("broken");
                fs::rename(path, &aside).map_err(|e| failed(e.into()))?;
                let database = open(path, &about).map_err(|e| failed(format!("{e:?}").into()))?;
                let note = format!(
                    "the journal `{}` could not be used ({cause}); it was renamed to `{}` and is rebuilt, which reads every file once",
                    path.display(),
                    aside.display()
                );
                (database, Some(note))
            }
        };
        Ok((Journal::of(Store::Writable(database), path), note))
    }

    /// For a run that does not record each key before it sends it: the journal is not complete until the
    /// run has ended cleanly.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn mark_incomplete(&self) -> Result<()> {
        if !self.complete {
            return Ok(());
        }
        let changed = self.store.change(|transaction| {
            transaction.open_table(ABOUT)?.remove(COMPLETE)?;
            Ok(())
        });
        changed.map_err(|e| {
            Error::new(format!("write the journal `{}`", self.path.display())).cause(e)
        })
    }

    /// Opens the journal at `path` to read only: nothing is created or changed on disk. The second value
    /// is a note for the user: that it cannot be read without a repair, and counts as empty.
    ///
    /// # Errors
    /// Where another run writes to it.
    pub fn read_only(path: &Path) -> Result<(Journal, Option<String>)> {
        let mut note = None;
        let store = match ReadOnlyDatabase::open(path) {
            Ok(database) => Store::ReadOnly(database),
            Err(DatabaseError::DatabaseAlreadyOpen) => return Err(in_use(path)),
            Err(DatabaseError::Storage(redb::StorageError::Io(e)))
                if e.kind() == io::ErrorKind::NotFound =>
            {
                Store::Absent
            }
            Err(e) => {
                note = Some(format!(
                    "the journal `{}` cannot be read until the next `medialift sync` has repaired it ({e}): every file is read instead",
                    path.display()
                ));
                Store::Absent
            }
        };
        Ok((Journal::of(store, path), note))
    }

    fn of(store: Store, path: &Path) -> Journal {
        Journal {
            complete: store.is_complete(),
            store: Arc::new(store),
            path: path.to_owned(),
        }
    }

    /// Whether a key that is not recorded was never in the bucket: a run over all paths has ended
    /// cleanly, and none was killed since.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// The records in key order.
    pub fn cursor(&self) -> Cursor {
        Cursor::new(self.store.clone(), self.path.clone())
    }

    /// Starts the thread that writes records. A read-only journal drops them.
    pub fn writer(&self) -> Writer {
        Writer::begin(self.store.clone())
    }

    /// Id of the multipart upload of `key` that an earlier run has created.
    pub fn upload(&self, key: &str) -> Option<String> {
        let transaction = self.store.begin_read().ok()??;
        let table = transaction.open_table(UPLOADS).ok()?;
        Some(table.get(key).ok()??.value().to_owned())
    }

    /// Records a multipart upload at once; `None` removes it. Blocks.
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

fn in_use(path: &Path) -> Error {
    cannot_open(path, "another medialift process is using it")
        .hint("wait until that process has ended, then run the command again")
}

#[cfg(test)]
mod tests;
