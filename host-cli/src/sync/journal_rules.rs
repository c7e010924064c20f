//! What a run records in the journal about each key, and when: before a file is sent, after that, and
//! for keys that are neither read nor sent. Pure, so that the random histories run the same code.

use crate::decide::Decision;
use crate::journal::Recorded;
use crate::mastodon::Owner;
use crate::pairs::Pair;
use crate::upload::UploadOutcome;

/// A change of one key's record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JournalChange {
    /// Write this record.
    Record(Recorded),
    /// Remove the record.
    Remove,
}

/// The rules of one run.
#[derive(Clone, Debug)]
pub(crate) struct JournalRules {
    owner: Owner,
    /// The journal was complete when the run began.
    was_complete: bool,
}

/// What a run has covered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RunCoverage {
    /// It ended by itself, and every path took part.
    pub(crate) all_paths: bool,
    /// Uploads were aborted whose outcome is not known.
    pub(crate) uploads_aborted: bool,
    /// `--send-unrecorded`: files were sent whose object Mastodon may have deleted.
    pub(crate) sent_unrecorded: bool,
}

impl JournalRules {
    pub(crate) fn new(owner: Owner, was_complete: bool) -> JournalRules {
        JournalRules {
            owner,
            was_complete,
        }
    }

    /// Whether the journal is not complete while the run lasts, because keys are not recorded before
    /// they are sent.
    pub(crate) fn is_incomplete_during_run(&self) -> bool {
        self.owner == Owner::Disk
    }

    /// Whether each key is recorded before its file is sent: if the run is killed in between, a later one
    /// must not take the key for one that was never in the bucket.
    pub(crate) fn records_before_sending(&self) -> bool {
        match self.owner {
            Owner::Disk => false,
            Owner::Bucket => true,
            // Only a complete journal is used to conclude that a key was never in the bucket.
            Owner::Unknown(_) => self.was_complete,
        }
    }

    /// After the decision about a key that is neither read nor sent.
    pub(crate) fn after_decision(&self, pair: &Pair, decision: Decision) -> Option<JournalChange> {
        match decision {
            // The file may come back. Where Mastodon owns the bucket, the record is what shows then that
            // the object was there.
            Decision::Gone => (self.owner == Owner::Disk).then_some(JournalChange::Remove),
            // The file may come back here too. A complete journal has every key of the bucket.
            Decision::OnlyInBucket | Decision::Delete
                if self.is_incomplete_during_run() || !self.was_complete =>
            {
                let unknown = pair.recorded.is_none();
                unknown.then(|| JournalChange::Record(Recorded::seen()))
            }
            _ => seen_beside_file(pair),
        }
    }

    /// After an upload, also one that ends the run: where its answer was lost, it may have been stored.
    /// `stored`: the record of an earlier version of the file that this upload has stored.
    pub(crate) fn after_upload(
        &self,
        pair: &Pair,
        stored: Option<Recorded>,
        outcome: &UploadOutcome,
    ) -> Option<JournalChange> {
        match outcome {
            // The object is medialift's: without a record, the next run would report a conflict.
            UploadOutcome::Hidden { .. } | UploadOutcome::Skipped(_) | UploadOutcome::Failed(_)
                if stored.is_some() =>
            {
                stored.map(JournalChange::Record)
            }
            UploadOutcome::Uploaded { record, .. } | UploadOutcome::Same { record, .. } => {
                record.map(JournalChange::Record)
            }
            // File and object both exist, also where the object appeared after the listing.
            UploadOutcome::Conflict(_) => {
                let unconfirmed = pair.recorded.is_none_or(|recorded| recorded.sending);
                unconfirmed.then(|| JournalChange::Record(Recorded::seen()))
            }
            UploadOutcome::Hidden { maybe_sent: true } | UploadOutcome::Skipped(_) => {
                maybe_stored(pair)
            }
            UploadOutcome::Failed(error) if !error.is_surely_not_stored() => maybe_stored(pair),
            // Removes only what this run has recorded: an earlier run may have stored the file.
            UploadOutcome::Failed(_) | UploadOutcome::Hidden { maybe_sent: false } => {
                let recorded_now = self.records_before_sending() && pair.recorded.is_none();
                recorded_now.then_some(JournalChange::Remove)
            }
        }
    }

    /// Whether the journal is complete once the run has ended: every key of the bucket was seen in this
    /// run, or the journal had been complete before.
    pub(crate) fn is_complete_after(&self, coverage: RunCoverage) -> bool {
        let RunCoverage {
            all_paths,
            uploads_aborted,
            sent_unrecorded,
        } = coverage;
        match self.owner {
            Owner::Disk => !uploads_aborted && (self.was_complete || all_paths),
            // Without `--send-unrecorded`, a file that has neither object nor record was left, and may be
            // one that Mastodon has deleted.
            Owner::Bucket => self.was_complete || all_paths && sent_unrecorded,
            // Keys were not recorded before they were sent.
            Owner::Unknown(_) => {
                self.was_complete || all_paths && sent_unrecorded && !uploads_aborted
            }
        }
    }
}

/// A key with a local file and an object is recorded, whatever is decided: once the object no longer
/// exists, the record shows that Mastodon has deleted it.
fn seen_beside_file(pair: &Pair) -> Option<JournalChange> {
    let seen = pair.local.is_some() && pair.object.is_some() && pair.recorded.is_none();
    seen.then(|| JournalChange::Record(Recorded::seen()))
}

/// The same for a file whose upload did not succeed and may have been stored.
fn maybe_stored(pair: &Pair) -> Option<JournalChange> {
    let unknown = pair.object.is_none() && pair.recorded.is_none();
    let sending = || JournalChange::Record(Recorded::sending());
    seen_beside_file(pair).or_else(|| unknown.then(sending))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::S3Error;
    use crate::tree::{SkipReason, Skipped, Stamp};

    #[test]
    fn a_file_that_was_hidden_before_it_was_sent_is_not_recorded() {
        let rules = JournalRules::new(Owner::Bucket, true);
        let pair = Pair {
            path: "a.png".to_owned(),
            local: None,
            object: None,
            recorded: None,
        };
        let after =
            |maybe_sent| rules.after_upload(&pair, None, &UploadOutcome::Hidden { maybe_sent });
        assert!(matches!(after(false), Some(JournalChange::Remove)));
        assert!(matches!(after(true), Some(JournalChange::Record(record)) if record.sending));
    }

    #[test]
    fn an_earlier_version_that_was_stored_is_recorded_when_the_upload_fails() {
        let stamp = Stamp::default();
        let stored = Recorded::same(stamp, "900150983cd24fb0d6963f7d28e17f72");
        let pair = |recorded| Pair {
            path: "a.png".to_owned(),
            local: None,
            object: None,
            recorded,
        };
        let outcomes = || {
            let skipped = Skipped {
                path: "a.png".to_owned(),
                reason: SkipReason::Changing,
                detail: None,
            };
            let lost = S3Error::local("a.png", std::io::Error::other("the answer is lost"));
            [
                UploadOutcome::Skipped(skipped),
                UploadOutcome::Hidden { maybe_sent: true },
                UploadOutcome::Failed(Box::new(lost)),
            ]
        };
        for owner in [Owner::Disk, Owner::Bucket] {
            let rules = JournalRules::new(owner, true);
            for recorded in [None, Some(Recorded::sending()), Some(Recorded::seen())] {
                for outcome in outcomes() {
                    let change = rules.after_upload(&pair(recorded), stored, &outcome);
                    assert_eq!(change, stored.map(JournalChange::Record), "{outcome:?}");
                }
            }
        }
    }
}
