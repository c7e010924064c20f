//! Buffers for bytes on their way from the disk to the network, used again and again.
//!
//! They are filled on one thread and let go on another, which scatters an allocator's memory over
//! its arenas; kept here, a run holds about what it has under way and little more. Leaves to others: how
//! much may be under way.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Lengths are rounded up to this, so that buffers fit again.
const STEP: usize = 16 * 1024;

/// Bytes of all buffers beyond which none is kept for later: what is under way at a time where the
/// network takes it at once.
const MOST_KEPT: usize = 3 * 1024 * 1024;

static STORE: Mutex<Store> = Mutex::new(Store {
    idle: Vec::new(),
    bytes: 0,
});

struct Store {
    /// Buffers that wait, the one that was used last at the end.
    idle: Vec<Vec<u8>>,
    /// Of all buffers, those in use included.
    bytes: usize,
}

impl Store {
    /// Lets buffers that wait go, the oldest first, until there is room for `more` bytes.
    fn make_room(&mut self, more: usize) {
        while self.bytes + more > MOST_KEPT && !self.idle.is_empty() {
            self.bytes -= self.idle.remove(0).len();
        }
    }
}

fn store() -> MutexGuard<'static, Store> {
    STORE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A buffer; what is in it at first is of no meaning.
pub(crate) struct Buffer {
    /// As long as its class.
    bytes: Vec<u8>,
    length: usize,
}

impl Buffer {
    /// A buffer of `length` bytes.
    pub(crate) fn of(length: usize) -> Self {
        let class = class(length);
        let mut store = store();
        let found = store.idle.iter().rposition(|kept| kept.len() == class);
        let bytes = match found {
            Some(at) => store.idle.remove(at),
            None => {
                store.make_room(class);
                store.bytes += class;
                drop(store);
                vec![0; class]
            }
        };
        Buffer { bytes, length }
    }

    /// Keeps only the first `length` bytes.
    pub(crate) fn shorten(&mut self, length: usize) {
        self.length = self.length.min(length);
    }

    /// Its bytes, to be sent; when the last copy is dropped, the buffer is free again.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

/// The memory that a buffer of `length` bytes takes.
pub(crate) fn class(length: usize) -> usize {
    length.max(1).next_multiple_of(STEP)
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.length]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut store = store();
        store.idle.push(bytes);
        store.make_room(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_as_long_as_asked_for_and_holds_what_is_written() {
        for length in [0, 1, STEP, STEP + 1, 300_000] {
            let mut buffer = Buffer::of(length);
            assert_eq!(buffer.len(), length);
            buffer.fill(7);
            buffer.shorten(length / 2);
            assert_eq!(buffer.into_bytes(), vec![7; length / 2]);
        }
    }

    #[test]
    fn what_is_kept_for_later_is_bounded() {
        let many: Vec<Buffer> = (0..200).map(|_| Buffer::of(100_000)).collect();
        drop(many);
        let store = store();
        let idle: usize = store.idle.iter().map(Vec::len).sum();
        assert!(idle <= MOST_KEPT && idle <= store.bytes);
    }
}
