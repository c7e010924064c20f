//! The eleven steps of a migration: which are done, by the ledger and the installation, and which is
//! next. Pure: no file is read here, and the time is a parameter.

use serde::Serialize;

use super::{Action, LedgerEntry, RunOutcome};
use crate::mastodon::Owner;
use crate::swap::Phase;

/// The longest time between the last upload and the switch. What Mastodon writes in it is missing from
/// the files domain until step 9.
const LAST_SYNC_SECONDS: i64 = 3600;

/// A step, in the order of docs/migrate.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Report what would be moved.
    Plan,
    /// Create bucket and key.
    Provision,
    /// Check the key and the bucket.
    Check,
    /// Announce the files domain, a week ahead.
    Announce,
    /// Upload all files while the instance runs.
    Bulk,
    /// Check that the files domain works.
    Verify,
    /// Upload what is new, right before the switch.
    LastSync,
    /// Mastodon uses the bucket.
    Switch,
    /// Upload what was written between the last upload and the switch.
    Rest,
    /// Move the local media aside.
    Cutover,
    /// Delete the local media.
    Prune,
}

impl Step {
    /// All of them, in order.
    pub const ALL: [Step; 11] = [
        Step::Plan,
        Step::Provision,
        Step::Check,
        Step::Announce,
        Step::Bulk,
        Step::Verify,
        Step::LastSync,
        Step::Switch,
        Step::Rest,
        Step::Cutover,
        Step::Prune,
    ];

    /// 1 to 11.
    pub fn number(self) -> usize {
        self as usize + 1
    }

    /// Title, for the table.
    pub fn title(self) -> &'static str {
        match self {
            Step::Plan => "report what would be moved",
            Step::Provision => "create the bucket and its key",
            Step::Check => "check the key and the bucket",
            Step::Announce => "announce the files domain, a week ahead",
            Step::Bulk => "upload all files, while the instance runs",
            Step::Verify => "deploy the worker and verify the files domain",
            Step::LastSync => "upload what is new, within the hour before the switch",
            Step::Switch => "switch Mastodon to the bucket, and restart it",
            Step::Rest => "upload the rest",
            Step::Cutover => "move the local media aside",
            Step::Prune => "delete the local media",
        }
    }

    /// The command that does it.
    fn action(self) -> Action {
        match self {
            Step::Plan => Action::Plan,
            Step::Provision => Action::Provision,
            Step::Check => Action::Check,
            Step::Announce => Action::Announce,
            Step::Bulk | Step::LastSync | Step::Rest => Action::Sync,
            Step::Verify => Action::Verify,
            Step::Switch => Action::Switch,
            Step::Cutover => Action::Cutover,
            Step::Prune => Action::Prune,
        }
    }
}

/// State of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Done.
    Done,
    /// Done, except for files or findings that its command reported.
    Partly,
    /// Begun: it is running, or was interrupted.
    Begun,
    /// Not done.
    Todo,
    /// Not recorded, and a later step is done.
    Skipped,
}

/// One step and its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct StepStatus {
    /// The step.
    pub step: Step,
    /// Its state.
    pub state: StepState,
    /// When it was done, or begun; seconds since 1970.
    pub at: Option<i64>,
}

/// What the states of the steps are determined from.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The ledger's lines about this bucket and directory.
    pub entries: &'a [LedgerEntry],
    /// Who writes media now.
    pub owner: &'a Owner,
    /// When the settings of an installation that uses the bucket were written, for a switch that is not
    /// in the ledger.
    pub settings_changed: Option<i64>,
    /// The phase of a cutover or rollback.
    pub phase: Option<Phase>,
    /// Seconds since 1970.
    pub now: i64,
}

impl Situation<'_> {
    /// All steps.
    pub fn statuses(&self) -> [StepStatus; 11] {
        let mut all = Step::ALL.map(|step| self.status(step));
        let last_done = all.iter().rposition(|s| s.state == StepState::Done);
        for status in &mut all[..last_done.unwrap_or(0)] {
            if status.state == StepState::Todo {
                status.state = StepState::Skipped;
            }
        }
        all
    }

    /// The last sync of all files.
    pub fn last_sync(&self) -> Option<&LedgerEntry> {
        self.last(Action::Sync, |_| true)
    }

    /// When Mastodon was switched to the bucket; none while it uses the disk.
    pub fn switched_at(&self) -> Option<i64> {
        let by_command = |action| self.last(action, |_| true).map(|entry| entry.at);
        let (switch, undo) = (by_command(Action::Switch), by_command(Action::Undo));
        match self.owner {
            Owner::Disk => None,
            Owner::Bucket => switch.or(self.settings_changed).or(Some(self.now)),
            Owner::Unknown(_) => switch.filter(|at| undo.is_none_or(|undone| undone < *at)),
        }
    }

    fn last(&self, action: Action, fits: impl Fn(&LedgerEntry) -> bool) -> Option<&LedgerEntry> {
        let fits = |e: &&LedgerEntry| e.action == action && e.counts_as_done() && fits(e);
        self.entries.iter().rev().find(fits)
    }

    fn status(&self, step: Step) -> StepStatus {
        let action = step.action();
        let switched = self.switched_at();
        let done = |entry: Option<&LedgerEntry>| match entry {
            Some(entry) if entry.outcome == RunOutcome::Partly => {
                (StepState::Partly, Some(entry.at))
            }
            Some(entry) => (StepState::Done, Some(entry.at)),
            None => self.unfinished(action),
        };
        let (state, at) = match step {
            Step::Provision | Step::Check | Step::Announce | Step::Verify => {
                done(self.last(action, |_| true))
            }
            // Exit code 3: some entries cannot be uploaded, and the report is complete.
            Step::Plan => match self.entries.iter().rev().find(|e| e.action == action) {
                Some(entry) if entry.outcome == RunOutcome::Problem => {
                    (StepState::Partly, Some(entry.at))
                }
                _ => done(self.last(action, |_| true)),
            },
            Step::Bulk => done(
                self.entries
                    .iter()
                    .find(|e| e.action == action && e.counts_as_done()),
            ),
            Step::LastSync => {
                let before = switched.unwrap_or(self.now);
                let fits = |e: &LedgerEntry| (before - LAST_SYNC_SECONDS..=before).contains(&e.at);
                // A sync before the files domain was verified is that of the bulk.
                let is_time = switched.is_some() || self.last(Action::Verify, |_| true).is_some();
                match self.last(action, fits).filter(|_| is_time) {
                    Some(entry) => done(Some(entry)),
                    None => (StepState::Todo, None),
                }
            }
            Step::Switch if switched.is_some() => (StepState::Done, switched),
            Step::Switch => (StepState::Todo, None),
            Step::Rest => {
                let after = switched.and_then(|at| self.last(action, |e| e.began > at));
                match after {
                    Some(entry) => done(Some(entry)),
                    None => (StepState::Todo, None),
                }
            }
            Step::Cutover => {
                let at = self.last(action, |_| true).map(|entry| entry.at);
                match self.phase {
                    None => (StepState::Todo, None),
                    Some(Phase::Moved) => (StepState::Done, at),
                    Some(Phase::Moving | Phase::Returning) => (StepState::Begun, at),
                }
            }
            Step::Prune => {
                let aside = self.last(Action::Cutover, |_| true).map(|entry| entry.at);
                let after = |e: &LedgerEntry| aside.is_none_or(|at| e.at >= at);
                match (self.phase, self.last(action, after)) {
                    (None, _) => (StepState::Todo, None),
                    (Some(_), Some(entry)) => done(Some(entry)),
                    (Some(_), None) => self.unfinished(action),
                }
            }
        };
        StepStatus { step, state, at }
    }

    /// The state of an action of which no run has ended.
    fn unfinished(&self, action: Action) -> (StepState, Option<i64>) {
        let whole = |e: &&LedgerEntry| e.action == action && !e.only_some;
        match self.entries.iter().rev().find(whole) {
            Some(entry) if matches!(entry.outcome, RunOutcome::Begun | RunOutcome::Interrupted) => {
                (StepState::Begun, Some(entry.at))
            }
            _ => (StepState::Todo, None),
        }
    }
}

/// The step to do now; none when all are done.
pub fn next(statuses: &[StepStatus]) -> Option<Step> {
    let open = |s: &&StepStatus| matches!(s.state, StepState::Todo | StepState::Begun);
    statuses.iter().find(open).map(|status| status.step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn entries(runs: &[(Action, RunOutcome, i64)]) -> Vec<LedgerEntry> {
        runs.iter()
            .map(|&(action, outcome, at)| LedgerEntry {
                outcome,
                began: at - 60,
                at,
                ..LedgerEntry::begun(action)
            })
            .collect()
    }

    /// `states`: a letter a step, the first of its state.
    #[track_caller]
    fn check(
        runs: &[(Action, RunOutcome, i64)],
        owner: &Owner,
        phase: Option<Phase>,
        states: &str,
        expected: Option<Step>,
    ) {
        let entries = entries(runs);
        let statuses = Situation {
            entries: &entries,
            owner,
            settings_changed: Some(20 * DAY),
            phase,
            now: 30 * DAY,
        }
        .statuses();
        let letters: String = statuses
            .iter()
            .map(|status| match status.state {
                StepState::Done => 'D',
                StepState::Partly => 'P',
                StepState::Begun => 'B',
                StepState::Todo => 't',
                StepState::Skipped => 's',
            })
            .collect();
        assert_eq!((letters.as_str(), next(&statuses)), (states, expected));
    }

    #[test]
    fn each_step_follows_from_the_one_before() {
        use Action::*;
        use RunOutcome::*;
        let disk = &Owner::Disk;
        let mut history = vec![(Plan, Problem, DAY), (Provision, Done, DAY)];
        check(&[], disk, None, "ttttttttttt", Some(Step::Plan));
        check(&history, disk, None, "PDttttttttt", Some(Step::Check));
        history.push((Check, Problem, DAY));
        check(&history, disk, None, "PDttttttttt", Some(Step::Check));
        history.extend([
            (Check, Done, DAY),
            (Announce, Done, DAY),
            (Sync, Begun, DAY),
        ]);
        check(&history, disk, None, "PDDDBtttttt", Some(Step::Bulk));
        history.push((Sync, Partly, 2 * DAY));
        check(&history, disk, None, "PDDDPtttttt", Some(Step::Verify));
        history.push((Verify, Done, 3 * DAY));
        check(&history, disk, None, "PDDDPDttttt", Some(Step::LastSync));
        history.push((Sync, Done, 30 * DAY - 300));
        check(&history, disk, None, "PDDDPDDtttt", Some(Step::Switch));
        history.push((Switch, Done, 30 * DAY - 200));
        let owner = &Owner::Bucket;
        check(&history, owner, None, "PDDDPDDDttt", Some(Step::Rest));
        history.push((Sync, Done, 30 * DAY - 100));
        check(&history, owner, None, "PDDDPDDDDtt", Some(Step::Cutover));
        let moving = Some(Phase::Moving);
        check(&history, owner, moving, "PDDDPDDDDBt", Some(Step::Cutover));
        history.push((Cutover, Done, 30 * DAY - 50));
        let moved = Some(Phase::Moved);
        check(&history, owner, moved, "PDDDPDDDDDt", Some(Step::Prune));
        history.push((Prune, Interrupted, 30 * DAY - 40));
        check(&history, owner, moved, "PDDDPDDDDDB", Some(Step::Prune));
        history.push((Prune, Partly, 30 * DAY));
        check(&history, owner, moved, "PDDDPDDDDDP", None);
    }

    #[test]
    fn a_switch_without_an_upload_right_before_it_is_shown() {
        use Action::*;
        let done = |action, at| (action, RunOutcome::Done, at);
        let history = [done(Sync, DAY), done(Verify, DAY), done(Switch, 20 * DAY)];
        check(
            &history,
            &Owner::Bucket,
            None,
            "ssssDDsDttt",
            Some(Step::Rest),
        );
    }

    #[test]
    fn who_owns_the_media_outranks_what_was_recorded() {
        use Action::*;
        let done = |action, at| (action, RunOutcome::Done, at);
        let history = [done(Sync, DAY), done(Switch, 2 * DAY), done(Undo, 3 * DAY)];
        let unknown = Owner::Unknown("it cannot be read".to_owned());
        check(
            &history,
            &Owner::Disk,
            None,
            "ssssDtttttt",
            Some(Step::Verify),
        );
        check(&history, &unknown, None, "ssssDtttttt", Some(Step::Verify));
        check(
            &history[..2],
            &unknown,
            None,
            "ssssDssDttt",
            Some(Step::Rest),
        );
        check(
            &history[..2],
            &Owner::Disk,
            None,
            "ssssDtttttt",
            Some(Step::Verify),
        );
    }
}
