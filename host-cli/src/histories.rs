//! Random histories: Mastodon writes and deletes, on the disk before the switch and in the bucket after
//! it, and at any moment somebody runs a command, which is killed at any of its steps.
//!
//! Disk, walk, decisions and moves are the real ones; bucket and journal are maps in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use proptest::prelude::*;

use crate::decide::{Compare, Conflict, Decision, Flags, decide, decide_read};
use crate::error::{Error, Result};
use crate::journal::Recorded;
use crate::mastodon::Owner;
use crate::pairs::Pair;
use crate::prove::{Basis, basis};
use crate::s3::Listed;
use crate::swap::{self, Phase, Site};
use crate::tree::{self, Entry, LocalFile, walk};

/// What happens. Numbers choose a path, a content, and the step after which a command is killed.
#[derive(Clone, Debug)]
enum Event {
    Write(u8, u8),
    Delete(u8),
    Switch,
    SwitchBack,
    Sync(u8),
    /// While a disk below the media directory is away.
    SyncAway(u8),
    Cutover(u8),
    Rollback(u8),
    Prune(u8),
}

fn event() -> impl Strategy<Value = Event> {
    // Beyond the longest run of steps: not killed.
    let kill = prop_oneof![0..12u8, Just(u8::MAX)];
    prop_oneof![
        4 => (0..6u8, 0..4u8).prop_map(|(path, content)| Event::Write(path, content)),
        3 => (0..6u8).prop_map(Event::Delete),
        2 => Just(Event::Switch),
        1 => Just(Event::SwitchBack),
        4 => kill.clone().prop_map(Event::Sync),
        2 => kill.clone().prop_map(Event::SyncAway),
        2 => kill.clone().prop_map(Event::Cutover),
        1 => kill.clone().prop_map(Event::Rollback),
        2 => kill.prop_map(Event::Prune),
    ]
}

/// Path and content of an object, and whether Mastodon put it there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Object {
    content: Vec<u8>,
    mastodons: bool,
}

struct World {
    directory: tempfile::TempDir,
    site: Site,
    owner: Owner,
    bucket: BTreeMap<String, Object>,
    /// Objects that Mastodon deleted and has not written again, since it uses the bucket.
    deleted: BTreeSet<String>,
    /// What its database does not have any more, wherever it was deleted.
    forgotten: BTreeSet<String>,
    journal: BTreeMap<String, Recorded>,
    /// The last sync ended by itself, and left nothing unexplained.
    settled: bool,
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
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let live = directory.path().join("public/system");
        fs::create_dir_all(&live).unwrap();
        World {
            site: Site::at(&live).unwrap(),
            directory,
            owner: Owner::Disk,
            bucket: BTreeMap::new(),
            deleted: BTreeSet::new(),
            forgotten: BTreeSet::new(),
            journal: BTreeMap::new(),
            settled: false,
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
        let (here, elsewhere) = match self.owner {
            Owner::Bucket => (in_bucket, live || kept),
            _ => (live, in_bucket || kept),
        };
        // Mastodon gives each upload a name of its own: a key that only the other place has is not
        // written anew.
        if elsewhere && !here {
            return;
        }
        self.forgotten.remove(&path);
        if self.owner == Owner::Bucket {
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
        if self.owner == Owner::Disk {
            let _ = fs::remove_file(self.site.live().join(path));
        } else if self.bucket.remove(&path).is_some() {
            self.forgotten.insert(path.clone());
            self.deleted.insert(path);
        }
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
        for (path, known) in &self.journal {
            pairs
                .entry(path.clone())
                .or_insert_with(|| empty(path))
                .known = Some(*known);
        }
        pairs.into_values().collect()
    }

    fn decide(&self, pair: &Pair, compare: Compare, unrecorded_is_new: bool) -> Decision {
        let flags = Flags {
            compare,
            unrecorded_is_new,
            ..Flags::default()
        };
        match decide(pair, &self.owner, flags) {
            Decision::Compare => decide_read(pair, self.is_same(pair), &self.owner, flags),
            decision => decision,
        }
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

    /// `away`: the disk below this directory is not mounted.
    fn sync(&mut self, fuse: &mut Fuse, away: Option<&str>) -> Result<()> {
        let root = swap::media_at(&self.site.live());
        let unrecorded_is_new = self.settled;
        self.settled = false;
        let mut explained = true;
        for mut pair in self.pairs(&root) {
            if away.is_some_and(|away| pair.path.starts_with(away)) {
                pair.local = None;
                if pair.object.is_none() && pair.known.is_none() {
                    continue;
                }
            }
            let decision = self.decide(&pair, Compare::Digest, unrecorded_is_new);
            match (decision, &pair.local) {
                (Decision::Send(_), Some(Entry::File(file))) => {
                    let content = read(file);
                    let etag = hex::encode(Md5::digest(&content));
                    let mastodons = false;
                    self.bucket
                        .insert(pair.path.clone(), Object { content, mastodons });
                    fuse.burn("sent")?;
                    let record = Recorded::same(file.stamp, &etag).unwrap();
                    self.journal.insert(pair.path, record);
                    fuse.burn("recorded")?;
                }
                (Decision::Same, Some(Entry::File(file))) => {
                    let etag = pair.object.unwrap().etag;
                    let record = Recorded::same(file.stamp, &etag).unwrap();
                    self.journal.insert(pair.path, record);
                }
                (Decision::Conflict(Conflict::NoJournal), _) => explained = false,
                (Decision::Conflict(_), _) if pair.object.is_some() && pair.known.is_none() => {
                    self.journal.insert(pair.path, Recorded::seen());
                }
                (Decision::Gone, _) if self.owner == Owner::Disk => {
                    self.journal.remove(&pair.path);
                }
                _ => {}
            }
        }
        self.settled = explained;
        Ok(())
    }

    fn cutover(&mut self, fuse: &mut Fuse) -> Result<()> {
        if self.owner != Owner::Bucket {
            return Ok(());
        }
        let Some(state) = swap::ready_to_cut(&self.site)? else {
            return Ok(());
        };
        if !swap::media_are_aside(&self.site, &state)? {
            let missing = |pair: &Pair| {
                let decision = self.decide(pair, Compare::Read, self.settled);
                matches!(decision, Decision::Send(_) | Decision::Conflict(_))
            };
            if self.pairs(&self.site.live()).iter().any(missing) {
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
        if self.owner != Owner::Bucket || state.phase != Phase::Moved {
            return Ok(());
        }
        state.pruned = true;
        self.site.write_state(&state)?;
        for pair in self.pairs(&self.site.kept()) {
            let Some(Entry::File(file)) = &pair.local else {
                continue;
            };
            let decision = self.decide(&pair, Compare::Read, self.settled);
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
        for entry in fs::read_dir(self.directory.path().join("public")).unwrap() {
            let root: PathBuf = entry.unwrap().path();
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

    fn happen(&mut self, event: &Event) {
        let (bucket, files) = (self.bucket.clone(), self.files());
        match *event {
            Event::Write(path, content) => self.write(World::path(path), World::content(content)),
            Event::Delete(path) => self.delete(World::path(path)),
            Event::Switch => self.owner = Owner::Bucket,
            Event::SwitchBack => {
                // The disk is the truth again, so what it has belongs into the bucket.
                self.owner = Owner::Disk;
                self.deleted.clear();
                for object in self.bucket.values_mut() {
                    object.mastodons = false;
                }
            }
            // Killed or refused: what matters is what is left.
            Event::Sync(kill) => drop(self.sync(&mut Fuse(kill), None)),
            Event::SyncAway(kill) => drop(self.sync(&mut Fuse(kill), Some("cache/"))),
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

fn read(file: &LocalFile) -> Vec<u8> {
    use std::io::Read;
    let mut content = Vec::new();
    file.open().unwrap().read_to_end(&mut content).unwrap();
    content
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn nothing_is_lost_brought_back_or_overwritten(
        events in proptest::collection::vec(event(), 1..40),
    ) {
        let mut world = World::new();
        for event in &events {
            world.happen(event);
        }
    }
}
