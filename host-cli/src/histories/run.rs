//! One run of `sync`, with what happens during it.

use std::collections::BTreeSet;

use md5::{Digest, Md5};

use super::world::{KillAfter, Object, SimulatedJournal, World, identity, read};
use crate::decide::{Decision, DecisionOptions, decide};
use crate::error::{Error, Result};
use crate::guards::{Permission, may_delete_after, may_sync, may_sync_delete};
use crate::journal::Recorded;
use crate::mastodon::Owner;
use crate::pairs::Pair;
use crate::s3::S3Error;
use crate::swap;
use crate::sync::journal_rules::{JournalChange, JournalRules, RunCoverage};
use crate::upload::UploadOutcome;

/// The conditions of one run of `sync`.
#[derive(Clone, Default)]
pub(super) struct SyncRun {
    /// The disk below this directory is not mounted.
    pub(super) unmounted: Option<&'static str>,
    /// The number of the upload whose answer is lost.
    pub(super) answer_lost: Option<u8>,
    /// What Mastodon writes after the bucket was listed.
    pub(super) written: Option<(String, Vec<u8>)>,
    /// `--delete`.
    pub(super) delete: bool,
}

impl World {
    pub(super) fn sync(&mut self, kill: &mut KillAfter, run: SyncRun) -> Result<()> {
        let (installation, target) = (self.installation(), World::target());
        let may_delete = || {
            may_sync_delete(&installation, &target) == Permission::Allowed
                && may_delete_after(self.pruned) == Permission::Allowed
        };
        if may_sync(&installation) != Permission::Allowed || run.delete && !may_delete() {
            return Ok(());
        }
        let root = swap::current_media_dir(&self.paths.live());
        let pairs = self.pairs(&root);
        let mut journal = self.journals.remove(&identity(&root)).unwrap_or_default();
        if let Some((path, content)) = run.written.clone()
            && self.running == Owner::Bucket
        {
            self.write(path, content);
        }
        let ended = self.copy(pairs, &mut journal, kill, run);
        let written = match (&ended, kill.0) {
            // Killed: some of the records were written.
            (Err(_), 0) => journal.waiting.len() / 2,
            _ => journal.waiting.len(),
        };
        journal.write(written);
        if let Ok(complete) = ended {
            journal.complete |= complete;
        }
        self.journals.insert(identity(&root), journal);
        Ok(())
    }

    /// Returns whether the journal is complete then.
    pub(super) fn copy(
        &mut self,
        pairs: Vec<Pair>,
        journal: &mut SimulatedJournal,
        kill: &mut KillAfter,
        mut run: SyncRun,
    ) -> Result<bool> {
        let owner = self.installation().owner_of(&World::target());
        let rules = JournalRules::new(owner.clone(), journal.complete);
        let options = DecisionOptions {
            unrecorded_is_new: journal.complete,
            delete: run.delete,
            ..DecisionOptions::default()
        };
        if rules.is_incomplete_during_run() {
            journal.complete = false;
        }
        let mut coverage = RunCoverage {
            all_paths: true,
            uploads_aborted: false,
            sent_unrecorded: false,
        };
        let empty = pairs.iter().all(|pair| pair.local.is_none());
        let mut to_delete = Vec::new();
        let mut seen = BTreeSet::new();
        for mut pair in pairs {
            if run
                .unmounted
                .is_some_and(|directory| pair.path.starts_with(directory))
            {
                pair.local = None;
                if pair.object.is_none() && pair.recorded.is_none() {
                    continue;
                }
            }
            let mut decision = self.decide(&pair, &owner, options);
            if decision == Decision::Delete {
                to_delete.push(pair.path.clone());
            }
            let Some(file) = pair.file() else {
                journal.change(&pair.path, rules.after_decision(&pair, decision));
                continue;
            };
            let content = read(file);
            let record = Recorded::same(file.stamp, &hex::encode(Md5::digest(&content)));
            let bytes = file.stamp.size;
            let mut is_sent = matches!(decision, Decision::Send(_));
            let is_read = decide(&pair, &owner, options) == Decision::Compare;
            if !is_sent && !is_read {
                if pair.object.is_some() {
                    seen.insert(pair.path.clone());
                }
                journal.change(&pair.path, rules.after_decision(&pair, decision));
                continue;
            }
            if is_sent && rules.records_before_sending() && !is_read {
                journal.change(&pair.path, Some(JournalChange::Record(Recorded::sending())));
                journal.write(usize::MAX);
            }
            // Mastodon may have written it since the bucket was listed.
            let object = self.listed(&pair.path);
            if is_sent && owner != Owner::Disk && object.is_some() {
                let now = Pair {
                    object,
                    ..pair.clone()
                };
                decision = self.decide(&now, &owner, options);
                is_sent = false;
            }
            let mut outcome = match decision {
                Decision::Conflict(conflict) => UploadOutcome::Conflict(conflict),
                Decision::Same => UploadOutcome::Same { bytes, record },
                _ => UploadOutcome::Uploaded { bytes, record },
            };
            if is_sent {
                let by_mastodon = false;
                let object = Object {
                    content,
                    by_mastodon,
                };
                self.bucket.insert(pair.path.clone(), object);
                kill.step("sent")?;
                run.answer_lost = run.answer_lost.and_then(|left| {
                    if left == 0 {
                        let lost = std::io::Error::other("the answer is lost");
                        let error = S3Error::local(&pair.path, lost);
                        outcome = UploadOutcome::Failed(Box::new(error));
                        coverage.all_paths = false;
                    }
                    left.checked_sub(1)
                });
            }
            if self.bucket.contains_key(&pair.path) {
                seen.insert(pair.path.clone());
            }
            journal.change(&pair.path, rules.after_upload(&pair, None, &outcome));
            kill.step("recorded")?;
            if !coverage.all_paths {
                break;
            }
        }
        if empty {
            return Err(Error::new("upload an empty directory"));
        }
        self.unseen.retain(|path| !seen.contains(path));
        for path in to_delete.into_iter().filter(|_| coverage.all_paths) {
            self.bucket.remove(&path);
            kill.step("deleted")?;
        }
        Ok(rules.is_complete_after(coverage))
    }
}
