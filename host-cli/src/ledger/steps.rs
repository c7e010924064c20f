//! The eleven steps of a migration: which are done, by what the ledger and the installation say, and
//! which is next. Pure: no file is read here, and the time is a parameter.

use serde::Serialize;

use super::{Action, Entry, Outcome};
use crate::mastodon::Owner;
use crate::swap::Phase;

/// Between the last upload and the switch: what Mastodon writes in this time is missing from the
/// files domain until step 9.
const LAST_SYNC_SECONDS: i64 = 3600;

/// A step, in the order of docs/migrate.md.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Look at what would move.
    Plan,
    /// Make bucket and key.
    Provision,
    /// Check the key and the bucket.
    Check,
    /// Announce the files domain, a week ahead.
    Announce,
    /// Upload the bulk while the instance runs.
    Bulk,
    /// The worker answers at the files domain.
    Verify,
    /// Upload what is new, right before the switch.
    LastSync,
    /// Mastodon uses the bucket.
    Switch,
    /// Upload what came between the last upload and the switch.
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

    /// What it does, for the table.
    pub fn title(self) -> &'static str {
        match self {
            Step::Plan => "see what would move",
            Step::Provision => "make the bucket and its key",
            Step::Check => "check the key and the bucket",
            Step::Announce => "announce the files domain, a week ahead",
            Step::Bulk => "upload the bulk",
            Step::Verify => "deploy the worker and verify the files domain",
            Step::LastSync => "upload what is new, within the hour before the switch",
            Step::Switch => "switch Mastodon to the bucket, and restart it",
            Step::Rest => "upload the rest",
            Step::Cutover => "move the local media aside",
            Step::Prune => "free the disk",
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

/// How far a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Done.
    Done,
    /// Done, but for files or findings that its command named.
    Partly,
    /// Begun: it runs, or was ended before its end.
    Begun,
    /// Not done.
    Todo,
    /// Not recorded, and a later step is done.
    Skipped,
}

/// One step and how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Standing {
    /// Which.
    pub step: Step,
    /// How far.
    pub state: State,
    /// When it was done, or begun; seconds since 1970.
    pub at: Option<i64>,
}

/// What the steps are told from.
#[derive(Clone, Copy, Debug)]
pub struct Situation<'a> {
    /// The ledger's lines about this bucket and tree.
    pub entries: &'a [Entry],
    /// Who writes media now.
    pub owner: &'a Owner,
    /// When the settings of an installation that uses the bucket were written, where the ledger does
    /// not tell.
    pub settings_changed: Option<i64>,
    /// Which directories a cutover or rollback has moved.
    pub phase: Option<Phase>,
    /// Seconds since 1970.
    pub now: i64,
}

impl Situation<'_> {
    /// All steps.
    pub fn standings(&self) -> [Standing; 11] {
        let mut all = Step::ALL.map(|step| self.standing(step));
        let furthest = all.iter().rposition(|s| s.state == State::Done);
        for standing in &mut all[..furthest.unwrap_or(0)] {
            if standing.state == State::Todo {
                standing.state = State::Skipped;
            }
        }
        all
    }

    /// The last sync that took in every file: what came later is new.
    pub fn last_sync(&self) -> Option<&Entry> {
        self.last(Action::Sync, |_| true)
    }

    /// When Mastodon was told to use the bucket; none while it uses the disk.
    pub fn switched_at(&self) -> Option<i64> {
        let by_command = |action| self.last(action, |_| true).map(|entry| entry.at);
        let (switch, undo) = (by_command(Action::Switch), by_command(Action::Undo));
        match self.owner {
            Owner::Disk => None,
            Owner::Bucket => switch.or(self.settings_changed).or(Some(self.now)),
            Owner::Unknown(_) => switch.filter(|at| undo.is_none_or(|undone| undone < *at)),
        }
    }

    fn last(&self, action: Action, fits: impl Fn(&Entry) -> bool) -> Option<&Entry> {
        let fits = |e: &&Entry| e.action == action && e.is_complete() && fits(e);
        self.entries.iter().rev().find(fits)
    }

    fn standing(&self, step: Step) -> Standing {
        let action = step.action();
        let switched = self.switched_at();
        let done = |entry: Option<&Entry>| match entry {
            Some(entry) if entry.outcome == Outcome::Partly => (State::Partly, Some(entry.at)),
            Some(entry) => (State::Done, Some(entry.at)),
            None => self.unfinished(action),
        };
        let (state, at) = match step {
            Step::Provision | Step::Check | Step::Announce | Step::Verify => {
                done(self.last(action, |_| true))
            }
            // Exit code 3: some entries cannot be uploaded, and all is told.
            Step::Plan => match self.entries.iter().rev().find(|e| e.action == action) {
                Some(entry) if entry.outcome == Outcome::Problem => (State::Partly, Some(entry.at)),
                _ => done(self.last(action, |_| true)),
            },
            Step::Bulk => done(
                self.entries
                    .iter()
                    .find(|e| e.action == action && e.is_complete()),
            ),
            Step::LastSync => {
                let before = switched.unwrap_or(self.now);
                let fits = |e: &Entry| (before - LAST_SYNC_SECONDS..=before).contains(&e.at);
                // Before the files domain is verified, it is the bulk's.
                let is_time = switched.is_some() || self.last(Action::Verify, |_| true).is_some();
                match self.last(action, fits).filter(|_| is_time) {
                    Some(entry) => done(Some(entry)),
                    None => (State::Todo, None),
                }
            }
            Step::Switch if switched.is_some() => (State::Done, switched),
            Step::Switch => (State::Todo, None),
            Step::Rest => {
                let after = switched.and_then(|at| self.last(action, |e| e.began > at));
                match after {
                    Some(entry) => done(Some(entry)),
                    None => (State::Todo, None),
                }
            }
            Step::Cutover => {
                let at = self.last(action, |_| true).map(|entry| entry.at);
                match self.phase {
                    None => (State::Todo, None),
                    Some(Phase::Moved) => (State::Done, at),
                    Some(Phase::Moving | Phase::Returning) => (State::Begun, at),
                }
            }
            Step::Prune => {
                let aside = self.last(Action::Cutover, |_| true).map(|entry| entry.at);
                let after = |e: &Entry| aside.is_none_or(|at| e.at >= at);
                match (self.phase, self.last(action, after)) {
                    (None, _) => (State::Todo, None),
                    (Some(_), Some(entry)) => done(Some(entry)),
                    (Some(_), None) => self.unfinished(action),
                }
            }
        };
        Standing { step, state, at }
    }

    /// Of an action that no run has brought to its end.
    fn unfinished(&self, action: Action) -> (State, Option<i64>) {
        let whole = |e: &&Entry| e.action == action && !e.only_some;
        match self.entries.iter().rev().find(whole) {
            Some(entry) if matches!(entry.outcome, Outcome::Begun | Outcome::Interrupted) => {
                (State::Begun, Some(entry.at))
            }
            _ => (State::Todo, None),
        }
    }
}

/// The step to do now; none when all are done.
pub fn next(standings: &[Standing]) -> Option<Step> {
    let open = |s: &&Standing| matches!(s.state, State::Todo | State::Begun);
    standings.iter().find(open).map(|standing| standing.step)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;

    fn entries(of: &[(Action, Outcome, i64)]) -> Vec<Entry> {
        of.iter()
            .map(|&(action, outcome, at)| Entry {
                outcome,
                began: at - 60,
                at,
                ..Entry::begun(action)
            })
            .collect()
    }

    /// `states`: a letter a step, the first of its state.
    #[track_caller]
    fn check(
        of: &[(Action, Outcome, i64)],
        owner: &Owner,
        phase: Option<Phase>,
        states: &str,
        expected: Option<Step>,
    ) {
        let entries = entries(of);
        let standings = Situation {
            entries: &entries,
            owner,
            settings_changed: Some(20 * DAY),
            phase,
            now: 30 * DAY,
        }
        .standings();
        let letters: String = standings
            .iter()
            .map(|standing| match standing.state {
                State::Done => 'D',
                State::Partly => 'P',
                State::Begun => 'B',
                State::Todo => 't',
                State::Skipped => 's',
            })
            .collect();
        assert_eq!((letters.as_str(), next(&standings)), (states, expected));
    }

    #[test]
    fn each_step_follows_from_the_one_before() {
        use Action::*;
        use Outcome::*;
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
    fn a_switch_without_an_upload_right_before_it_is_told() {
        use Action::*;
        let done = |action, at| (action, Outcome::Done, at);
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
        let done = |action, at| (action, Outcome::Done, at);
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
