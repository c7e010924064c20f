//! Random histories: Mastodon writes and deletes, on the disk before the switch and in the bucket after
//! it, and at any moment somebody runs a command, which is killed at any of its steps.
//!
//! Disk, walk, guards, decisions, moves, and what is written to the journal and when are the real ones;
//! bucket and journal are maps in memory.

mod run;
mod world;

use proptest::prelude::*;

use self::run::Run;
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
    /// Mastodon writes once the bucket has been listed.
    SyncMeanwhile(u8, u8),
    /// `sync --delete`.
    SyncDeletes(u8),
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
        1 => (0..4u8, 0..4u8).prop_map(|(path, content)| Event::SyncMeanwhile(path, content)),
        2 => kill.clone().prop_map(Event::SyncDeletes),
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
        self.written = None;
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
            Event::Sync(kill) => drop(self.sync(&mut Fuse(kill), Run::default())),
            Event::SyncAway(kill) => {
                let away = Some("cache/");
                let run = Run {
                    away,
                    ..Run::default()
                };
                drop(self.sync(&mut Fuse(kill), run));
            }
            Event::SyncBreaks(nth) => {
                let breaks = Some(nth);
                let run = Run {
                    breaks,
                    ..Run::default()
                };
                drop(self.sync(&mut Fuse(u8::MAX), run));
            }
            Event::SyncMeanwhile(path, content) => {
                let written = mounted.then(|| (World::path(path), World::content(content)));
                let run = Run {
                    written,
                    ..Run::default()
                };
                drop(self.sync(&mut Fuse(u8::MAX), run));
            }
            Event::SyncDeletes(kill) => {
                let run = Run {
                    deletes: true,
                    ..Run::default()
                };
                drop(self.sync(&mut Fuse(kill), run));
            }
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
        let mut expected = bucket.clone();
        expected.extend(self.written.take());
        for (path, object) in &expected {
            let now = self.bucket.get(path);
            let untouched = now == Some(object);
            assert!(untouched || !object.mastodons, "`{path}` is Mastodon's");
            let last = now.is_some() || self.forgotten.contains(path);
            assert!(
                last,
                "the object `{path}` was deleted, and Mastodon shows it"
            );
        }
        for path in hidden {
            let ours = self
                .bucket
                .get(&path)
                .is_some_and(|object| !object.mastodons);
            let new = ours && !bucket.contains_key(&path);
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

/// After the way back, the bucket has the only copies of what Mastodon uploaded and `prune` deleted.
#[test]
fn what_has_no_file_any_more_is_deleted_only_where_mastodon_deleted_it() {
    let there_and_back = [
        Event::Write(0, 0),
        Event::Write(1, 1),
        Event::Sync(u8::MAX),
        Event::Switch,
        Event::Restart,
        Event::Write(2, 2),
        Event::Write(1, 3),
        Event::Sync(u8::MAX),
    ];
    let back = [
        Event::SwitchBack,
        Event::Restart,
        Event::Delete(1),
        Event::SyncDeletes(u8::MAX),
        Event::SyncDeletes(u8::MAX),
    ];
    check(&[&there_and_back[..], &back].concat());
    let pruned = [
        Event::Cutover(u8::MAX),
        Event::Prune(u8::MAX),
        Event::Rollback(u8::MAX),
    ];
    check(&[&there_and_back[..], &pruned, &back].concat());
}

#[test]
fn what_mastodon_writes_after_the_listing_is_not_overwritten() {
    check(&[
        Event::Write(0, 0),
        Event::Sync(u8::MAX),
        Event::Write(2, 1),
        Event::Switch,
        Event::Restart,
        Event::SyncMeanwhile(2, 3),
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
            world.happen(event);
        }
    }
}
