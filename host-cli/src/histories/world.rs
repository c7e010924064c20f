//! An instance with its disk and its bucket, and what Mastodon does to them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};

use crate::config::{Endpoint, Target};
use crate::decide::{Compare, Decision, DecisionOptions, decide, decide_read};
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::journal::Recorded;
use crate::mastodon::{Installation, Owner, Running, Storage};
use crate::pairs::Pair;
use crate::s3::ListedObject;
use crate::swap::{self, MediaPaths};
use crate::sync::journal_rules::JournalChange;
use crate::tree::{self, LocalFile, walk};

/// Content of an object, and whether Mastodon has written it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) content: Vec<u8>,
    pub(super) by_mastodon: bool,
}

/// A journal as it is on disk, and the changes that wait to be written.
#[derive(Default)]
pub(super) struct SimulatedJournal {
    pub(super) records: BTreeMap<String, Recorded>,
    pub(super) complete: bool,
    pub(super) waiting: Vec<(String, JournalChange)>,
}

impl SimulatedJournal {
    pub(super) fn change(&mut self, path: &str, change: Option<JournalChange>) {
        self.waiting
            .extend(change.map(|change| (path.to_owned(), change)));
    }

    /// Writes the first `count` changes. The others are lost, as by a kill.
    pub(super) fn write(&mut self, count: usize) {
        for (path, change) in std::mem::take(&mut self.waiting).into_iter().take(count) {
            match change {
                JournalChange::Record(record) => drop(self.records.insert(path, record)),
                JournalChange::Remove => drop(self.records.remove(&path)),
            }
        }
    }
}

pub(super) struct World {
    pub(super) directory: tempfile::TempDir,
    pub(super) paths: MediaPaths,
    /// The media directory is a link to a disk of its own.
    pub(super) linked: bool,
    /// The instance can be queried, which shows whether it was restarted.
    pub(super) answers: bool,
    /// The owner by the settings.
    pub(super) owner: Owner,
    /// The owner by the running instance.
    pub(super) running: Owner,
    pub(super) bucket: BTreeMap<String, Object>,
    /// Objects that Mastodon has deleted and not written again since it uses the bucket.
    pub(super) deleted: BTreeSet<String>,
    /// Objects that Mastodon wrote for a path whose file had not been uploaded, until a `sync` lists them.
    pub(super) unseen: BTreeSet<String>,
    /// What Mastodon wrote to the bucket while the last command ran.
    pub(super) written: Option<(String, Object)>,
    /// Paths that Mastodon's database no longer has.
    pub(super) deleted_from_database: BTreeSet<String>,
    /// By the directory's identity.
    pub(super) journals: BTreeMap<(u64, u64), SimulatedJournal>,
    /// `prune` was run, as the ledger has it.
    pub(super) pruned: bool,
    /// Rollbacks so far.
    pub(super) rollbacks: u32,
}

/// Kills a command after so many steps.
pub(super) struct KillAfter(pub(super) u8);

impl KillAfter {
    pub(super) fn step(&mut self, step: &'static str) -> Result<()> {
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
    pub(super) fn new(linked: bool, answers: bool) -> World {
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
            paths: MediaPaths::of(&live).unwrap(),
            directory,
            linked,
            answers,
            owner: Owner::Disk,
            running: Owner::Disk,
            bucket: BTreeMap::new(),
            deleted: BTreeSet::new(),
            unseen: BTreeSet::new(),
            written: None,
            deleted_from_database: BTreeSet::new(),
            journals: BTreeMap::new(),
            pruned: false,
            rollbacks: 0,
        }
    }

    pub(super) fn path(number: u8) -> String {
        format!(
            "{}/{number}.png",
            ["cache", "accounts"][usize::from(number % 2)]
        )
    }

    /// Contents differ in length: a change within one tick of the clock shows in the size.
    pub(super) fn content(number: u8) -> Vec<u8> {
        vec![b'a' + number; 1 + usize::from(number)]
    }

    pub(super) fn write(&mut self, path: String, content: Vec<u8>) {
        let on_disk = |root: PathBuf| root.join(&path).exists();
        let (live, kept) = (on_disk(self.paths.live()), on_disk(self.paths.kept()));
        let in_bucket = self.bucket.contains_key(&path);
        let (here, elsewhere) = match self.running {
            Owner::Bucket => (in_bucket, live || kept),
            _ => (live, in_bucket || kept),
        };
        // Mastodon gives each upload a new name: it does not write a key to the disk that only the bucket
        // has, nor one to the bucket whose file was deleted on the disk.
        let left_over =
            self.running == Owner::Bucket && here && self.deleted_from_database.contains(&path);
        if left_over || elsewhere && !here && self.running != Owner::Bucket {
            return;
        }
        self.deleted_from_database.remove(&path);
        if self.running == Owner::Bucket {
            self.deleted.remove(&path);
            if elsewhere && !here {
                self.unseen.insert(path.clone());
            }
            let by_mastodon = true;
            let object = Object {
                content,
                by_mastodon,
            };
            self.written = Some((path.clone(), object.clone()));
            self.bucket.insert(path, object);
            return;
        }
        self.mark_as_of_the_disk(&path);
        let file = self.paths.live().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let staged = self.directory.path().join("upload");
        fs::write(&staged, content).unwrap();
        fs::rename(staged, file).unwrap();
    }

    /// The object of this path counts as a copy of the disk from now on.
    fn mark_as_of_the_disk(&mut self, path: &str) {
        if let Some(object) = self.bucket.get_mut(path) {
            object.by_mastodon = false;
        }
    }

    pub(super) fn delete(&mut self, path: String) {
        if self.running == Owner::Disk {
            if fs::remove_file(self.paths.live().join(&path)).is_ok() {
                self.deleted_from_database.insert(path);
            }
        } else if self.unseen.contains(&path) {
            // Its deletion could not be distinguished from a file that was never uploaded.
        } else if self.bucket.remove(&path).is_some() {
            self.deleted_from_database.insert(path.clone());
            self.deleted.insert(path);
        }
    }

    pub(super) fn set_mode(&self, path: String, mode: u32) {
        if self.running == Owner::Disk {
            let permissions = fs::Permissions::from_mode(mode);
            let _ = fs::set_permissions(self.paths.live().join(path), permissions);
        }
    }

    pub(super) fn disk(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    pub(super) fn unmounted(&self) -> PathBuf {
        self.directory.path().join("unmounted")
    }

    pub(super) fn unmount(&self) {
        if self.linked && !self.unmounted().exists() {
            fs::rename(self.disk(), self.unmounted()).unwrap();
            fs::create_dir(self.disk()).unwrap();
        }
    }

    /// Nothing may have been written into the mount point: the mount would hide it.
    pub(super) fn mount(&self) {
        if self.unmounted().exists() {
            fs::remove_dir(self.disk()).expect("written below a mount point");
            fs::rename(self.unmounted(), self.disk()).unwrap();
        }
    }

    pub(super) fn target() -> Target {
        Target {
            endpoint: Endpoint::parse("s3.us-west-004.backblazeb2.com").unwrap(),
            region: "us-west-004".to_owned(),
            bucket: "media".to_owned(),
            key_prefix: String::new(),
        }
    }

    /// The installation as medialift finds it.
    pub(super) fn installation(&self) -> Installation {
        let storage = Storage {
            bucket: "media".to_owned(),
            key_prefix: String::new(),
            endpoint: World::target().endpoint.authority().to_owned(),
        };
        let mut installation = Installation::for_tests(self.owner.clone(), Some(storage));
        installation.running = match (self.answers, self.running == self.owner) {
            (false, _) => Running::NotObserved("it does not answer".to_owned()),
            (true, true) => Running::Uses(self.owner.clone()),
            (true, false) => Running::NotRestarted("it was not restarted".to_owned()),
        };
        let moved = self.paths.state().ok().flatten();
        installation.moved_aside = moved.map(|_| self.paths.live());
        installation
    }

    pub(super) fn restart(&mut self) {
        self.running = self.owner.clone();
        if self.running == Owner::Disk {
            // The disk is the truth again: `sync` may overwrite the objects of its files.
            self.deleted.clear();
            for (path, _) in self.files() {
                self.mark_as_of_the_disk(&path);
            }
            self.unseen.clear();
        }
    }

    pub(super) fn journal(&self, root: &Path) -> Option<&SimulatedJournal> {
        self.journals.get(&identity(root))
    }

    pub(super) fn is_journal_complete(&self, root: &Path) -> bool {
        self.journal(root).is_some_and(|journal| journal.complete)
    }

    pub(super) fn listed(&self, key: &str) -> Option<ListedObject> {
        let object = self.bucket.get(key)?;
        Some(ListedObject {
            key: key.to_owned(),
            size: object.content.len() as u64,
            etag: hex::encode(Md5::digest(&object.content)),
        })
    }

    /// The join of directory, bucket and journal.
    pub(super) fn pairs(&self, root: &Path) -> Vec<Pair> {
        let options = tree::WalkOptions {
            root: root.to_owned(),
            prefix_length: 0,
            follow_links: false,
        };
        let empty = |path: &str| Pair {
            path: path.to_owned(),
            local: None,
            object: None,
            recorded: None,
        };
        let mut pairs: BTreeMap<String, Pair> = BTreeMap::new();
        for entry in walk(&options).unwrap() {
            let path = entry.path().to_owned();
            pairs
                .entry(path.clone())
                .or_insert_with(|| empty(&path))
                .local = Some(entry);
        }
        for key in self.bucket.keys() {
            let pair = pairs.entry(key.clone()).or_insert_with(|| empty(key));
            pair.object = self.listed(key);
        }
        let records = self.journal(root).map(|journal| &journal.records);
        for (path, recorded) in records.into_iter().flatten() {
            pairs
                .entry(path.clone())
                .or_insert_with(|| empty(path))
                .recorded = Some(*recorded);
        }
        pairs.into_values().collect()
    }

    pub(super) fn decide(&self, pair: &Pair, owner: &Owner, options: DecisionOptions) -> Decision {
        match decide(pair, owner, options) {
            Decision::Compare => decide_read(pair, self.is_same(pair), owner, options),
            decision => decision,
        }
    }

    /// As `cutover` and `prune` decide.
    pub(super) fn decide_by_reading(&self, pair: &Pair, root: &Path) -> Decision {
        let options = DecisionOptions {
            compare: Compare::Read,
            include_hidden: true,
            unrecorded_is_new: self.is_journal_complete(root),
            ..DecisionOptions::default()
        };
        self.decide(pair, &self.owner, options)
    }

    pub(super) fn is_same(&self, pair: &Pair) -> bool {
        let (Some(file), Some(object)) = (pair.file(), &pair.object) else {
            return false;
        };
        object.etag == hex::encode(Md5::digest(read(file)))
    }

    /// Every file, in whichever directory.
    pub(super) fn files(&self) -> BTreeSet<(String, Vec<u8>)> {
        let mut found = BTreeSet::new();
        let public = fs::read_dir(self.directory.path().join("public")).unwrap();
        let public = public.map(|entry| entry.unwrap().path());
        for root in public.chain([self.unmounted()]) {
            if !root.is_dir() {
                continue;
            }
            for pair in self.pairs(&root) {
                if let Some(file) = pair.file() {
                    found.insert((file.path.clone(), read(file)));
                }
            }
        }
        found
    }

    /// Paths that nobody else may read.
    pub(super) fn hidden(&self) -> Vec<String> {
        let pairs = self
            .pairs(&swap::current_media_dir(&self.paths.live()))
            .into_iter();
        pairs.filter(is_hidden).map(|pair| pair.path).collect()
    }
}

pub(super) fn identity(root: &Path) -> (u64, u64) {
    Identity::of_directory(root).unwrap().parts()
}

pub(super) fn is_hidden(pair: &Pair) -> bool {
    pair.file().is_some_and(|file| file.hidden)
}

pub(super) fn read(file: &LocalFile) -> Vec<u8> {
    use std::io::Read;
    let mut content = Vec::new();
    file.open().unwrap().read_to_end(&mut content).unwrap();
    content
}
