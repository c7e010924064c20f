//! The state of a migration on disk: which directory is in which place, and what was begun.
//!
//! The state file lies beside the directories it tells of, so whoever runs the next command finds
//! it. It is written and synced before each step; every step may be done again. Together with the
//! directories' identities it tells, after a crash at any point, what was done and what was not.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::identity::Identity;

/// The media directory and the names around it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Where both directories lie: `/home/mastodon/live/public`.
    pub parent: PathBuf,
    /// `system`.
    pub name: String,
}

/// What was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// A cutover has been decided upon; the directories may or may not have changed places.
    Moving,
    /// The cutover is complete.
    Moved,
    /// A rollback has been decided upon; directories and files may or may not be back.
    Returning,
}

/// The state file's content.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// Version of this layout, 1.
    pub version: u32,
    /// What was begun.
    pub phase: Phase,
    /// The directory (or link) with the media.
    pub media: Identity,
    /// The directory itself, where `media` is a link to it: else that its disk is not mounted would not
    /// be seen. None in what an earlier version wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Identity>,
    /// Owner of the empty directory that takes its place.
    pub owner: u32,
    /// Group of the same.
    pub group: u32,
    /// Permission bits of the same.
    pub mode: u32,
    /// Whether `prune` has begun to delete from it: then there is no way back to the whole.
    pub pruned: bool,
    /// Where a rollback puts what conflicts, once it has begun to: if it is killed then, the next
    /// run tells of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflicts_dir: Option<String>,
}

pub(super) const VERSION: u32 = 1;

/// While this lives, no other run moves the directories or deletes from them.
#[derive(Debug)]
pub struct Lock {
    _directory: File,
}

impl Site {
    /// The place of `media_dir`, which need not exist at the moment.
    pub fn at(media_dir: &Path) -> Result<Site> {
        let operation = || format!("use `{}` as the media directory", media_dir.display());
        let absolute =
            std::path::absolute(media_dir).map_err(|e| Error::usage(operation()).cause(e))?;
        let name = absolute.file_name().and_then(|name| name.to_str());
        let (Some(parent), Some(name)) = (absolute.parent(), name) else {
            return Err(Error::usage(operation())
                .cause("it has no name of its own")
                .hint("give Mastodon's, e.g. `/home/mastodon/live/public/system`"));
        };
        let parent = fs::canonicalize(parent).map_err(|e| {
            Error::usage(operation())
                .cause(e)
                .hint("check the path, and that you may enter the directories above it")
        })?;
        Ok(Site {
            parent,
            name: name.to_owned(),
        })
    }

    /// The directory Mastodon uses: `system`.
    pub fn live(&self) -> PathBuf {
        self.parent.join(&self.name)
    }

    /// Where the media are kept after the cutover: `system_`.
    pub fn kept(&self) -> PathBuf {
        kept_of(&self.live())
    }

    /// A directory that is being made ready, where two names cannot be exchanged at once.
    pub fn staging(&self) -> PathBuf {
        self.parent.join(format!(".{}.medialift-new", self.name))
    }

    /// The state file.
    pub fn state_path(&self) -> PathBuf {
        self.parent.join(format!(".{}.medialift.json", self.name))
    }

    fn staged_state_path(&self) -> PathBuf {
        self.parent
            .join(format!(".{}.medialift.json.new", self.name))
    }

    /// Holds the place for one run: a second one fails until the lock is dropped or its holder
    /// ends, however it ends.
    pub fn lock(&self) -> Result<Lock> {
        let operation = || format!("work on `{}`", self.live().display());
        let directory = File::open(&self.parent).map_err(|e| Error::new(operation()).cause(e))?;
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(Error::new(operation())
                    .cause("another run of medialift is at work on it")
                    .hint("wait until it has ended, then run the command again"));
            }
            Err(e) => return Err(Error::new(operation()).cause(io::Error::from(e))),
        }
        Ok(Lock {
            _directory: directory,
        })
    }

    /// Removes what a run left that was killed while it wrote the state: nothing was begun by it.
    /// Only with the lock held.
    pub fn remove_unwritten_state(&self) {
        let _ = fs::remove_file(self.staged_state_path());
    }

    /// The state; none before a cutover and after a rollback.
    pub fn state(&self) -> Result<Option<State>> {
        let path = self.state_path();
        let operation = || format!("read the migration's state `{}`", path.display());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => {
                return Err(Error::new(operation())
                    .cause(e)
                    .hint("run the command as the user who ran the cutover, or as root"));
            }
        };
        let state: State = serde_json::from_slice(&bytes).map_err(|e| {
            Error::new(operation()).cause(e).hint(
                "it was not written by this version; look at both directories before you remove it",
            )
        })?;
        if state.version != VERSION {
            return Err(Error::new(operation()).cause(format!(
                "it is of version {}, this program knows version {VERSION}",
                state.version
            )));
        }
        Ok(Some(state))
    }

    /// Writes the state so that a crash leaves the old one or this one, and syncs it.
    pub fn write_state(&self, state: &State) -> Result<()> {
        let path = self.state_path();
        let fail = |e: io::Error| {
            let denied = e.kind() == io::ErrorKind::PermissionDenied;
            let operation = format!("write the migration's state `{}`", path.display());
            let error = Error::new(operation).cause(e);
            if denied {
                error.hint("run the command as the owner of that directory, or as root")
            } else {
                error
            }
        };
        let staged = self.staged_state_path();
        let bytes = serde_json::to_vec(state).map_err(|e| fail(e.into()))?;
        let write = || {
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o600)
                .open(&staged)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&staged, &path)?;
            self.sync()
        };
        write().map_err(|e| {
            let _ = fs::remove_file(&staged);
            fail(e)
        })
    }

    /// Forgets the migration: after a rollback.
    pub fn remove_state(&self) -> Result<()> {
        let path = self.state_path();
        match fs::remove_file(&path).and_then(|()| self.sync()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::new(format!("remove `{}`", path.display())).cause(e))
            }
            _ => Ok(()),
        }
    }

    /// Makes renames in the parent directory safe on disk.
    pub fn sync(&self) -> io::Result<()> {
        File::open(&self.parent)?.sync_all()
    }
}

/// `system_` of `system`.
pub fn kept_of(media_dir: &Path) -> PathBuf {
    let mut name = media_dir.as_os_str().to_owned();
    name.push("_");
    PathBuf::from(name)
}

/// Where the media of this media directory are at the moment: `system_` after a cutover.
pub fn media_at(media_dir: &Path) -> PathBuf {
    let aside = || {
        let site = Site::at(media_dir).ok()?;
        let state = site.state().ok()??;
        let kept = Identity::of_entry(&site.kept()).ok()?;
        (kept == Some(state.media)).then(|| site.kept())
    };
    aside().unwrap_or_else(|| media_dir.to_owned())
}
