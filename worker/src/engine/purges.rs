//! Purges in engine mode, and the table of the last ones: what was asked for before a purge is not served
//! after it.
//!
//! A fill that a purge overtakes may store old bytes after the purge has deleted the copy. The record of a
//! stored answer says when the bucket was asked for it, so a query of the table shows whether it is too old.
//! The query is cheap where nothing was purged.
//!
//! The table is one isolate's. For the other isolates of this data centre, which share the store,
//! [`Engine::purge`] checks the store again for some time.

use super::{Engine, Found, Origin, Runtime, Store};
use crate::policy::time::UnixMillis;
use http::HeaderMap;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// How many purges are remembered, the newest ones. Some 200 bytes each.
const MAX_REMEMBERED: usize = 4_096;

/// The pauses before each check whether another isolate has stored old bytes after a purge, in milliseconds.
/// Their sum is less than the 30 seconds that the runtime gives to work after an answer
/// (developers.cloudflare.com/workers/runtime-apis/context/#waituntil).
const PAUSES_BEFORE_CHECKS: [u64; 4] = [1_000, 3_000, 7_000, 14_000];

/// The purges of one isolate. Clones share one table.
#[derive(Clone, Debug, Default)]
pub struct Purges(Rc<RefCell<Table>>);

#[derive(Debug, Default)]
struct Table {
    purged_at: HashMap<String, UnixMillis>,
    order: VecDeque<(UnixMillis, String)>,
}

impl Purges {
    /// Notes a purge.
    pub fn note(&self, cache_key: &str, now: UnixMillis) {
        let mut table = self.0.borrow_mut();
        table.purged_at.insert(cache_key.to_owned(), now);
        table.order.push_back((now, cache_key.to_owned()));
        if table.order.len() > MAX_REMEMBERED
            && let Some((at, oldest)) = table.order.pop_front()
            && table.purged_at.get(&oldest) == Some(&at)
        {
            table.purged_at.remove(&oldest);
        }
    }

    /// Whether an answer that the bucket was asked for at `asked_at` has been purged since. In the very
    /// millisecond of the purge it counts as older.
    pub fn has_overtaken(&self, cache_key: &str, asked_at: UnixMillis) -> bool {
        let table = self.0.borrow();
        let purged_at = table.purged_at.get(cache_key);
        purged_at.is_some_and(|purged_at| asked_at <= *purged_at)
    }
}

impl<S, O, R> Engine<S, O, R>
where
    S: Store,
    O: Origin<Body = S::Body>,
    R: Runtime,
{
    /// Deletes the stored answer. True where there was one.
    ///
    /// Once this has returned, no later read in this isolate is given what the bucket was asked for before.
    /// What a fill in another isolate of this data centre stores within the next 25 seconds is deleted in the
    /// background.
    pub async fn purge(&self, cache_key: &str) -> bool {
        let purged_at = self.runtime.now();
        self.purges.note(cache_key, purged_at);
        self.locks.release(cache_key);
        let was_there = self.store.delete(cache_key).await;
        let (engine, cache_key) = (self.clone(), cache_key.to_owned());
        self.runtime.spawn(async move {
            for pause in PAUSES_BEFORE_CHECKS {
                engine.runtime.sleep(pause).await;
                let found = engine.store.find(&cache_key, &HeaderMap::new()).await;
                let record = found.as_ref().and_then(Found::record);
                drop(found);
                if record.is_some_and(|record| record.asked_at <= purged_at) {
                    engine.store.delete(&cache_key).await;
                }
            }
        });
        was_there
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
        for number in 0..=MAX_REMEMBERED {
            purges.note(&number.to_string(), UnixMillis(10));
        }
        assert!(!purges.has_overtaken("0", UnixMillis(0)));
        assert!(purges.has_overtaken("1", UnixMillis(0)));
        let table = purges.0.borrow();
        assert_eq!(table.purged_at.len(), MAX_REMEMBERED);
    }

    #[test]
    fn a_key_that_is_purged_again_is_remembered_by_its_last_purge() {
        let purges = Purges::default();
        for now in 0..=MAX_REMEMBERED as u64 {
            purges.note("a", UnixMillis(now));
        }
        assert!(purges.has_overtaken("a", UnixMillis(MAX_REMEMBERED as u64)));
    }
}
