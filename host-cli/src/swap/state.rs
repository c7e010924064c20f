//! The state of a cutover or rollback on disk.
//!
//! The state file is beside the directories, where the next command finds it. It is written and synced
//! before each step, and every step may be repeated. Together with the identities of the directories it
//! shows, after a crash at any point, what was done.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::paths::MediaPaths;
use crate::error::{Error, Result};
use crate::identity::Identity;

/// What has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// A cutover has begun: the media may or may not have been moved.
    Moving,
    /// The cutover is complete.
    Moved,
    /// A rollback has begun: directories and files may or may not have been moved back.
    Returning,
}

/// The content of the state file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CutoverState {
    /// Version of this layout, 1.
    pub version: u32,
    /// What has begun.
    pub phase: Phase,
    /// The directory of the media, or the link to it.
    pub media: Identity,
    /// The directory itself, also where `media` is a link: shows whether its disk is mounted. None in the
    /// file of an earlier version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<Identity>,
    /// Owner of the empty directory that takes its place.
    pub owner: u32,
    /// Group of the same.
    pub group: u32,
    /// Permission bits of the same.
    pub mode: u32,
    /// `prune` has begun to delete from it: a rollback would not restore everything.
    pub pruned: bool,
    /// Where a rollback has begun to move conflicting files: if it is killed, the next run reports them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflicts_dir: Option<String>,
}

pub(super) const VERSION: u32 = 1;

impl MediaPaths {
    /// Removes the half-written state of a killed run, which had not begun anything. Only with the lock
    /// held.
    pub fn remove_unwritten_state(&self) {
        let _ = fs::remove_file(self.staged_state_path());
    }

    /// Reads the state; none before a cutover and after a rollback.
    pub fn state(&self) -> Result<Option<CutoverState>> {
        let path = self.state_path();
        let operation = || format!("read the state file `{}`", path.display());
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => {
                return Err(Error::new(operation())
                    .cause(e)
                    .hint("run the command as the user who ran the cutover, or as root"));
            }
        };
        let state: CutoverState = serde_json::from_slice(&bytes).map_err(|e| {
            Error::new(operation()).cause(e).hint(
                "it was not written by this version of medialift; check both directories before you remove it",
            )
        })?;
        if state.version != VERSION {
            return Err(Error::new(operation())
                .cause(format!(
                    "its format is version {}, and this medialift reads version {VERSION}",
                    state.version
                ))
                .hint("use the version of medialift that wrote it"));
        }
        Ok(Some(state))
    }

    /// Replaces the state atomically and syncs it.
    pub fn write_state(&self, state: &CutoverState) -> Result<()> {
        let path = self.state_path();
        let fail = |e: io::Error| {
            let denied = e.kind() == io::ErrorKind::PermissionDenied;
            let operation = format!("write the state file `{}`", path.display());
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

    /// Removes the state, after a rollback.
    pub fn remove_state(&self) -> Result<()> {
        let path = self.state_path();
        match fs::remove_file(&path).and_then(|()| self.sync()) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                Err(Error::new(format!("remove `{}`", path.display())).cause(e))
            }
            _ => Ok(()),
        }
    }
}

/// The present path of the media: `system_` after a cutover.
pub fn current_media_dir(media_dir: &Path) -> PathBuf {
    let aside = || {
        let paths = MediaPaths::of(media_dir).ok()?;
        let state = paths.state().ok()??;
        let kept = Identity::of_entry(&paths.kept()).ok()?;
        (kept == Some(state.media)).then(|| paths.kept())
    };
    aside().unwrap_or_else(|| media_dir.to_owned())
}
