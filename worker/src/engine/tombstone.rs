//! What a purge leaves in the store: a mark by which a fill sees that it has been overtaken.
//!
//! The store is shared by every isolate of a data centre; the table of fills is one isolate's, and
//! is lost when that starts anew. So a purge writes its mark into the store before it deletes. A
//! fill reads the mark before it asks the origin, and again before and after each write: where it
//! has changed, what the fill has written is taken back. Marks are compared for being the same, so
//! no two isolates need the same clock.
//!
//! A hit reads no mark, for that would be a second look-up. So one window stays open: between a
//! late fill's write and its taking back, some milliseconds, the readers of *other* isolates are
//! given the old bytes. Where the runtime gives that very fill up in between, they stay until the
//! copy's time is over or it is purged again; the fill's own isolate removes them as soon as its
//! lease has ended. The same holds where the store loses a mark before its time.

use super::Engine;
use super::fills::FillLock;
use super::outside::{Found, NotStored, Origin, Runtime, Store, Wanted};
use crate::policy::conditional::Validators;
use crate::policy::fields::Fields;

/// What the name of a mark has at its end. No object's path has a `?` in it.
const SUFFIX: &str = "?purged";

/// For how long a mark is kept, in milliseconds, and so how long a fill may take to be stored: one
/// that takes longer could not know any more that it has been overtaken.
pub const LIFETIME_MILLISECONDS: u64 = 3_600_000;

/// Which purge was the last before a fill: its mark, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct LastPurge(Option<String>);

/// A fill's right to write: its lock, and what it knew when it began.
pub(super) struct Claim {
    pub(super) lock: FillLock,
    pub(super) before: LastPurge,
}

impl<S, O, R> Engine<S, O, R>
where
    S: Store,
    O: Origin<Body = S::Body>,
    R: Runtime,
{
    /// The mark of the last purge.
    pub(super) async fn last_purge(&self, path: &str) -> LastPurge {
        let found = self.store.find(&name(path), Wanted::Whole).await;
        LastPurge(found.and_then(|found| {
            let fields = found.fields();
            Validators::of(&fields).etag.map(str::to_owned)
        }))
    }

    /// Leaves a mark that differs from every other.
    pub(super) async fn mark_purge(&self, path: &str) -> Result<(), NotStored> {
        let mark = format!("\"{}-{}\"", self.runtime.now().0, self.runtime.unique());
        let age = format!("max-age={}", LIFETIME_MILLISECONDS / 1000);
        let fields = Fields::from_iter([("ETag", mark), ("Cache-Control", age)]);
        self.store.put(&name(path), 200, fields, None).await
    }

    /// Whether what this fill writes may stay: no purge has overtaken it, here or elsewhere.
    pub(super) async fn holds(&self, claim: &Claim, path: &str) -> bool {
        if !claim.lock.is_still_valid() {
            return false;
        }
        let last = self.last_purge(path).await;
        // A mark that has gone since was an old one.
        let overtaken = last.0.is_some() && last != claim.before;
        let in_time = self.runtime.now().0 < claim.lock.began() + LIFETIME_MILLISECONDS;
        !overtaken && in_time && claim.lock.is_still_valid()
    }
}

fn name(path: &str) -> String {
    [path, SUFFIX].concat()
}
