//! Records in key order, read beside a walk.

use std::collections::VecDeque;
use std::ops::Bound;
use std::sync::Arc;

use super::{FILES, Recorded, Store};

/// Records read at a time, so that no read transaction keeps old pages alive for long.
const READ_BATCH: usize = 1000;

/// Records in key order, read beside a walk.
#[derive(Debug)]
pub struct Cursor {
    store: Arc<Store>,
    ahead: VecDeque<(String, Recorded)>,
    last: Option<String>,
    ended: bool,
}

impl Cursor {
    pub(super) fn new(store: Arc<Store>) -> Self {
        Cursor {
            store,
            ahead: VecDeque::new(),
            last: None,
            ended: false,
        }
    }

    /// The path of the next record, if there is one before `path`, or any where there is no `path`.
    pub fn next_before(&mut self, path: Option<&str>) -> Option<(String, Recorded)> {
        if self.ahead.is_empty() && !self.read_ahead() {
            return None;
        }
        let ahead = self.ahead.front()?.0.as_str();
        if path.is_none_or(|path| ahead < path) {
            self.ahead.pop_front()
        } else {
            None
        }
    }

    /// The record of `path`. Paths come in ascending order, after [`Cursor::next_before`] has given all
    /// records before it.
    pub fn take(&mut self, path: &str) -> Option<Recorded> {
        let (ahead, _) = self.ahead.front()?;
        if ahead == path {
            self.ahead.pop_front().map(|(_, record)| record)
        } else {
            None
        }
    }

    /// Reads the next batch; an unreadable journal reads as an empty one.
    fn read_ahead(&mut self) -> bool {
        if self.ended {
            return false;
        }
        match read_batch(&self.store, self.last.as_deref()) {
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
    store: &Store,
    after: Option<&str>,
) -> Result<VecDeque<(String, Recorded)>, redb::Error> {
    let Some(transaction) = store.begin_read()? else {
        return Ok(VecDeque::new());
    };
    let table = transaction.open_table(FILES)?;
    let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
    let mut batch = VecDeque::with_capacity(READ_BATCH);
    for row in table
        .range::<&str>((begin, Bound::Unbounded))?
        .take(READ_BATCH)
    {
        let (path, bytes) = row?;
        // A record that does not read counts as none: its file is read again.
        if let Some(record) = Recorded::from_bytes(bytes.value()) {
            batch.push_back((path.value().to_owned(), record));
        }
    }
    Ok(batch)
}
