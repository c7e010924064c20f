//! Which keys are being filled in this isolate, and how the last fill of a key ended.
//!
//! nginx's `proxy_cache_lock`: of many readers of an absent object one fetches it, and the others
//! wait until it is stored. The table holds plain data and no promise: the runtime forbids one
//! request to await what another has started, so a waiter looks in here at its own pace.

use crate::policy::origin_error::OriginError;
use crate::policy::time::UnixMillis;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// How long a fill keeps others from filling the same key, in milliseconds: nginx's
/// `proxy_cache_lock_age`. After that the next reader fills as well.
///
/// The runtime gives a request up without dropping its futures, so a lock cannot end with `Drop`
/// alone. And the first reader of an object sets the pace of the fill: one who stops reading must
/// not keep the object out of the store.
pub const LOCK_AGE_MILLISECONDS: u64 = 10_000;

/// How long the end of a fill is known, in milliseconds: longer than a waiter's longest pause, and
/// than a look into the store takes.
const MEMORY_MILLISECONDS: u64 = 1_000;

/// The locks of one isolate. A clone is another handle on the same table.
#[derive(Clone, Debug, Default)]
pub struct Locks(Rc<RefCell<Table>>);

#[derive(Debug, Default)]
struct Table {
    keys: HashMap<String, KeyState>,
    /// Each key once, with the moment since which it is in the table or was last looked at, in this order.
    order: VecDeque<(UnixMillis, String)>,
    last_permit: u64,
}

#[derive(Debug, Default)]
struct KeyState {
    filling: Option<Filling>,
    last: Option<(Ended, UnixMillis)>,
}

#[derive(Debug)]
struct Filling {
    permit: u64,
    began: UnixMillis,
}

/// The right to fill a key. Dropped before [`Permit::end`], it has been abandoned.
#[derive(Debug)]
pub struct Permit {
    locks: Locks,
    cache_key: String,
    number: u64,
}

/// How a fill has ended. One that was abandoned leaves no trace: the next reader fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The answer was given to the store.
    Stored,
    /// The answer is none that is stored. Its body was its reader's: others need a fetch each.
    Uncacheable,
    /// There is no answer but this, and it is the answer for all who waited.
    Failed(OriginError),
    /// The fetch broke off, or a copy in the store has covered for it: nothing to tell the others.
    Abandoned,
}

/// What a reader who has found nothing, or a stale copy, is to do.
#[derive(Debug)]
pub enum Turn {
    /// Fetch the object and store it.
    Fill(Permit),
    /// Another fills: wait for it, or do with the stale copy.
    Wait,
    /// A fill has ended since the look began: look again.
    LookUpAgain,
    /// Another fills, but the key's answers were not storable a moment ago: do not wait.
    Bypass,
}

impl Locks {
    /// Whose turn it is, for a reader whose look into the store began at `looked_up_at`.
    pub fn turn(&self, cache_key: &str, looked_up_at: UnixMillis, now: UnixMillis) -> Turn {
        let mut table = self.0.borrow_mut();
        table.forget(now);
        let state = table.keys.get(cache_key);
        let last = state.and_then(|state| state.last);
        let last = last.filter(|(_, at)| now < at.plus_millis(MEMORY_MILLISECONDS));
        if let Some((Ended::Stored, at)) = last
            && at >= looked_up_at
        {
            return Turn::LookUpAgain;
        }
        let is_filling = |filling: &Filling| now < filling.began.plus_millis(LOCK_AGE_MILLISECONDS);
        if state.is_some_and(|state| state.filling.as_ref().is_some_and(is_filling)) {
            return match last {
                Some((Ended::Uncacheable, _)) => Turn::Bypass,
                _ => Turn::Wait,
            };
        }
        table.last_permit += 1;
        let number = table.last_permit;
        let filling = Some(Filling {
            permit: number,
            began: now,
        });
        if let Some(state) = table.keys.get_mut(cache_key) {
            state.filling = filling;
        } else {
            let state = KeyState {
                filling,
                last: None,
            };
            table.keys.insert(cache_key.to_owned(), state);
            table.order.push_back((now, cache_key.to_owned()));
        }
        Turn::Fill(Permit {
            locks: self.clone(),
            cache_key: cache_key.to_owned(),
            number,
        })
    }

    /// For a reader who waits since `since`: how the fill has ended; `None` while it goes on.
    pub fn ended_since(
        &self,
        cache_key: &str,
        since: UnixMillis,
        now: UnixMillis,
    ) -> Option<Ended> {
        let table = self.0.borrow();
        let Some(state) = table.keys.get(cache_key) else {
            return Some(Ended::Abandoned);
        };
        match (&state.last, &state.filling) {
            (Some((ended, at)), _) if *at >= since => Some(*ended),
            (_, Some(filling)) if now < filling.began.plus_millis(LOCK_AGE_MILLISECONDS) => None,
            _ => Some(Ended::Abandoned),
        }
    }

    /// After a purge: the next reader need not wait for a fill that began before it.
    pub fn release(&self, cache_key: &str) {
        if let Some(state) = self.0.borrow_mut().keys.get_mut(cache_key) {
            *state = KeyState::default();
        }
    }

    /// Whether the table holds nothing at `now`.
    pub fn is_empty(&self, now: UnixMillis) -> bool {
        let mut table = self.0.borrow_mut();
        table.forget(now);
        table.keys.is_empty()
    }
}

impl Table {
    /// Forgets the keys about which nothing is known any more: the fill has ended and its end is no news,
    /// or the runtime gave it up.
    fn forget(&mut self, now: UnixMillis) {
        while let Some((at, _)) = self.order.front()
            && at.plus_millis(LOCK_AGE_MILLISECONDS) <= now
            && let Some((_, cache_key)) = self.order.pop_front()
        {
            let is_known = self.keys.get(&cache_key).is_some_and(|state| {
                let filling = state.filling.as_ref();
                filling
                    .is_some_and(|filling| now < filling.began.plus_millis(LOCK_AGE_MILLISECONDS))
                    || state
                        .last
                        .is_some_and(|(_, at)| now < at.plus_millis(MEMORY_MILLISECONDS))
            });
            if is_known {
                self.order.push_back((now, cache_key));
            } else {
                self.keys.remove(&cache_key);
            }
        }
    }
}

impl Permit {
    /// Ends the fill, and tells those who wait how.
    pub fn end(self, ended: Ended, now: UnixMillis) {
        let mut table = self.locks.0.borrow_mut();
        // One who was overtaken has stored the object all the same.
        if ended != Ended::Abandoned
            && let Some(state) = table.keys.get_mut(&self.cache_key)
            && (state.is_filled_by(self.number) || ended == Ended::Stored)
        {
            state.last = Some((ended, now));
        }
        // The rest is `drop`'s.
    }
}

impl KeyState {
    fn is_filled_by(&self, permit: u64) -> bool {
        let filling = self.filling.as_ref();
        filling.is_some_and(|filling| filling.permit == permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut table = self.locks.0.borrow_mut();
        // Another may have taken over, or a purge may have released the key.
        if let Some(state) = table.keys.get_mut(&self.cache_key)
            && state.is_filled_by(self.number)
        {
            state.filling = None;
        }
    }
}

#[cfg(test)]
mod tests;
