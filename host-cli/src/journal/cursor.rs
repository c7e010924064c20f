//! Records in key order.

use std::collections::VecDeque;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

use redb::TableError;

use super::record::Recorded;
use super::store::{FILES, Store};
use crate::error::{Error, Result};

/// Records read at a time, so that no read transaction keeps old pages alive for long.
const READ_BATCH: usize = 1000;

/// Records in key order, read in parallel with the walk.
#[derive(Debug)]
pub struct Cursor {
    store: Arc<Store>,
    path: PathBuf,
    ahead: VecDeque<(String, Recorded)>,
    last: Option<String>,
    ended: bool,
}

impl Cursor {
    pub(super) fn new(store: Arc<Store>, path: PathBuf) -> Self {
        Cursor {
            store,
            path,
            ahead: VecDeque::new(),
            last: None,
            ended: false,
        }
    }

    /// The path of the next record, if there is one before `path`, or any where there is no `path`.
    ///
    /// # Errors
    /// Where the journal cannot be read to its end: records that are missing would make files look new.
    pub fn next_before(&mut self, path: Option<&str>) -> Result<Option<(String, Recorded)>> {
        if self.ahead.is_empty() {
            self.read_ahead()?;
        }
        Ok(self
            .ahead
            .pop_front_if(|(ahead, _)| path.is_none_or(|path| ahead.as_str() < path)))
    }

    /// The record of `path`. Call it in ascending order of paths, after [`Cursor::next_before`] has
    /// returned all records before `path`.
    pub fn take(&mut self, path: &str) -> Option<Recorded> {
        let (ahead, _) = self.ahead.front()?;
        if ahead == path {
            self.ahead.pop_front().map(|(_, record)| record)
        } else {
            None
        }
    }

    fn read_ahead(&mut self) -> Result<()> {
        if self.ended {
            return Ok(());
        }
        self.ahead = read_batch(&self.store, self.last.as_deref()).map_err(|e| {
            Error::new(format!("read the journal `{}`", self.path.display()))
                .cause(e)
                .hint("check the disk; if the file is damaged, rename it and run the command again, which reads every file once")
        })?;
        match self.ahead.back() {
            Some((path, _)) => self.last = Some(path.clone()),
            None => self.ended = true,
        }
        Ok(())
    }
}

fn read_batch(
    store: &Store,
    after: Option<&str>,
) -> Result<VecDeque<(String, Recorded)>, redb::Error> {
    let Some(transaction) = store.begin_read()? else {
        return Ok(VecDeque::new());
    };
    let table = match transaction.open_table(FILES) {
        // A run was killed while it created the journal.
        Err(TableError::TableDoesNotExist(_)) => return Ok(VecDeque::new()),
        opened => opened?,
    };
    let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut batch = VecDeque::with_capacity(READ_BATCH);
    for row in table
        .range::<&str>((begin, Bound::Unbounded))?
        .take(READ_BATCH)
    {
        let (path, bytes) = row?;
        // Of a record that cannot be decoded, only its existence is known.
        let record = Recorded::from_bytes(bytes.value()).unwrap_or_else(Recorded::sending);
        batch.push_back((path.value().to_owned(), record));
    }
    Ok(batch)
}
