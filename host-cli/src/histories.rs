//! Random histories: Mastodon writes and deletes, on the disk before the switch and in the bucket after
//! it, and at any moment somebody runs a command, which is killed at any of its steps.
//!
//! Disk, walk, guards, decisions, moves, and what is written to the journal and when are the real ones;
//! bucket and journal are maps in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use proptest::prelude::*;

use crate::config::{Endpoint, Target};
use crate::decide::{Compare, Conflict, Decision, Flags, decide, decide_read};
use crate::error::{Error, Result};
use crate::guards::{Verdict, may_cutover, may_prune, may_sync};
use crate::identity::Identity;
use crate::journal::Recorded;
use crate::mastodon::{Installation, Owner, Running, Storage};
use crate::pairs::Pair;
use crate::prove::{Basis, basis, is_as_uploaded};
use crate::s3::{Listed, S3Error};
use crate::swap::{self, Phase, Site};
use crate::sync::remember::{Note, Reach, Remember};
use crate::tree::{self, Entry, LocalFile, walk};
use crate::upload::Outcome;

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
    /// The settings name the disk, and Mastodon is restarted.
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

/// Path and content of an object, and whether Mastodon put it there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Object {
    content: Vec<u8>,
    mastodons: bool,
}

/// A journal as it is on disk, and what waits to be written.
#[derive(Default)]
struct Journal {
    records: BTreeMap<String, Recorded>,
    settled: bool,
    waiting: Vec<(String, Note)>,
}

impl Journal {
    fn note(&mut self, path: &str, note: Option<Note>) {
        self.waiting
            .extend(note.map(|note| (path.to_owned(), note)));
    }

    /// Writes the first `count` of what waits. The others are lost, as by a kill.
    fn write(&mut self, count: usize) {
        for (path, note) in std::mem::take(&mut self.waiting).into_iter().take(count) {
            match note {
                Note::Record(record) => drop(self.records.insert(path, record)),
                Note::Forget => drop(self.records.remove(&path)),
            }
        }
    }
}

struct World {
    directory: tempfile::TempDir,
    site: Site,
    /// The media directory is a link to a disk of its own.
    linked: bool,
    /// The instance can be asked whether it was restarted.
    answers: bool,
    /// What the settings say.
    owner: Owner,
    /// What the running instance works with.
    running: Owner,
    bucket: BTreeMap<String, Object>,
    /// Objects that Mastodon deleted and has not written again, since it uses the bucket.
    deleted: BTreeSet<String>,
    /// What its database does not have any more, wherever it was deleted.
    forgotten: BTreeSet<String>,
    /// By the directory's identity.
    journals: BTreeMap<(u64, u64), Journal>,
    /// Rollbacks so far.
    rollbacks: u32,
}

/// Ends a command after so many steps.
struct Fuse(u8);

impl Fuse {
    fn burn(&mut self, step: &'static str) -> Result<()> {
        match self.0.checked_sub(1) {
            Some(left) => {
                self.0 = if self.0 == u8::MAX { u8::MAX } else { left };
                Ok(())
            }
            None => Err(Error::new(format!("go on after `{step}`"))),
        }
    }
}

impl World {
    fn new(linked: bool, answers: bool) -> World {
        let directory = tempfile::tempdir().unwrap();
        let live = directory.path().join("public/system");
        fs::create_dir(directory.path().join("public")).unwrap();
        if linked {
            fs::create_dir(directory.path().join("disk")).unwrap();
            std::os::unix::fs::symlink("../disk", &live).unwrap();
        } else {
            fs::create_dir(&live).unwrap();
        }
        World {
            site: Site::at(&live).unwrap(),
            directory,
            linked,
            answers,
            owner: Owner::Disk,
            running: Owner::Disk,
            bucket: BTreeMap::new(),
            deleted: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            journals: BTreeMap::new(),
            rollbacks: 0,
        }
    }

    fn path(number: u8) -> String {
        format!(
            "{}/{number}.png",
            ["cache", "accounts"][usize::from(number % 2)]
        )
    }

    /// Contents differ in length, so that none depends on the clock's ticks to be told from another.
    fn content(number: u8) -> Vec<u8> {
        vec![b'a' + number; 1 + usize::from(number)]
    }

    fn write(&mut self, path: String, content: Vec<u8>) {
        let on_disk = |root: PathBuf| root.join(&path).exists();
        let (live, kept) = (on_disk(self.site.live()), on_disk(self.site.kept()));
        let in_bucket = self.bucket.contains_key(&path);
        let (here, elsewhere) = match self.running {
            Owner::Bucket => (in_bucket, live || kept),
            _ => (live, in_bucket || kept),
        };
        // Mastodon gives each upload a name of its own: a key that only the other place has is not
        // written anew.
        if elsewhere && !here {
            return;
        }
        self.forgotten.remove(&path);
        if self.running == Owner::Bucket {
            self.deleted.remove(&path);
            let mastodons = true;
            self.bucket.insert(path, Object { content, mastodons });
            return;
        }
        let file = self.site.live().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let staged = self.directory.path().join("upload");
        fs::write(&staged, content).unwrap();
        fs::rename(staged, file).unwrap();
    }

    fn delete(&mut self, path: String) {
        if self.running == Owner::Disk {
            let _ = fs::remove_file(self.site.live().join(path));
        } else if self.bucket.remove(&path).is_some() {
            self.forgotten.insert(path.clone());
            self.deleted.insert(path);
        }
    }

    fn set_mode(&self, path: String, mode: u32) {
        if self.running == Owner::Disk {
            let permissions = fs::Permissions::from_mode(mode);
            let _ = fs::set_permissions(self.site.live().join(path), permissions);
        }
    }

    fn disk(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    fn away(&self) -> PathBuf {
        self.directory.path().join("away")
    }

    fn unmount(&self) {
        if self.linked && !self.away().exists() {
            fs::rename(self.disk(), self.away()).unwrap();
            fs::create_dir(self.disk()).unwrap();
        }
    }

    /// What was written into the directory meanwhile would be hidden by the mount: nothing is.
    fn mount(&self) {
        if self.away().exists() {
            fs::remove_dir(self.disk()).expect("written below a mount point");
            fs::rename(self.away(), self.disk()).unwrap();
        }
    }

    fn target() -> Target {
        Target {
            endpoint: Endpoint::parse("s3.us-west-004.backblazeb2.com").unwrap(),
            region: "us-west-004".to_owned(),
            bucket: "media".to_owned(),
            key_prefix: String::new(),
        }
    }

    /// As it can be seen.
    fn installation(&self) -> Installation {
        let storage = Storage {
            bucket: "media".to_owned(),
            key_prefix: String::new(),
            endpoint: None,
        };
        let mut installation = Installation::for_tests(self.owner.clone(), Some(storage));
        installation.running = match (self.answers, self.running == self.owner) {
            (false, _) => Running::NotAsked("it does not answer".to_owned()),
            (true, true) => Running::Shows(self.owner.clone()),
            (true, false) => Running::NotRestarted("it was not restarted".to_owned()),
        };
        installation
    }

    fn journal(&self, root: &Path) -> Option<&Journal> {
        self.journals.get(&identity(root))
    }

    fn is_settled(&self, root: &Path) -> bool {
        self.journal(root).is_some_and(|journal| journal.settled)
    }

    /// The join of the three sides.
    fn pairs(&self, root: &Path) -> Vec<Pair> {
        let options = tree::Options {
            root: root.to_owned(),
            prefix_length: 0,
            follow_links: false,
        };
        let empty = |path: &str| Pair {
            path: path.to_owned(),
            local: None,
            object: None,
            known: None,
        };
        let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
        for entry in walk(&options).unwrap() {
            let path = entry.path().to_owned();
            pairs
                .entry(path.clone())
                .or_insert_with(|| empty(&path))
                .local = Some(entry);
        }
        for (key, object) in &self.bucket {
            let pair = pairs.entry(key.clone()).or_insert_with(|| empty(key));
            pair.object = Some(Listed {
                key: key.clone(),
                size: object.content.len() as u64,
                etag: hex::encode(Md5::digest(&object.content)),
            });
        }
        let records = self.journal(root).map(|journal| &journal.records);
        for (path, known) in records.into_iter().flatten() {
            pairs
                .entry(path.clone())
                .or_insert_with(|| empty(path))
                .known = Some(*known);
        }
        pairs.into_values().collect()
    }

    fn decide(&self, pair: &Pair, flags: Flags) -> Decision {
        match decide(pair, &self.owner, flags) {
            Decision::Compare => decide_read(pair, self.is_same(pair), &self.owner, flags),
            decision => decision,
        }
    }

    /// As `cutover` and `prune` decide.
    fn decide_by_reading(&self, pair: &Pair, root: &Path) -> Decision {
        let flags = Flags {
            compare: Compare::Read,
            include_hidden: true,
            unrecorded_is_new: self.is_settled(root),
            ..Flags::default()
        };
        self.decide(pair, flags)
    }

    fn is_same(&self, pair: &Pair) -> bool {
        let Some(Entry::File(file)) = &pair.local else {
            return false;
        };
        self.bucket
            .get(&pair.path)
            .map(|object| object.content.clone())
            == Some(read(file))
    }

    /// `away`: the disk below this directory is not mounted. `breaks`: the upload whose answer is lost.
    fn sync(&mut self, fuse: &mut Fuse, away: Option<&str>, breaks: Option<u8>) -> Result<()> {
        if may_sync(&self.installation()) != Verdict::Allow {
            return Ok(());
        }
        let root = swap::media_at(&self.site.live());
        let pairs = self.pairs(&root);
        let mut journal = self.journals.remove(&identity(&root)).unwrap_or_default();
        let ended = self.copy(pairs, &mut journal, fuse, (away, breaks));
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
    fn copy(
        &mut self,
        pairs: Vec<Pair>,
        journal: &mut Journal,
        fuse: &mut Fuse,
        (away, mut breaks): (Option<&str>, Option<u8>),
    ) -> Result<bool> {
        let remember = Remember::new(self.owner.clone(), journal.settled);
        let flags = Flags {
            unrecorded_is_new: journal.settled,
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
        for mut pair in pairs {
            if away.is_some_and(|away| pair.path.starts_with(away)) {
                pair.local = None;
                if pair.object.is_none() && pair.known.is_none() {
                    continue;
                }
            }
            let decision = self.decide(&pair, flags);
            let Some(Entry::File(file)) = &pair.local else {
                journal.note(&pair.path, remember.left(&pair, decision));
                continue;
            };
            let content = read(file);
            let record = Recorded::same(file.stamp, &hex::encode(Md5::digest(&content)));
            let bytes = file.stamp.size;
            let is_sent = matches!(decision, Decision::Send(_));
            let is_read = decide(&pair, &self.owner, flags) == Decision::Compare;
            if !is_sent && !is_read {
                journal.note(&pair.path, remember.left(&pair, decision));
                continue;
            }
            let mut outcome = match decision {
                Decision::Conflict(conflict) => Outcome::Conflict(conflict),
                Decision::Same => Outcome::Same { bytes, record },
                _ => Outcome::Uploaded { bytes, record },
            };
            if is_sent {
                if remember.announces() && !is_read {
                    journal.note(&pair.path, Some(Note::Record(Recorded::sending())));
                    journal.write(usize::MAX);
                }
                let mastodons = false;
                let object = Object { content, mastodons };
                self.bucket.insert(pair.path.clone(), object);
                fuse.burn("sent")?;
                breaks = breaks.and_then(|left| {
                    if left == 0 {
                        let lost = std::io::Error::other("the answer is lost");
                        let error = S3Error::local(&pair.path, lost);
                        outcome = Outcome::Failed(Box::new(error));
                        reach.whole = false;
                    }
                    left.checked_sub(1)
                });
            }
            journal.note(&pair.path, remember.after(&pair, &outcome));
            fuse.burn("noted")?;
            if !reach.whole {
                break;
            }
        }
        if empty {
            return Err(Error::new("upload an empty directory"));
        }
        Ok(remember.settles(reach))
    }

    fn cutover(&mut self, fuse: &mut Fuse) -> Result<()> {
        if may_cutover(&self.installation(), &World::target()) != Verdict::Allow {
            return Ok(());
        }
        let Some(state) = swap::ready_to_cut(&self.site)? else {
            return Ok(());
        };
        if !swap::media_are_aside(&self.site, &state)? {
            let live = self.site.live();
            let missing = |pair: &Pair| match self.decide_by_reading(pair, &live) {
                Decision::Conflict(Conflict::BucketOwns) => {
                    let known = pair.known.as_ref().zip(pair.object.as_ref());
                    let replaced = known.is_some_and(|(known, there)| known.etag() != there.etag);
                    !(replaced && is_as_uploaded(pair))
                }
                Decision::DeletedThere => !is_as_uploaded(pair) && !is_hidden(pair),
                Decision::Send(_) | Decision::Conflict(_) => !is_hidden(pair),
                _ => false,
            };
            if self.pairs(&live).iter().any(missing) {
                return Ok(());
            }
        }
        swap::cut(&self.site, &mut |step| fuse.burn(step)).map(drop)
    }

    fn rollback(&mut self, fuse: &mut Fuse) -> Result<()> {
        if self.site.state()?.is_none() {
            return Ok(());
        }
        self.rollbacks += 1;
        let name = format!("public/conflicts-{}", self.rollbacks);
        let conflicts = self.directory.path().join(name);
        swap::back(&self.site, true, &conflicts, &mut |step| fuse.burn(step)).map(drop)
    }

    fn prune(&mut self, fuse: &mut Fuse) -> Result<()> {
        let Some(mut state) = self.site.state()? else {
            return Ok(());
        };
        let allowed = may_prune(&self.installation(), &World::target());
        if allowed != Verdict::Allow || state.phase != Phase::Moved {
            return Ok(());
        }
        state.pruned = true;
        self.site.write_state(&state)?;
        let root = self.site.kept();
        for pair in self.pairs(&root) {
            let Some(Entry::File(file)) = &pair.local else {
                continue;
            };
            let decision = self.decide_by_reading(&pair, &root);
            let may_go = match basis(decision, &pair) {
                Basis::Absence => !self.bucket.contains_key(&pair.path),
                Basis::Content => self.is_same(&pair),
                Basis::Nothing(_) => false,
            };
            if may_go {
                fuse.burn("proven")?;
                file.remove().unwrap();
            }
        }
        Ok(())
    }

    /// Every file of ours, wherever it lies.
    fn files(&self) -> BTreeSet<(String, Vec<u8>)> {
        let mut found = BTreeSet::new();
        let public = fs::read_dir(self.directory.path().join("public")).unwrap();
        let public = public.map(|entry| entry.unwrap().path());
        for root in public.chain([self.away()]) {
            if !root.is_dir() {
                continue;
            }
            for pair in self.pairs(&root) {
                if let Some(Entry::File(file)) = &pair.local {
                    found.insert((pair.path, read(file)));
                }
            }
        }
        found
    }

    /// Paths that nobody else may read.
    fn hidden(&self) -> Vec<String> {
        let pairs = self.pairs(&swap::media_at(&self.site.live())).into_iter();
        pairs.filter(is_hidden).map(|pair| pair.path).collect()
    }

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
            Event::Restart => self.running = self.owner.clone(),
            Event::Unmount => self.unmount(),
            Event::Mount => self.mount(),
            Event::JournalLost => {
                let root = swap::media_at(&self.site.live());
                self.journals.remove(&identity(&root));
            }
            Event::SwitchBack => {
                // The disk is the truth again, so what it has belongs into the bucket.
                self.owner = Owner::Disk;
                self.running = Owner::Disk;
                self.deleted.clear();
                for object in self.bucket.values_mut() {
                    object.mastodons = false;
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
            Event::Write(..) | Event::Delete(_) | Event::SwitchBack
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

fn identity(root: &Path) -> (u64, u64) {
    Identity::of_directory(root).unwrap().parts()
}

fn is_hidden(pair: &Pair) -> bool {
    matches!(&pair.local, Some(Entry::File(file)) if file.hidden)
}

fn read(file: &LocalFile) -> Vec<u8> {
    use std::io::Read;
    let mut content = Vec::new();
    file.open().unwrap().read_to_end(&mut content).unwrap();
    content
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
