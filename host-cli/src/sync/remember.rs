//! What a run writes into the journal about each key, and when: before a key is sent, after that, and
//! about keys that need no work. Pure, so that random histories run the same.

use crate::decide::Decision;
use crate::journal::Recorded;
use crate::mastodon::Owner;
use crate::pairs::Pair;
use crate::upload::Outcome;

/// A change of what the journal has about one key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    /// It has this.
    Record(Recorded),
    /// It has nothing.
    Forget,
}

/// What is remembered in one run.
#[derive(Clone, Debug)]
pub(crate) struct Remember {
    owner: Owner,
    /// The journal was settled when the run began.
    settled: bool,
}

/// How far a run came.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// It came to its end by itself, and every path took part.
    pub(crate) whole: bool,
    /// Uploads were cut off, whose outcome nobody knows.
    pub(crate) cut_off: bool,
    /// What the bucket lacked was sent although nothing told whether it ever was there.
    pub(crate) sent_unclear: bool,
}

impl Remember {
    pub(crate) fn new(owner: Owner, settled: bool) -> Remember {
        Remember { owner, settled }
    }

    /// Whether the journal is not settled from the beginning of the run to its end: keys are not
    /// written down before they are sent.
    pub(crate) fn unsettles(&self) -> bool {
        self.owner == Owner::Disk
    }

    /// Whether each key is written down before it is sent: if the run is killed meanwhile, it must not
    /// pass for one that never was there.
    pub(crate) fn announces(&self) -> bool {
        match self.owner {
            Owner::Disk => false,
            Owner::Bucket => true,
            // Without such a promise nothing is taken for what never was there.
            Owner::Unknown(_) => self.settled,
        }
    }

    /// About a key that is neither read nor sent.
    pub(crate) fn left(&self, pair: &Pair, decision: Decision) -> Option<Note> {
        match decision {
            // A file may be away for a moment only; while the bucket is Mastodon's, that it is recorded
            // tells that it was there.
            Decision::Gone => (self.owner == Owner::Disk).then_some(Note::Forget),
            // Its file may be away too. What is in the bucket when a run settles the journal is recorded.
            Decision::OnlyThere | Decision::Delete if self.unsettles() || !self.settled => {
                let unknown = pair.known.is_none();
                unknown.then(|| Note::Record(Recorded::seen()))
            }
            _ => seen(pair),
        }
    }

    /// After a file's turn, also where it ends the run: an answer that is lost tells nothing. `stored`: a
    /// former state of the file that this turn has put into the bucket.
    pub(crate) fn after(
        &self,
        pair: &Pair,
        stored: Option<Recorded>,
        outcome: &Outcome,
    ) -> Option<Note> {
        match outcome {
            // The object is ours, or the next run would leave the file as a conflict.
            Outcome::Hidden { .. } | Outcome::Skipped(_) | Outcome::Failed(_)
                if stored.is_some() =>
            {
                stored.map(Note::Record)
            }
            Outcome::Uploaded { record, .. } | Outcome::Same { record, .. } => {
                record.map(Note::Record)
            }
            // Both are there, also where the object came after the listing.
            Outcome::Conflict(_) => {
                let unclear = pair.known.is_none_or(|known| known.sending);
                unclear.then(|| Note::Record(Recorded::seen()))
            }
            Outcome::Hidden { maybe_sent: true } | Outcome::Skipped(_) => unclear(pair),
            Outcome::Failed(error) if !error.is_surely_not_stored() => unclear(pair),
            // Only what this run has written down: an earlier one's doubt stays.
            Outcome::Failed(_) | Outcome::Hidden { maybe_sent: false } => {
                (self.announces() && pair.known.is_none()).then_some(Note::Forget)
            }
        }
    }

    /// Whether what is not recorded from now on was never in the bucket: all that is there was seen in
    /// this run, or had been in runs before it.
    pub(crate) fn settles(&self, reach: Reach) -> bool {
        match self.owner {
            Owner::Disk => !reach.cut_off && (self.settled || reach.whole),
            Owner::Bucket => self.settled || reach.whole && reach.sent_unclear,
            // Keys were not written down before they were sent.
            Owner::Unknown(_) => {
                self.settled || reach.whole && reach.sent_unclear && !reach.cut_off
            }
        }
    }
}

/// That a key was in the bucket beside a local file is remembered, whatever is decided: when it is gone
/// there, Mastodon has deleted it.
fn seen(pair: &Pair) -> Option<Note> {
    let beside = pair.local.is_some() && pair.object.is_some() && pair.known.is_none();
    beside.then(|| Note::Record(Recorded::seen()))
}

/// The same for a file that was not sent to its end: an earlier try may have reached the bucket.
fn unclear(pair: &Pair) -> Option<Note> {
    let unknown = pair.object.is_none() && pair.known.is_none();
    let sending = || Note::Record(Recorded::sending());
    seen(pair).or_else(|| unknown.then(sending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::S3Error;
    use crate::tree::{SkipReason, Skipped, Stamp};

    #[test]
    fn a_file_that_was_hidden_before_it_was_sent_leaves_no_doubt() {
        let remember = Remember::new(Owner::Bucket, true);
        let pair = Pair {
            path: "a.png".to_owned(),
            local: None,
            object: None,
            known: None,
        };
        let after = |maybe_sent| remember.after(&pair, None, &Outcome::Hidden { maybe_sent });
        assert!(matches!(after(false), Some(Note::Forget)));
        assert!(matches!(after(true), Some(Note::Record(record)) if record.sending));
    }

    #[test]
    fn a_former_state_that_was_stored_is_ours_when_its_file_is_given_up() {
        let stamp = Stamp::default();
        let stored = Recorded::same(stamp, "900150983cd24fb0d6963f7d28e17f72");
        let pair = |known| Pair {
            path: "a.png".to_owned(),
            local: None,
            object: None,
            known,
        };
        let outcomes = || {
            let skipped = Skipped {
                path: "a.png".to_owned(),
                reason: SkipReason::Changing,
                detail: None,
            };
            let lost = S3Error::local("a.png", std::io::Error::other("the answer is lost"));
            [
                Outcome::Skipped(skipped),
                Outcome::Hidden { maybe_sent: true },
                Outcome::Failed(Box::new(lost)),
            ]
        };
        for owner in [Owner::Disk, Owner::Bucket] {
            let remember = Remember::new(owner, true);
            for known in [None, Some(Recorded::sending()), Some(Recorded::seen())] {
                for outcome in outcomes() {
                    let note = remember.after(&pair(known), stored, &outcome);
                    assert_eq!(note, stored.map(Note::Record), "{outcome:?}");
                }
            }
        }
    }
}
