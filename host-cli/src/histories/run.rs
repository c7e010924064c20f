//! One run of `sync`, with what befalls it.

use std::collections::BTreeSet;

use md5::{Digest, Md5};

use super::world::{Fuse, Journal, Object, World, identity, read};
use crate::decide::{Decision, Flags, decide};
use crate::error::{Error, Result};
use crate::guards::{Permission, may_delete_after, may_sync, may_sync_delete};
use crate::journal::Recorded;
use crate::mastodon::Owner;
use crate::pairs::Pair;
use crate::s3::S3Error;
use crate::swap;
use crate::sync::remember::{Note, Reach, Remember};
use crate::tree::Entry;
use crate::upload::Outcome;

/// What befalls one run of `sync`, or is asked of it.
#[derive(Clone, Default)]
pub(super) struct Run {
    /// The disk below this directory is not mounted.
    pub(super) away: Option<&'static str>,
    /// The upload whose answer is lost.
    pub(super) breaks: Option<u8>,
    /// What Mastodon writes once the bucket has been listed.
    pub(super) written: Option<(String, Vec<u8>)>,
    /// `--delete`.
    pub(super) deletes: bool,
}

impl World {
    pub(super) fn sync(&mut self, fuse: &mut Fuse, run: Run) -> Result<()> {
        let (installation, target) = (self.installation(), World::target());
        let may_delete = || {
            may_sync_delete(&installation, &target) == Permission::Allowed
                && may_delete_after(self.pruned) == Permission::Allowed
        };
        if may_sync(&installation) != Permission::Allowed || run.deletes && !may_delete() {
            return Ok(());
        }
        let root = swap::media_at(&self.site.live());
        let pairs = self.pairs(&root);
        let mut journal = self.journals.remove(&identity(&root)).unwrap_or_default();
        if let Some((path, content)) = run.written.clone()
            && self.running == Owner::Bucket
        {
            self.write(path, content);
        }
        let ended = self.copy(pairs, &mut journal, fuse, run);
        let written = match (&ended, fuse.0) {
            // Killed: what was written by then depends on the moment.
            (Err(_), 0) => journal.waiting.len() / 2,
            _ => journal.waiting.len(),
        };
        journal.write(written);
        if let Ok(settled) = ended {
            journal.settled |= settled;
        }
        self.journals.insert(identity(&root), journal);
        Ok(())
    }

    /// Whether the journal is settled then.
    pub(super) fn copy(
        &mut self,
        pairs: Vec<Pair>,
        journal: &mut Journal,
        fuse: &mut Fuse,
        mut run: Run,
    ) -> Result<bool> {
        let owner = self.installation().owner_of(&World::target());
        let remember = Remember::new(owner.clone(), journal.settled);
        let flags = Flags {
            unrecorded_is_new: journal.settled,
            delete: run.deletes,
            ..Flags::default()
        };
        if remember.unsettles() {
            journal.settled = false;
        }
        let mut reach = Reach {
            whole: true,
            cut_off: false,
            sent_unclear: false,
        };
        let empty = pairs.iter().all(|pair| pair.local.is_none());
        let mut to_delete = Vec::new();
        let mut seen = BTreeSet::new();
        for mut pair in pairs {
            if run.away.is_some_and(|away| pair.path.starts_with(away)) {
                pair.local = None;
                if pair.object.is_none() && pair.known.is_none() {
                    continue;
                }
            }
            let mut decision = self.decide(&pair, &owner, flags);
            if decision == Decision::Delete {
                to_delete.push(pair.path.clone());
            }
            let Some(Entry::File(file)) = &pair.local else {
                journal.note(&pair.path, remember.left(&pair, decision));
                continue;
            };
            let content = read(file);
            let record = Recorded::same(file.stamp, &hex::encode(Md5::digest(&content)));
            let bytes = file.stamp.size;
            let mut is_sent = matches!(decision, Decision::Send(_));
            let is_read = decide(&pair, &owner, flags) == Decision::Compare;
            if !is_sent && !is_read {
                if pair.object.is_some() {
                    seen.insert(pair.path.clone());
                }
                journal.note(&pair.path, remember.left(&pair, decision));
                continue;
            }
            if is_sent && remember.announces() && !is_read {
                journal.note(&pair.path, Some(Note::Record(Recorded::sending())));
                journal.write(usize::MAX);
            }
            // Mastodon may have written it since the bucket was listed.
            let object = self.listed(&pair.path);
            if is_sent && owner != Owner::Disk && object.is_some() {
                let now = Pair {
                    object,
                    ..pair.clone()
                };
                decision = self.decide(&now, &owner, flags);
                is_sent = false;
            }
            let mut outcome = match decision {
                Decision::Conflict(conflict) => Outcome::Conflict(conflict),
                Decision::Same => Outcome::Same { bytes, record },
                _ => Outcome::Uploaded { bytes, record },
            };
            if is_sent {
                let mastodons = false;
                let object = Object { content, mastodons };
                self.bucket.insert(pair.path.clone(), object);
                fuse.burn("sent")?;
                run.breaks = run.breaks.and_then(|left| {
                    if left == 0 {
                        let lost = std::io::Error::other("the answer is lost");
                        let error = S3Error::local(&pair.path, lost);
                        outcome = Outcome::Failed(Box::new(error));
                        reach.whole = false;
                    }
                    left.checked_sub(1)
                });
            }
            if self.bucket.contains_key(&pair.path) {
                seen.insert(pair.path.clone());
            }
            journal.note(&pair.path, remember.after(&pair, None, &outcome));
            fuse.burn("noted")?;
            if !reach.whole {
                break;
            }
        }
        if empty {
            return Err(Error::new("upload an empty directory"));
        }
        self.unseen.retain(|path| !seen.contains(path));
        for path in to_delete.into_iter().filter(|_| reach.whole) {
            self.bucket.remove(&path);
            fuse.burn("deleted")?;
        }
        Ok(remember.settles(reach))
    }
}
