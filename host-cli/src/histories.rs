//! Random histories: Mastodon writes and deletes, on the disk before the switch and in the bucket after
//! it, and commands run at any moment and are killed after any of their steps.
//!
//! Disk, walk, guards, decisions, moves and the journal's rules are the real ones; bucket and journal are
//! maps in memory.

mod commands;
mod run;
mod world;

use proptest::prelude::*;

use self::run::SyncRun;
use self::world::{KillAfter, World, identity};
use crate::mastodon::Owner;
use crate::swap;

/// One event. Numbers choose a path, a content, and the step after which a command is killed.
#[derive(Clone, Debug)]
enum Event {
    Write(u8, u8),
    Delete(u8),
    /// An account is suspended: its file on the disk gets mode 0600.
    Suspend(u8),
    Unsuspend(u8),
    /// The settings are changed to the bucket.
    Switch,
    Restart,
    /// The settings are changed to the disk.
    SwitchBack,
    /// The disk of the media is unmounted: its directory is empty.
    Unmount,
    Mount,
    JournalLost,
    Sync(u8),
    /// `sync` while a disk below the media directory is unmounted.
    SyncPartlyUnmounted(u8),
    /// `sync`; the answer to an upload is lost, which ends the run.
    SyncAnswerLost(u8),
    /// `sync`; Mastodon writes after the bucket was listed.
    SyncDuringWrite(u8, u8),
    /// `sync --delete`.
    SyncDelete(u8),
    Cutover(u8),
    Rollback(u8),
    Prune(u8),
}

fn event() -> impl Strategy<Value = Event> {
    // `u8::MAX` is more than the steps of any command: not killed.
    let kill = prop_oneof![0..12u8, Just(u8::MAX)];
    prop_oneof![
        4 => (0..4u8, 0..4u8).prop_map(|(path, content)| Event::Write(path, content)),
        3 => (0..4u8).prop_map(Event::Delete),
        1 => (0..4u8).prop_map(Event::Suspend),
        1 => (0..4u8).prop_map(Event::Unsuspend),
        2 => Just(Event::Switch),
        2 => Just(Event::Restart),
        1 => Just(Event::SwitchBack),
        1 => Just(Event::Unmount),
        2 => Just(Event::Mount),
        1 => Just(Event::JournalLost),
        4 => kill.clone().prop_map(Event::Sync),
        2 => kill.clone().prop_map(Event::SyncPartlyUnmounted),
        1 => (0..4u8).prop_map(Event::SyncAnswerLost),
        1 => (0..4u8, 0..4u8).prop_map(|(path, content)| Event::SyncDuringWrite(path, content)),
        2 => kill.clone().prop_map(Event::SyncDelete),
        2 => kill.clone().prop_map(Event::Cutover),
        1 => kill.clone().prop_map(Event::Rollback),
        2 => kill.prop_map(Event::Prune),
    ]
}

/// A migration as documented, with random events between its steps.
fn history() -> impl Strategy<Value = Vec<Event>> {
    let some = || proptest::collection::vec(event(), 0..12);
    let steps = |steps: &'static [Event]| prop_oneof![Just(steps), Just(&[][..])];
    (
        some(),
        steps(&[Event::Sync(u8::MAX)]),
        some(),
        steps(&[Event::Switch, Event::Restart]),
        some(),
        steps(&[Event::Sync(u8::MAX), Event::Cutover(u8::MAX)]),
        some(),
    )
        .prop_map(|(before, bulk, rest, switch, then, cutover, after)| {
            [&before, bulk, &rest, switch, &then, cutover, &after].concat()
        })
}

impl World {
    fn apply(&mut self, event: &Event) {
        let (bucket, files) = (self.bucket.clone(), self.files());
        let hidden = self.hidden();
        let mounted = !self.unmounted().exists();
        self.written = None;
        match *event {
            // Not while its disk is unmounted.
            Event::Write(path, content) if mounted => {
                self.write(World::path(path), World::content(content));
            }
            Event::Delete(path) if mounted => self.delete(World::path(path)),
            Event::Write(..) | Event::Delete(_) => {}
            Event::Suspend(path) => self.set_mode(World::path(path), 0o600),
            Event::Unsuspend(path) => self.set_mode(World::path(path), 0o644),
            Event::Switch => self.owner = Owner::Bucket,
            Event::Restart => self.restart(),
            Event::Unmount => self.unmount(),
            Event::Mount => self.mount(),
            Event::JournalLost => {
                let root = swap::current_media_dir(&self.paths.live());
                self.journals.remove(&identity(&root));
            }
            // Where the instance cannot be queried, it must be restarted at once.
            Event::SwitchBack => {
                self.owner = Owner::Disk;
                if !self.answers {
                    self.restart();
                }
            }
            // Killed or refused: only what is left matters.
            Event::Sync(kill) => drop(self.sync(&mut KillAfter(kill), SyncRun::default())),
            Event::SyncPartlyUnmounted(kill) => {
                let unmounted = Some("cache/");
                let run = SyncRun {
                    unmounted,
                    ..SyncRun::default()
                };
                drop(self.sync(&mut KillAfter(kill), run));
            }
            Event::SyncAnswerLost(nth) => {
                let answer_lost = Some(nth);
                let run = SyncRun {
                    answer_lost,
                    ..SyncRun::default()
                };
                drop(self.sync(&mut KillAfter(u8::MAX), run));
            }
            Event::SyncDuringWrite(path, content) => {
                let written = mounted.then(|| (World::path(path), World::content(content)));
                let run = SyncRun {
                    written,
                    ..SyncRun::default()
                };
                drop(self.sync(&mut KillAfter(u8::MAX), run));
            }
            Event::SyncDelete(kill) => {
                let run = SyncRun {
                    delete: true,
                    ..SyncRun::default()
                };
                drop(self.sync(&mut KillAfter(kill), run));
            }
            Event::Cutover(kill) => drop(self.cutover(&mut KillAfter(kill))),
            Event::Rollback(kill) => drop(self.rollback(&mut KillAfter(kill))),
            Event::Prune(kill) => drop(self.prune(&mut KillAfter(kill))),
        }
        assert!(self.paths.live().is_dir(), "there is no media directory");
        if matches!(
            event,
            Event::Write(..) | Event::Delete(_) | Event::SwitchBack | Event::Restart
        ) {
            return;
        }
        let mut expected = bucket.clone();
        expected.extend(self.written.take());
        for (path, object) in &expected {
            let now = self.bucket.get(path);
            let untouched = now == Some(object);
            assert!(untouched || !object.by_mastodon, "`{path}` is Mastodon's");
            let last = now.is_some() || self.deleted_from_database.contains(path);
            assert!(
                last,
                "the object `{path}` was deleted, and Mastodon shows it"
            );
        }
        for path in hidden {
            let ours = self
                .bucket
                .get(&path)
                .is_some_and(|object| !object.by_mastodon);
            let new = ours && !bucket.contains_key(&path);
            assert!(!new, "`{path}` was hidden and has been uploaded");
        }
        for path in &self.deleted {
            assert!(!self.bucket.contains_key(path), "`{path}` came back");
        }
        for (path, content) in files.difference(&self.files()) {
            let proven = self
                .bucket
                .get(path)
                .is_some_and(|object| object.content == *content);
            let deleted = self.deleted_from_database.contains(path);
            assert!(proven || deleted, "`{path}` is lost");
        }
    }
}

#[track_caller]
fn check(events: &[Event]) {
    let mut world = World::new(false, true);
    for event in events {
        world.apply(event);
    }
}

#[test]
fn an_upload_whose_answer_was_lost_is_recorded_although_that_ended_the_run() {
    check(&[
        Event::Write(0, 0),
        Event::Sync(u8::MAX),
        Event::Write(2, 0),
        Event::SyncAnswerLost(0),
        Event::Switch,
        Event::Restart,
        Event::Delete(2),
        Event::Sync(u8::MAX),
    ]);
}

#[test]
fn an_object_that_was_listed_while_its_directory_was_unmounted_is_recorded() {
    check(&[
        Event::Write(0, 0),
        Event::Write(1, 0),
        // Killed between sending `cache/0.png` and recording it.
        Event::Sync(2),
        Event::SyncPartlyUnmounted(u8::MAX),
        Event::Switch,
        Event::Restart,
        Event::Delete(0),
        Event::Sync(u8::MAX),
    ]);
}

/// After the switch back, the bucket has the only copies of what Mastodon uploaded and `prune` deleted.
#[test]
fn an_object_without_a_file_is_deleted_only_where_mastodon_deleted_the_file() {
    let switched = [
        Event::Write(0, 0),
        Event::Write(1, 1),
        Event::Sync(u8::MAX),
        Event::Switch,
        Event::Restart,
        Event::Write(2, 2),
        Event::Write(1, 3),
        Event::Sync(u8::MAX),
    ];
    let switched_back = [
        Event::SwitchBack,
        Event::Restart,
        Event::Delete(1),
        Event::SyncDelete(u8::MAX),
        Event::SyncDelete(u8::MAX),
    ];
    check(&[&switched[..], &switched_back].concat());
    let pruned = [
        Event::Cutover(u8::MAX),
        Event::Prune(u8::MAX),
        Event::Rollback(u8::MAX),
    ];
    check(&[&switched[..], &pruned, &switched_back].concat());
}

#[test]
fn what_mastodon_writes_after_the_listing_is_not_overwritten() {
    check(&[
        Event::Write(0, 0),
        Event::Sync(u8::MAX),
        Event::Write(2, 1),
        Event::Switch,
        Event::Restart,
        Event::SyncDuringWrite(2, 3),
        Event::Delete(2),
        Event::Sync(u8::MAX),
    ]);
}

proptest! {
    #[test]
    fn nothing_is_lost_brought_back_or_overwritten(
        linked: bool,
        answers: bool,
        events in history(),
    ) {
        let mut world = World::new(linked, answers);
        for event in &events {
            world.apply(event);
        }
    }
}
