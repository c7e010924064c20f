//! Random histories: Mastodon writes and deletes, on the disk before the switch and in the bucket after
//! it, and at any moment somebody runs a command, which is killed at any of its steps.
//!
//! Disk, walk, guards, decisions, moves, and what is written to the journal and when are the real ones;
//! bucket and journal are maps in memory.

mod world;

use proptest::prelude::*;

use self::world::{Fuse, World, identity};
use crate::mastodon::Owner;
use crate::swap;

/// What happens. Numbers choose a path, a content, and the step after which a command is killed.
#[derive(Clone, Debug)]
enum Event {
    Write(u8, u8),
    Delete(u8),
    /// An account is suspended: where its file is on the disk, nobody else may read it.
    Suspend(u8),
    Unsuspend(u8),
    /// The settings name the bucket.
    Switch,
    Restart,
    /// The settings name the disk.
    SwitchBack,
    /// The disk of the media is away: its directory is empty.
    Unmount,
    Mount,
    JournalLost,
    Sync(u8),
    /// While a disk below the media directory is away.
    SyncAway(u8),
    /// The answer to an upload is lost, which ends the run.
    SyncBreaks(u8),
    Cutover(u8),
    Rollback(u8),
    Prune(u8),
}

fn event() -> impl Strategy<Value = Event> {
    // Beyond the longest run of steps: not killed.
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
        2 => kill.clone().prop_map(Event::SyncAway),
        1 => (0..4u8).prop_map(Event::SyncBreaks),
        2 => kill.clone().prop_map(Event::Cutover),
        1 => kill.clone().prop_map(Event::Rollback),
        2 => kill.prop_map(Event::Prune),
    ]
}

/// A migration as it is meant, with anything between its steps.
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
    fn happen(&mut self, event: &Event) {
        let (bucket, files) = (self.bucket.clone(), self.files());
        let hidden = self.hidden();
        let mounted = !self.away().exists();
        match *event {
            // An instance without its disk can do neither.
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
                let root = swap::media_at(&self.site.live());
                self.journals.remove(&identity(&root));
            }
            // Who cannot ask the instance must restart it at once.
            Event::SwitchBack => {
                self.owner = Owner::Disk;
                if !self.answers {
                    self.restart();
                }
            }
            // Killed or refused: what matters is what is left.
            Event::Sync(kill) => drop(self.sync(&mut Fuse(kill), None, None)),
            Event::SyncAway(kill) => drop(self.sync(&mut Fuse(kill), Some("cache/"), None)),
            Event::SyncBreaks(nth) => drop(self.sync(&mut Fuse(u8::MAX), None, Some(nth))),
            Event::Cutover(kill) => drop(self.cutover(&mut Fuse(kill))),
            Event::Rollback(kill) => drop(self.rollback(&mut Fuse(kill))),
            Event::Prune(kill) => drop(self.prune(&mut Fuse(kill))),
        }
        assert!(self.site.live().is_dir(), "there is no media directory");
        if matches!(
            event,
            Event::Write(..) | Event::Delete(_) | Event::SwitchBack | Event::Restart
        ) {
            return;
        }
        for (path, object) in &bucket {
            let untouched = self.bucket.get(path) == Some(object);
            assert!(untouched || !object.mastodons, "`{path}` is Mastodon's");
        }
        for path in hidden {
            let new = self.bucket.contains_key(&path) && !bucket.contains_key(&path);
            assert!(!new, "`{path}` was hidden, and everybody sees it");
        }
        for path in &self.deleted {
            assert!(!self.bucket.contains_key(path), "`{path}` came back");
        }
        for (path, content) in files.difference(&self.files()) {
            let proven = self
                .bucket
                .get(path)
                .is_some_and(|object| object.content == *content);
            let settled = self.forgotten.contains(path);
            assert!(proven || settled, "`{path}` is lost");
        }
    }
}

#[track_caller]
fn check(events: &[Event]) {
    let mut world = World::new(false, true);
    for event in events {
        world.happen(event);
    }
}

#[test]
fn an_upload_whose_answer_was_lost_is_remembered_although_that_ended_the_run() {
    check(&[
        Event::Write(0, 0),
        Event::Sync(u8::MAX),
        Event::Write(2, 0),
        Event::SyncBreaks(0),
        Event::Switch,
        Event::Restart,
        Event::Delete(2),
        Event::Sync(u8::MAX),
    ]);
}

#[test]
fn an_object_that_was_seen_while_its_directory_was_away_is_remembered() {
    check(&[
        Event::Write(0, 0),
        Event::Write(1, 0),
        // Killed between sending `cache/0.png` and noting it.
        Event::Sync(2),
        Event::SyncAway(u8::MAX),
        Event::Switch,
        Event::Restart,
        Event::Delete(0),
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
            world.happen(event);
        }
    }
}
