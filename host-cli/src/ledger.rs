//! What each command did: one line of JSON a run, in the state directory. `medialift status` reads it.
//!
//! Lines are appended, each with one write. A run that is killed leaves at most half a line, which
//! readers skip. A line names its bucket and its media directory, the latter by its identity, which
//! is the same for `system` and `system_`.

pub mod steps;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use time::OffsetDateTime;

use crate::config::Target;
use crate::error::{Error, Result};
use crate::identity::Identity;

/// The fact with the number of files that `prune` has deleted.
pub const DELETED: &str = "deleted";

/// The part of a command in a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// `plan`.
    Plan,
    /// `provision`.
    Provision,
    /// `check`.
    Check,
    /// `env --announce`.
    Announce,
    /// `sync`.
    Sync,
    /// `verify`.
    Verify,
    /// `env`: switches Mastodon to the bucket.
    Switch,
    /// `env --undo`.
    Undo,
    /// `cutover`.
    Cutover,
    /// `rollback`.
    Rollback,
    /// `prune`.
    Prune,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// It has begun. Without a later line of this run, it is running or was killed.
    Begun,
    /// Everything was done.
    Done,
    /// Everything but some files was done.
    Partly,
    /// A check found a problem.
    Problem,
    /// It failed.
    Failed,
    /// Ended by Ctrl-C or SIGTERM.
    Interrupted,
}

/// One line of the ledger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LedgerEntry {
    /// The command.
    pub action: Action,
    /// How it ended.
    pub outcome: RunOutcome,
    /// When it began, seconds since 1970.
    pub began: i64,
    /// When this line was written.
    pub at: i64,
    /// The bucket and prefix, where the command has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// The media directory's identity, where the command has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<Identity>,
    /// Its path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_dir: Option<PathBuf>,
    /// Only some of the files took part, by `--include` or the like.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_some: bool,
    /// Numbers and settings of the run.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub facts: BTreeMap<String, Value>,
}

impl LedgerEntry {
    /// The line of a run that begins now.
    pub fn begun(action: Action) -> LedgerEntry {
        let now = now();
        LedgerEntry {
            action,
            outcome: RunOutcome::Begun,
            began: now,
            at: now,
            target: None,
            tree: None,
            media_dir: None,
            only_some: false,
            facts: BTreeMap::new(),
        }
    }

    /// Whether the run covered every file and was not stopped.
    pub fn counts_as_done(&self) -> bool {
        matches!(self.outcome, RunOutcome::Done | RunOutcome::Partly) && !self.only_some
    }

    /// Whether it is about this bucket and this directory. A line without one is about any.
    fn concerns(&self, target: Option<&str>, tree: Option<&Identity>) -> bool {
        let same_target = !matches!((&self.target, target), (Some(a), Some(b)) if a != b);
        let same_tree = !matches!((&self.tree, tree), (Some(a), Some(b)) if a != b);
        same_target && same_tree
    }
}

/// The ledger, a file.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
}

impl Ledger {
    /// The ledger in `state_dir`, which need not exist.
    pub fn in_directory(state_dir: &Path) -> Ledger {
        Ledger {
            path: state_dir.join("ledger.jsonl"),
        }
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line and syncs it.
    pub fn append(&self, entry: &LedgerEntry) -> io::Result<()> {
        if let Some(directory) = self.path.parent() {
            create_private(directory)?;
        }
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)?;
        let mut line = Vec::new();
        // A run that was killed may have left half a line.
        if !ends_in_line_break(&mut file)? {
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, entry)?;
        line.push(b'\n');
        file.write_all(&line)?;
        file.sync_data()
    }

    /// Every line about this bucket and directory, oldest first. A line that cannot be decoded is
    /// skipped: it is half written, or of a later version.
    pub fn read(&self, target: Option<&str>, tree: Option<&Identity>) -> Result<Vec<LedgerEntry>> {
        let failed = |e: io::Error| {
            Error::new(format!("read the ledger `{}`", self.path.display()))
                .cause(e)
                .hint("run the command as the user who ran the others, or give the same `--state-dir` as they had")
        };
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(failed(e)),
        };
        let mut entries = Vec::new();
        for line in BufReader::new(file).split(b'\n') {
            if let Ok(entry) = serde_json::from_slice::<LedgerEntry>(&line.map_err(failed)?)
                && entry.concerns(target, tree)
            {
                entries.push(entry);
            }
        }
        Ok(entries)
    }
}

/// Whether a `prune` among these lines has deleted files, or may have: one that was killed has not
/// recorded how many.
pub fn has_pruned(entries: &[LedgerEntry]) -> bool {
    let prunes = || entries.iter().filter(|entry| entry.action == Action::Prune);
    prunes().any(|entry| match entry.outcome {
        RunOutcome::Begun => {
            let ended = |other: &LedgerEntry| {
                other.outcome != RunOutcome::Begun && other.began == entry.began
            };
            !prunes().any(ended)
        }
        _ => entry.facts.get(DELETED).and_then(Value::as_u64) > Some(0),
    })
}

/// Facts that a running command collects for its line.
#[derive(Clone, Debug, Default)]
pub struct Facts(Arc<Mutex<BTreeMap<String, Value>>>);

impl Facts {
    /// Adds a number or a setting.
    pub fn add(&self, name: &str, value: impl Into<Value>) {
        let mut facts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        facts.insert(name.to_owned(), value.into());
    }

    /// All facts so far.
    pub fn get(&self) -> BTreeMap<String, Value> {
        let facts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        facts.clone()
    }
}

/// The bucket as a line names it: its name is not case sensitive.
pub fn target_name(target: &Target) -> String {
    format!(
        "{}/{}/{}",
        target.endpoint,
        target.bucket.to_ascii_lowercase(),
        target.key_prefix
    )
}

/// Path of the journal of this bucket and this directory.
pub fn journal_path(state_dir: &Path, target: &Target, tree: &Identity) -> PathBuf {
    let (inode, other) = tree.parts();
    let about = format!("{}\n{inode}\n{other}", target_name(target));
    let digest = Md5::digest(about.as_bytes());
    state_dir.join(format!("journal-{}.redb", hex::encode(&digest[..8])))
}

/// Creates a directory that only its owner may read, with those above it.
pub fn create_private(directory: &Path) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
}

/// Seconds since 1970.
pub fn now() -> i64 {
    OffsetDateTime::now_utc().unix_timestamp()
}

fn ends_in_line_break(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(action: Action) -> LedgerEntry {
        LedgerEntry {
            outcome: RunOutcome::Done,
            ..LedgerEntry::begun(action)
        }
    }

    #[test]
    fn half_a_line_is_skipped_and_no_other() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::in_directory(&dir.path().join("state"));
        let entries = [
            entry(Action::Plan),
            entry(Action::Sync),
            entry(Action::Prune),
        ];
        for entry in &entries {
            ledger.append(entry).unwrap();
        }
        let whole = fs::read(ledger.path()).unwrap();
        for length in 0..whole.len() {
            fs::write(ledger.path(), &whole[..length]).unwrap();
            let complete = whole[..=length].iter().filter(|b| **b == b'\n').count();
            ledger.append(&entries[2]).unwrap();
            let mut expected = entries[..complete].to_vec();
            expected.push(entries[2].clone());
            assert_eq!(ledger.read(None, None).unwrap(), expected, "{length}");
        }
    }

    #[test]
    fn a_prune_that_deleted_files_or_was_killed_is_noticed() {
        let line = |outcome, deleted: Option<u64>| {
            let facts = deleted.map(|number| (DELETED.to_owned(), number.into()));
            LedgerEntry {
                outcome,
                began: 1,
                facts: facts.into_iter().collect(),
                ..LedgerEntry::begun(Action::Prune)
            }
        };
        let begun = || line(RunOutcome::Begun, None);
        assert!(!has_pruned(&[entry(Action::Sync)]));
        assert!(has_pruned(&[begun()]));
        assert!(!has_pruned(&[begun(), line(RunOutcome::Failed, None)]));
        assert!(!has_pruned(&[begun(), line(RunOutcome::Partly, Some(0))]));
        for outcome in [
            RunOutcome::Done,
            RunOutcome::Partly,
            RunOutcome::Interrupted,
        ] {
            assert!(has_pruned(&[begun(), line(outcome, Some(1))]));
        }
    }

    #[test]
    fn lines_of_another_bucket_or_directory_are_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::in_directory(dir.path());
        let tree = |name: &str| {
            fs::create_dir_all(dir.path().join(name)).unwrap();
            Identity::of_directory(&dir.path().join(name)).unwrap()
        };
        let (ours, theirs) = (tree("ours"), tree("theirs"));
        for (target, tree) in [
            (None, None),
            (Some("a"), None),
            (Some("a"), Some(ours)),
            (Some("a"), Some(theirs)),
            (Some("b"), Some(ours)),
        ] {
            let entry = LedgerEntry {
                target: target.map(str::to_owned),
                tree,
                ..entry(Action::Sync)
            };
            ledger.append(&entry).unwrap();
        }
        let count = |target, tree| ledger.read(target, tree).unwrap().len();
        assert_eq!(count(Some("a"), Some(&ours)), 3);
        assert_eq!(count(Some("b"), Some(&ours)), 2);
        assert_eq!(count(None, Some(&theirs)), 3);
        assert_eq!(count(None, None), 5);
    }
}
