//! The last purges of this isolate: what was asked for before a purge may not be served after it.
//!
//! A fill that a purge overtakes stores old bytes after the purge has deleted the copy. Each stored
//! answer says when the bucket was asked for it, so a look into this table tells the two apart, and
//! costs nothing where nothing was purged.
//!
//! The table is one isolate's. Fills of the other isolates of this data centre are watched for by
//! the purge itself: see [`super::Engine::purge`].

use crate::policy::time::UnixMillis;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// How many purges are remembered, the newest first. Some 200 bytes each.
const REMEMBERED: usize = 4_096;

/// The purges of one isolate. A clone is another handle on the same table.
#[derive(Clone, Debug, Default)]
pub struct Purges(Rc<RefCell<Table>>);

#[derive(Debug, Default)]
struct Table {
    purged_at: HashMap<String, UnixMillis>,
    order: VecDeque<(String, UnixMillis)>,
}

impl Purges {
    /// Notes a purge.
    pub fn note(&self, cache_key: &str, now: UnixMillis) {
        let mut table = self.0.borrow_mut();
        table.purged_at.insert(cache_key.to_owned(), now);
        table.order.push_back((cache_key.to_owned(), now));
        if table.order.len() > REMEMBERED
            && let Some((oldest, at)) = table.order.pop_front()
            && table.purged_at.get(&oldest) == Some(&at)
        {
            table.purged_at.remove(&oldest);
        }
    }

    /// Whether an answer that the bucket was asked for at `asked_at` was purged since. In the very
    /// millisecond of the purge it counts as older.
    pub fn has_overtaken(&self, cache_key: &str, asked_at: UnixMillis) -> bool {
        let table = self.0.borrow();
        let purged_at = table.purged_at.get(cache_key);
        purged_at.is_some_and(|purged_at| asked_at <= *purged_at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_before_is_overtaken_and_nothing_else() {
        let purges = Purges::default();
        assert!(!purges.has_overtaken("a", UnixMillis(0)));
        purges.note("a", UnixMillis(10));
        assert!(purges.has_overtaken("a", UnixMillis(9)));
        assert!(purges.has_overtaken("a", UnixMillis(10)));
        assert!(!purges.has_overtaken("a", UnixMillis(11)));
        assert!(!purges.has_overtaken("b", UnixMillis(9)));
    }

    #[test]
    fn the_oldest_is_forgotten_first() {
        let purges = Purges::default();
        for number in 0..=REMEMBERED {
            purges.note(&number.to_string(), UnixMillis(10));
        }
        assert!(!purges.has_overtaken("0", UnixMillis(0)));
        assert!(purges.has_overtaken("1", UnixMillis(0)));
        let table = purges.0.borrow();
        assert_eq!(table.purged_at.len(), REMEMBERED);
    }

    #[test]
    fn a_key_that_is_purged_again_is_remembered_by_its_last_purge() {
        let purges = Purges::default();
        for now in 0..=REMEMBERED as u64 {
            purges.note("a", UnixMillis(now));
        }
        assert!(purges.has_overtaken("a", UnixMillis(REMEMBERED as u64)));
    }
}
