//! Who is filling which key in this isolate, and which of those fills a purge has overtaken.
//!
//! The table holds plain data and no promise: the runtime forbids one request to await what
//! another has started, so a waiter looks here at its own pace. It leaves the waiting, the
//! fetching and the storing to `engine.rs`.

use crate::policy::entry::Entry;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// How long a fill keeps its key, in milliseconds.
///
/// A fill whose request the runtime cancelled is never polled again and never dropped either, so
/// the lock cannot rely on `Drop` alone (nginx has `proxy_cache_lock_age` for the same reason).
pub const LOCK_LEASE_MILLISECONDS: u64 = 60_000;

/// The fills that are under way in one isolate. A clone is another handle on the same table.
#[derive(Clone, Debug, Default)]
pub struct Fills {
    table: Rc<RefCell<HashMap<String, Vec<Fill>>>>,
    last_token: Rc<Cell<u64>>,
    ended: Rc<Cell<u64>>,
    failures: Rc<Cell<u64>>,
}

#[derive(Debug)]
struct Fill {
    token: u64,
    /// Milliseconds since the epoch at which the lease ends.
    lease_end: u64,
    /// A purge was answered after this fill had begun: what it stores must not be served.
    purged: bool,
    /// It is writing under the key's own name just now.
    writing: bool,
    /// Purged: what a fill that began after the purge has stored since.
    successor: Option<Written>,
}

/// What a fill has stored, as far as it can be told from what another has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its record.
    pub entry: Option<Entry>,
    /// Its entity tag.
    pub etag: Option<String>,
}

/// The right to fill a key, held as a value: dropping it gives the key free, on every path.
#[derive(Debug)]
pub struct FillLock {
    fills: Fills,
    key: String,
    token: u64,
    began: u64,
}

/// Why what the store holds of a key is not to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// A purge has overtaken a fill that is under way: it may write old bytes at any moment.
    Overtaken,
    /// Such a fill was given up: it writes no more, but may have left old bytes.
    GivenUp,
}

impl Fills {
    /// Takes the lock of `key`, unless somebody holds it whose lease has not ended at `now`
    /// (milliseconds since the epoch). A fill that a purge has overtaken holds nothing any more.
    pub fn take(&self, key: &str, now: u64) -> Option<FillLock> {
        let mut table = self.table.borrow_mut();
        let fills = table.entry(key.to_owned()).or_default();
        // One that a purge has overtaken is known until somebody has removed what it may have left.
        fills.retain(|fill| fill.purged || fill.lease_end > now);
        if fills.iter().any(|fill| !fill.purged) {
            return None;
        }
        let token = self.last_token.get() + 1;
        self.last_token.set(token);
        fills.push(Fill {
            token,
            lease_end: now + LOCK_LEASE_MILLISECONDS,
            purged: false,
            writing: false,
            successor: None,
        });
        Some(FillLock {
            fills: self.clone(),
            key: key.to_owned(),
            token,
            began: now,
        })
    }

    /// Whether a fill of `key` is under way that no purge has overtaken.
    pub fn is_filling(&self, key: &str, now: u64) -> bool {
        self.any(key, |fill| !fill.purged && fill.lease_end > now)
    }

    /// Whether a fill of `key` is writing: what the store shows may be taken back.
    pub fn is_writing(&self, key: &str, now: u64) -> bool {
        self.any(key, |fill| fill.writing && fill.lease_end > now)
    }

    /// Whether the store may hold, or may be about to hold, bytes of `key` that a purge has
    /// already been answered for.
    pub fn trouble(&self, key: &str, now: u64) -> Option<Trouble> {
        if self.any(key, |fill| fill.purged && fill.lease_end > now) {
            return Some(Trouble::Overtaken);
        }
        self.any(key, |fill| fill.purged)
            .then_some(Trouble::GivenUp)
    }

    /// Whether what is stored was written after the purge that [`Trouble::Overtaken`] is about.
    pub fn is_after_purge(&self, key: &str, found: &Written) -> bool {
        let table = self.table.borrow();
        table.get(key).is_some_and(|fills| {
            let mut purged = fills.iter().filter(|fill| fill.purged);
            purged.all(|fill| fill.successor.as_ref() == Some(found))
        })
    }

    /// Forgets the fills behind [`Trouble::GivenUp`]: what they had left is removed.
    pub fn forget_given_up(&self, key: &str, now: u64) {
        let mut table = self.table.borrow_mut();
        if let Some(fills) = table.get_mut(key) {
            fills.retain(|fill| !fill.purged || fill.lease_end > now);
            if fills.is_empty() {
                table.remove(key);
            }
        }
    }

    /// Marks every fill of `key` as overtaken by a purge. The mark lasts a whole lease from `now`
    /// on, so that a fill that is late already is still known for what it is.
    pub fn purge(&self, key: &str, now: u64) {
        if let Some(fills) = self.table.borrow_mut().get_mut(key) {
            for fill in fills {
                fill.purged = true;
                fill.successor = None;
                fill.lease_end = now + LOCK_LEASE_MILLISECONDS;
            }
        }
    }

    /// How many fills of this isolate have ended, of whatever key: while this stands still, none of
    /// them has stored what a look into the store has missed.
    pub fn ended(&self) -> u64 {
        self.ended.get()
    }

    /// How many fills have failed to store a whole answer: while a look into the store sees this
    /// change, what it found may be what such a fill had left for a moment.
    pub fn failures(&self) -> u64 {
        self.failures.get()
    }

    /// Counts one.
    pub fn count_failure(&self) {
        self.failures.set(self.failures.get() + 1);
    }

    /// The number of keys in the table: 0 when nothing is under way.
    pub fn len(&self) -> usize {
        self.table.borrow().len()
    }

    /// Whether nothing is under way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn any(&self, key: &str, holds: impl Fn(&Fill) -> bool) -> bool {
        self.table
            .borrow()
            .get(key)
            .is_some_and(|fills| fills.iter().any(holds))
    }
}

impl FillLock {
    /// When the fill has begun, in milliseconds since the epoch.
    pub fn began(&self) -> u64 {
        self.began
    }

    /// Notes that the fill begins to write under its key's name, or has ended to.
    pub fn set_writing(&self, writing: bool) {
        if let Some(fills) = self.fills.table.borrow_mut().get_mut(&self.key) {
            let own = fills.iter_mut().find(|fill| fill.token == self.token);
            if let Some(fill) = own {
                fill.writing = writing;
            }
        }
    }

    /// Notes what has been stored, for those who look while a fill from before a purge still runs.
    pub fn note_written(&self, written: &Written) {
        if let Some(fills) = self.fills.table.borrow_mut().get_mut(&self.key) {
            for fill in fills.iter_mut().filter(|fill| fill.purged) {
                fill.successor = Some(written.clone());
            }
        }
    }

    /// Whether what this fill stored may stay: no purge has overtaken it, and nobody took the
    /// lock over when its lease had ended (a purge could not have marked it after that).
    pub fn is_still_valid(&self) -> bool {
        self.fills
            .any(&self.key, |fill| fill.token == self.token && !fill.purged)
    }
}

impl Drop for FillLock {
    fn drop(&mut self) {
        self.fills.ended.set(self.fills.ended.get() + 1);
        let mut table = self.fills.table.borrow_mut();
        if let Some(fills) = table.get_mut(&self.key) {
            fills.retain(|fill| fill.token != self.token);
            if fills.is_empty() {
                table.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_a_key() {
        let fills = Fills::default();
        let lock = fills.take("a", 0);
        assert!(lock.is_some());
        assert!(fills.take("a", 1).is_none());
        assert!(fills.take("b", 1).is_some(), "another key is another lock");
        drop(lock);
        assert!(fills.take("a", 2).is_some());
    }

    #[test]
    fn dropping_the_lock_leaves_nothing_behind() {
        let fills = Fills::default();
        drop(fills.take("a", 0));
        assert!(fills.is_empty());
    }

    #[test]
    fn a_lock_that_was_never_dropped_ends_with_its_lease() {
        let fills = Fills::default();
        std::mem::forget(fills.take("a", 0));
        assert!(fills.take("a", LOCK_LEASE_MILLISECONDS - 1).is_none());
        assert!(fills.take("a", LOCK_LEASE_MILLISECONDS).is_some());
    }

    #[test]
    fn a_fill_that_was_overtaken_by_another_is_not_valid() {
        let fills = Fills::default();
        let late = fills.take("a", 0).unwrap();
        assert!(late.is_still_valid());
        let _next = fills.take("a", LOCK_LEASE_MILLISECONDS).unwrap();
        assert!(!late.is_still_valid());
    }

    #[test]
    fn a_purge_marks_the_fill_under_way_and_no_later_one() {
        let fills = Fills::default();
        let before = fills.take("a", 0).unwrap();
        fills.purge("a", 1);
        assert!(!before.is_still_valid());
        assert_eq!(fills.trouble("a", 1), Some(Trouble::Overtaken));
        let after = fills.take("a", 1).unwrap();
        assert!(
            fills.take("a", 1).is_none(),
            "one fill after the purge, not many"
        );
        let written = Written {
            entry: None,
            etag: Some("\"2\"".to_owned()),
        };
        assert!(!fills.is_after_purge("a", &written));
        after.note_written(&written);
        assert!(fills.is_after_purge("a", &written));
        drop((before, after));
        assert_eq!(fills.trouble("a", 1), None);
        assert!(fills.take("a", 1).unwrap().is_still_valid());
    }

    #[test]
    fn a_fill_that_was_overtaken_and_given_up_is_known_until_its_traces_are_removed() {
        let fills = Fills::default();
        std::mem::forget(fills.take("a", 0));
        fills.purge("a", 1);
        let end = 1 + LOCK_LEASE_MILLISECONDS;
        assert_eq!(fills.trouble("a", end - 1), Some(Trouble::Overtaken));
        assert_eq!(fills.trouble("a", end), Some(Trouble::GivenUp));
        fills.forget_given_up("a", end);
        assert!(fills.is_empty());
    }
}
