//! `cutover`, `rollback` and `prune` in a [`World`].

use super::world::{KillAfter, World, is_hidden};
use crate::decide::{Conflict, Decision};
use crate::error::Result;
use crate::guards::{Permission, may_cutover, may_prune};
use crate::pairs::Pair;
use crate::prove::{RequiredProof, is_as_uploaded, required_proof};
use crate::swap::{self, Phase};

impl World {
    pub(super) fn cutover(&mut self, kill: &mut KillAfter) -> Result<()> {
        if may_cutover(&self.installation(), &World::target()) != Permission::Allowed {
            return Ok(());
        }
        let Some(state) = swap::check_cutover(&self.paths)? else {
            return Ok(());
        };
        if !swap::media_are_aside(&self.paths, &state)? {
            let live = self.paths.live();
            let missing = |pair: &Pair| match self.decide_by_reading(pair, &live) {
                Decision::Conflict(Conflict::BucketOwns) => {
                    let recorded = pair.recorded.as_ref().zip(pair.object.as_ref());
                    let replaced =
                        recorded.is_some_and(|(recorded, there)| recorded.etag() != there.etag);
                    !(replaced && is_as_uploaded(pair))
                }
                Decision::DeletedInBucket => !is_as_uploaded(pair) && !is_hidden(pair),
                Decision::Send(_) | Decision::Conflict(_) => !is_hidden(pair),
                _ => false,
            };
            if self.pairs(&live).iter().any(missing) {
                return Ok(());
            }
        }
        swap::cut_over(&self.paths, &mut |step| kill.step(step)).map(drop)
    }

    pub(super) fn rollback(&mut self, kill: &mut KillAfter) -> Result<()> {
        if self.paths.state()?.is_none() {
            return Ok(());
        }
        self.rollbacks += 1;
        let name = format!("public/conflicts-{}", self.rollbacks);
        let conflicts = self.directory.path().join(name);
        swap::roll_back(&self.paths, true, &conflicts, &mut |step| kill.step(step)).map(drop)
    }

    pub(super) fn prune(&mut self, kill: &mut KillAfter) -> Result<()> {
        let Some(mut state) = self.paths.state()? else {
            return Ok(());
        };
        let allowed = may_prune(&self.installation(), &World::target());
        if allowed != Permission::Allowed || state.phase != Phase::Moved {
            return Ok(());
        }
        state.pruned = true;
        self.pruned = true;
        self.paths.write_state(&state)?;
        let root = self.paths.kept();
        for pair in self.pairs(&root) {
            let Some(file) = pair.file() else {
                continue;
            };
            let decision = self.decide_by_reading(&pair, &root);
            let may_go = match required_proof(decision, &pair) {
                RequiredProof::NoObject => !self.bucket.contains_key(&pair.path),
                RequiredProof::SameContent => self.is_same(&pair),
                RequiredProof::Impossible(_) => false,
            };
            if may_go {
                kill.step("proven")?;
                file.remove().unwrap();
            }
        }
        Ok(())
    }
}
