//! An instance, its disk and its bucket, and the commands that are run on them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};

use crate::config::{Endpoint, Target};
use crate::decide::{Compare, Conflict, Decision, Flags, decide, decide_read};
use crate::error::{Error, Result};
use crate::guards::{Permission, may_cutover, may_prune};
use crate::identity::Identity;
use crate::journal::Recorded;
use crate::mastodon::{Installation, Owner, Running, Storage};
use crate::pairs::Pair;
use crate::prove::{Basis, basis, is_as_uploaded};
use crate::s3::Listed;
use crate::swap::{self, Phase, Site};
use crate::sync::remember::Note;
use crate::tree::{self, Entry, LocalFile, walk};

/// Path and content of an object, and whether Mastodon put it there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) content: Vec<u8>,
    pub(super) mastodons: bool,
}

/// A journal as it is on disk, and what waits to be written.
#[derive(Default)]
pub(super) struct Journal {
    pub(super) records: BTreeMap<String, Recorded>,
    pub(super) settled: bool,
    pub(super) waiting: Vec<(String, Note)>,
}

impl Journal {
    pub(super) fn note(&mut self, path: &str, note: Option<Note>) {
        self.waiting
            .extend(note.map(|note| (path.to_owned(), note)));
    }

    /// Writes the first `count` of what waits. The others are lost, as by a kill.
    pub(super) fn write(&mut self, count: usize) {
        for (path, note) in std::mem::take(&mut self.waiting).into_iter().take(count) {
            match note {
                Note::Record(record) => drop(self.records.insert(path, record)),
                Note::Forget => drop(self.records.remove(&path)),
            }
        }
    }
}

pub(super) struct World {
    pub(super) directory: tempfile::TempDir,
    pub(super) site: Site,
    /// The media directory is a link to a disk of its own.
    pub(super) linked: bool,
    /// The instance can be asked whether it was restarted.
    pub(super) answers: bool,
    /// What the settings say.
    pub(super) owner: Owner,
    /// What the running instance works with.
    pub(super) running: Owner,
    pub(super) bucket: BTreeMap<String, Object>,
    /// Objects that Mastodon deleted and has not written again, since it uses the bucket.
    pub(super) deleted: BTreeSet<String>,
    /// Objects that Mastodon wrote beside a file that the bucket did not have, and no `sync` has seen.
    pub(super) unseen: BTreeSet<String>,
    /// What Mastodon wrote to the bucket while the last command ran.
    pub(super) written: Option<(String, Object)>,
    /// What its database does not have any more, wherever it was deleted.
    pub(super) forgotten: BTreeSet<String>,
    /// By the directory's identity.
    pub(super) journals: BTreeMap<(u64, u64), Journal>,
    /// `prune` was run, which the ledger tells.
    pub(super) pruned: bool,
    /// Rollbacks so far.
    pub(super) rollbacks: u32,
}

/// Ends a command after so many steps.
pub(super) struct Fuse(pub(super) u8);

impl Fuse {
    pub(super) fn burn(&mut self, step: &'static str) -> Result<()> {
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
            site: Site::at(&live).unwrap(),
            directory,
            linked,
            answers,
            owner: Owner::Disk,
            running: Owner::Disk,
            bucket: BTreeMap::new(),
            deleted: BTreeSet::new(),
            unseen: BTreeSet::new(),
            written: None,
            forgotten: BTreeSet::new(),
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

    /// Contents differ in length, so that none depends on the clock's ticks to be told from another.
    pub(super) fn content(number: u8) -> Vec<u8> {
        vec![b'a' + number; 1 + usize::from(number)]
    }

    pub(super) fn write(&mut self, path: String, content: Vec<u8>) {
        let on_disk = |root: PathBuf| root.join(&path).exists();
        let (live, kept) = (on_disk(self.site.live()), on_disk(self.site.kept()));
        let in_bucket = self.bucket.contains_key(&path);
        let (here, elsewhere) = match self.running {
            Owner::Bucket => (in_bucket, live || kept),
            _ => (live, in_bucket || kept),
        };
        // Mastodon gives each upload a name of its own: on the disk, a key that only the bucket has is
        // not written anew, nor in the bucket one whose picture was deleted on the disk.
        let left_over = self.running == Owner::Bucket && here && self.forgotten.contains(&path);
        if left_over || elsewhere && !here && self.running != Owner::Bucket {
            return;
        }
        self.forgotten.remove(&path);
        if self.running == Owner::Bucket {
            self.deleted.remove(&path);
            if elsewhere && !here {
                self.unseen.insert(path.clone());
            }
            let mastodons = true;
            let object = Object { content, mastodons };
            self.written = Some((path.clone(), object.clone()));
            self.bucket.insert(path, object);
            return;
        }
        self.is_of_the_disk(&path);
        let file = self.site.live().join(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        let staged = self.directory.path().join("upload");
        fs::write(&staged, content).unwrap();
        fs::rename(staged, file).unwrap();
    }

    /// What the bucket has under this path is no upload of Mastodon's own any more.
    fn is_of_the_disk(&mut self, path: &str) {
        if let Some(object) = self.bucket.get_mut(path) {
            object.mastodons = false;
        }
    }

    pub(super) fn delete(&mut self, path: String) {
        if self.running == Owner::Disk {
            if fs::remove_file(self.site.live().join(&path)).is_ok() {
                self.forgotten.insert(path);
            }
        } else if self.unseen.contains(&path) {
            // Nobody could tell its deletion from a file that never was in the bucket.
        } else if self.bucket.remove(&path).is_some() {
            self.forgotten.insert(path.clone());
            self.deleted.insert(path);
        }
    }

    pub(super) fn set_mode(&self, path: String, mode: u32) {
        if self.running == Owner::Disk {
            let permissions = fs::Permissions::from_mode(mode);
            let _ = fs::set_permissions(self.site.live().join(path), permissions);
        }
    }

    pub(super) fn disk(&self) -> PathBuf {
        self.directory.path().join("disk")
    }

    pub(super) fn away(&self) -> PathBuf {
        self.directory.path().join("away")
    }

    pub(super) fn unmount(&self) {
        if self.linked && !self.away().exists() {
            fs::rename(self.disk(), self.away()).unwrap();
            fs::create_dir(self.disk()).unwrap();
        }
    }

    /// What was written into the directory meanwhile would be hidden by the mount: nothing is.
    pub(super) fn mount(&self) {
        if self.away().exists() {
            fs::remove_dir(self.disk()).expect("written below a mount point");
            fs::rename(self.away(), self.disk()).unwrap();
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

    /// As it can be seen.
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
        let moved = self.site.state().ok().flatten();
        installation.moved_aside = moved.map(|_| self.site.live());
        installation
    }

    pub(super) fn restart(&mut self) {
        self.running = self.owner.clone();
        if self.running == Owner::Disk {
            // The disk is the truth again, so what it has belongs into the bucket.
            self.deleted.clear();
            for (path, _) in self.files() {
                self.is_of_the_disk(&path);
            }
            self.unseen.clear();
        }
    }

    pub(super) fn journal(&self, root: &Path) -> Option<&Journal> {
        self.journals.get(&identity(root))
    }

    pub(super) fn is_settled(&self, root: &Path) -> bool {
        self.journal(root).is_some_and(|journal| journal.settled)
    }

    pub(super) fn listed(&self, key: &str) -> Option<Listed> {
        let object = self.bucket.get(key)?;
        Some(Listed {
            key: key.to_owned(),
            size: object.content.len() as u64,
            etag: hex::encode(Md5::digest(&object.content)),
        })
    }

    /// The join of the three sides.
    pub(super) fn pairs(&self, root: &Path) -> Vec<Pair> {
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
        for key in self.bucket.keys() {
            let pair = pairs.entry(key.clone()).or_insert_with(|| empty(key));
            pair.object = self.listed(key);
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

    pub(super) fn decide(&self, pair: &Pair, owner: &Owner, flags: Flags) -> Decision {
        match decide(pair, owner, flags) {
            Decision::Compare => decide_read(pair, self.is_same(pair), owner, flags),
            decision => decision,
        }
    }

    /// As `cutover` and `prune` decide.
    pub(super) fn decide_by_reading(&self, pair: &Pair, root: &Path) -> Decision {
        let flags = Flags {
            compare: Compare::Read,
            include_hidden: true,
            unrecorded_is_new: self.is_settled(root),
            ..Flags::default()
        };
        self.decide(pair, &self.owner, flags)
    }

    pub(super) fn is_same(&self, pair: &Pair) -> bool {
        let (Some(Entry::File(file)), Some(object)) = (&pair.local, &pair.object) else {
            return false;
        };
        object.etag == hex::encode(Md5::digest(read(file)))
    }

    pub(super) fn cutover(&mut self, fuse: &mut Fuse) -> Result<()> {
        if may_cutover(&self.installation(), &World::target()) != Permission::Allowed {
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

    pub(super) fn rollback(&mut self, fuse: &mut Fuse) -> Result<()> {
        if self.site.state()?.is_none() {
            return Ok(());
        }
        self.rollbacks += 1;
        let name = format!("public/conflicts-{}", self.rollbacks);
        let conflicts = self.directory.path().join(name);
        swap::back(&self.site, true, &conflicts, &mut |step| fuse.burn(step)).map(drop)
    }

    pub(super) fn prune(&mut self, fuse: &mut Fuse) -> Result<()> {
        let Some(mut state) = self.site.state()? else {
            return Ok(());
        };
        let allowed = may_prune(&self.installation(), &World::target());
        if allowed != Permission::Allowed || state.phase != Phase::Moved {
            return Ok(());
        }
        state.pruned = true;
        self.pruned = true;
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
    pub(super) fn files(&self) -> BTreeSet<(String, Vec<u8>)> {
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
    pub(super) fn hidden(&self) -> Vec<String> {
        let pairs = self.pairs(&swap::media_at(&self.site.live())).into_iter();
        pairs.filter(is_hidden).map(|pair| pair.path).collect()
    }
}

pub(super) fn identity(root: &Path) -> (u64, u64) {
    Identity::of_directory(root).unwrap().parts()
}

pub(super) fn is_hidden(pair: &Pair) -> bool {
    matches!(&pair.local, Some(Entry::File(file)) if file.hidden)
}

pub(super) fn read(file: &LocalFile) -> Vec<u8> {
    use std::io::Read;
    let mut content = Vec::new();
    file.open().unwrap().read_to_end(&mut content).unwrap();
    content
}
