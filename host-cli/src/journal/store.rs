//! The database of a journal: its tables, and how it is opened, read and changed.

use std::io;
use std::path::Path;

use redb::{
    Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase, TableDefinition,
};

pub(super) const FILES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("files");
pub(super) const ABOUT: TableDefinition<'_, &str, &str> = TableDefinition::new("about");
/// Key to upload id.
pub(super) const UPLOADS: TableDefinition<'_, &str, &str> = TableDefinition::new("uploads");

/// Changes when the layout of a record does; a journal of another version is not read.
pub(super) const VERSION: &str = "2";

/// A key of [`ABOUT`], present while the journal is complete. Its name on disk is older than that word.
pub(super) const COMPLETE: &str = "settled";

/// Cached pages: records are read and written almost in order, so few are needed.
const CACHE_BYTES: usize = 2 * 1024 * 1024;

/// The database of a journal.
pub(super) enum Store {
    Writable(Database),
    ReadOnly(ReadOnlyDatabase),
    /// There is none, and none is created.
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
    pub(super) fn begin_read(&self) -> Result<Option<ReadTransaction>, redb::Error> {
        Ok(match self {
            Store::Writable(database) => Some(database.begin_read()?),
            Store::ReadOnly(database) => Some(database.begin_read()?),
            Store::Absent => None,
        })
    }

    pub(super) fn change(
        &self,
        change: impl FnOnce(&redb::WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), redb::Error> {
        if let Store::Writable(database) = self {
            let transaction = database.begin_write()?;
            change(&transaction)?;
            transaction.commit()?;
        }
        Ok(())
    }

    /// See [`super::Journal::is_complete`].
    pub(super) fn is_complete(&self) -> bool {
        let read = || -> Result<bool, redb::Error> {
            let Some(transaction) = self.begin_read()? else {
                return Ok(false);
            };
            Ok(transaction.open_table(ABOUT)?.get(COMPLETE)?.is_some())
        };
        read().unwrap_or(false)
    }
}

#[derive(Debug)]
pub(super) enum StoreError {
    InUse,
    Io(io::Error),
    Broken(String),
}

/// Opens the database at `path`, created where there is none.
pub(super) fn open(path: &Path, about: &str) -> Result<Database, StoreError> {
    let broken = |e: &dyn std::fmt::Display| StoreError::Broken(e.to_string());
    let database = Database::builder()
        .set_cache_size(CACHE_BYTES)
        .create(path)
        .map_err(|e| match e {
            DatabaseError::DatabaseAlreadyOpen => StoreError::InUse,
            DatabaseError::Storage(redb::StorageError::Io(e))
                if !matches!(
                    e.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                StoreError::Io(e)
            }
            e => broken(&e),
        })?;
    let known = known_about(&database).map_err(|e| broken(&e))?;
    match known.as_deref() {
        Some(known) if known == about => Ok(database),
        Some(_) => Err(broken(&"it belongs to another directory or bucket")),
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
                redb::Error::Io(e) => StoreError::Io(e),
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
