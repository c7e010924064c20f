//! nginx's `proxy_cache_lock`: of many readers of an absent object one fetches it, and the others wait until
//! it is stored.
//!
//! The table knows which keys are being filled in this isolate, and how the last fill of each has ended. It
//! is plain data without a promise: the runtime forbids a request to await what another has started, so
//! waiting readers poll it.

use crate::policy::origin_error::OriginError;
use crate::policy::time::UnixMillis;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

/// How long a fill keeps others from filling the same key, in milliseconds: nginx's
/// `proxy_cache_lock_age`. After that the next reader fills as well.
///
/// The lock needs an age because the runtime may end a request without dropping its futures, and because
/// a first reader who stops reading stops the fill.
pub const LOCK_AGE_MILLISECONDS: u64 = 10_000;

/// How long the end of a fill is remembered, in milliseconds: longer than a waiting reader's longest pause,
/// and than a look-up in the store takes.
const END_REMEMBERED_MILLISECONDS: u64 = 1_000;

/// The locks of one isolate. Clones share one table.
#[derive(Clone, Debug, Default)]
pub struct Locks(Rc<RefCell<Table>>);

#[derive(Debug, Default)]
struct Table {
    keys: HashMap<String, KeyState>,
    /// Each key once, ordered by the moment when it was inserted or last checked.
    order: VecDeque<(UnixMillis, String)>,
    last_permit: u64,
}

#[derive(Debug, Default)]
struct KeyState {
    filling: Option<Filling>,
    last_end: Option<(Ended, UnixMillis)>,
}

#[derive(Debug)]
struct Filling {
    permit: u64,
    began: UnixMillis,
}

/// The right to fill a key. Dropped without [`Permit::end`], the fill is abandoned.
#[derive(Debug)]
pub struct Permit {
    locks: Locks,
    cache_key: String,
    number: u64,
}

/// How a fill has ended, for the readers who wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The answer was given to the store.
    Stored,
    /// The answer is not stored. Its body was for its reader: each of the others needs a fetch.
    Uncacheable,
    /// The error is the answer for all who waited.
    Failed(OriginError),
    /// There is no answer for others: the fill broke off, or its reader was served a stale copy. The table
    /// forgets it, and the next reader fills.
    Abandoned,
}

/// What a reader does who has found nothing, or a stale copy.
#[derive(Debug)]
pub enum Turn {
    /// Fetch the object and store it.
    Fill(Permit),
    /// Wait for another's fill, or serve the stale copy.
    Wait,
    /// Look up again: a fill has stored the object since the look-up began.
    LookUpAgain,
    /// Do not wait for another's fill: a moment ago the key's answer was uncacheable.
    Bypass,
}

impl Locks {
    /// What a reader does whose look-up in the store began at `looked_up_at`.
    pub fn turn(&self, cache_key: &str, looked_up_at: UnixMillis, now: UnixMillis) -> Turn {
        let mut table = self.0.borrow_mut();
        table.forget(now);
        let state = table.keys.get(cache_key);
        let last_end = state.and_then(|state| state.last_end);
        let last_end = last_end.filter(|(_, at)| now < at.plus_millis(END_REMEMBERED_MILLISECONDS));
        if let Some((Ended::Stored, at)) = last_end
            && at >= looked_up_at
        {
            return Turn::LookUpAgain;
        }
        if state.is_some_and(|state| state.is_being_filled(now)) {
            return match last_end {
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
                last_end: None,
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

    /// How the fill has ended, for a reader who waits since `since`; `None` while it runs.
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
        match state.last_end {
            Some((ended, at)) if at >= since => Some(ended),
            _ if state.is_being_filled(now) => None,
            _ => Some(Ended::Abandoned),
        }
    }

    /// After a purge: the next reader does not wait for a fill that began before it.
    pub fn release(&self, cache_key: &str) {
        if let Some(state) = self.0.borrow_mut().keys.get_mut(cache_key) {
            *state = KeyState::default();
        }
    }

    /// Whether the table is empty at `now`.
    pub fn is_empty(&self, now: UnixMillis) -> bool {
        let mut table = self.0.borrow_mut();
        table.forget(now);
        table.keys.is_empty()
    }
}

impl Table {
    /// Removes the keys whose fill is over and whose end is no longer remembered.
    fn forget(&mut self, now: UnixMillis) {
        while let Some((at, _)) = self.order.front()
            && at.plus_millis(LOCK_AGE_MILLISECONDS) <= now
            && let Some((_, cache_key)) = self.order.pop_front()
        {
            let is_known = |state: &KeyState| {
                let is_remembered =
                    |(_, at): (_, UnixMillis)| now < at.plus_millis(END_REMEMBERED_MILLISECONDS);
                state.is_being_filled(now) || state.last_end.is_some_and(is_remembered)
            };
            if self.keys.get(&cache_key).is_some_and(is_known) {
                self.order.push_back((now, cache_key));
            } else {
                self.keys.remove(&cache_key);
            }
        }
    }
}

impl Permit {
    /// Ends the fill, and notes how for those who wait.
    pub fn end(self, ended: Ended, now: UnixMillis) {
        let mut table = self.locks.0.borrow_mut();
        // A fill past its lock age may no longer own the key, but what it has stored is stored.
        if ended != Ended::Abandoned
            && let Some(state) = table.keys.get_mut(&self.cache_key)
            && (state.is_filled_by(self.number) || ended == Ended::Stored)
        {
            state.last_end = Some((ended, now));
        }
        // `drop` removes the lock.
    }
}

impl KeyState {
    fn is_being_filled(&self, now: UnixMillis) -> bool {
        let filling = self.filling.as_ref();
        filling.is_some_and(|filling| now < filling.began.plus_millis(LOCK_AGE_MILLISECONDS))
    }

    fn is_filled_by(&self, permit: u64) -> bool {
        let filling = self.filling.as_ref();
        filling.is_some_and(|filling| filling.permit == permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut table = self.locks.0.borrow_mut();
        // Another fill may own the key by now, or a purge may have released it.
        if let Some(state) = table.keys.get_mut(&self.cache_key)
            && state.is_filled_by(self.number)
        {
            state.filling = None;
        }
    }
}

#[cfg(test)]
mod tests;
