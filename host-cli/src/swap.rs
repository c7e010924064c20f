//! Exchanges the media directory and an empty one: `system` and `system_` for the cutover, and back for
//! the rollback.
//!
//! With `RENAME_EXCHANGE` (ext4, XFS, Btrfs and most others) both names change in one step, so that
//! `system` is never missing.

pub mod git;
mod merge;
mod mount;
mod mover;
mod paths;
mod related;
mod state;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;

pub use self::merge::Merged;
use self::mover::Mover;
pub use self::paths::{Lock, MediaPaths, kept_path};
pub use self::related::related_media_dirs;
use self::state::VERSION;
pub use self::state::{CutoverState, Phase, current_media_dir};
use crate::error::{Error, Result};
use crate::identity::Identity;

/// What to do where the media directory is a mount point.
const MOUNTED: &str = "in a container: run the command on the host instead, with the directory that the container mounts; on a host: mount the disk elsewhere, make `system` a link to that directory, then run the cutover again";

/// Called after each step with its name. An error stops the command as a crash would, for tests.
pub type AfterStep<'a> = &'a mut dyn FnMut(&'static str) -> Result<()>;

/// What a cutover did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CutoverResult {
    /// The media were moved, or an interrupted cutover was completed.
    Done,
    /// An earlier run had completed it.
    AlreadyDone,
}

/// What a rollback did.
#[derive(Debug, Default)]
pub struct RollbackResult {
    /// What became of the files that Mastodon wrote after the cutover.
    pub merged: Merged,
    /// The directory of those that conflict with an older file.
    pub conflicts_dir: Option<PathBuf>,
}

/// Under which name the media are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MediaLocation {
    Live,
    Kept,
}

/// Checks that a cutover can begin or be completed, and changes nothing. None where it is complete.
pub fn check_cutover(paths: &MediaPaths) -> Result<Option<CutoverState>> {
    let live = paths.live();
    let operation = format!("move `{}` aside", live.display());
    match paths.state()? {
        Some(state) if state.phase == Phase::Moved => Ok(None),
        Some(state) if state.phase == Phase::Returning => Err(Error::new(operation)
            .cause("a rollback was interrupted")
            .hint("complete it with `medialift rollback` first")),
        Some(state) => Ok(Some(state)),
        None => {
            if fs::symlink_metadata(paths.kept()).is_ok() {
                return Err(Error::new(operation)
                    .cause(format!("`{}` exists, and was not created by a cutover", paths.kept().display()))
                    .hint("check its content, rename it or move it elsewhere, then run the cutover again"));
            }
            let metadata = fs::metadata(&live).map_err(|e| Error::new(&operation).cause(e))?;
            if !metadata.is_dir() {
                return Err(Error::new(operation).cause("it is not a directory"));
            }
            let entry = fs::symlink_metadata(&live).map_err(|e| Error::new(&operation).cause(e))?;
            let first = fs::read_dir(&live).map(|mut entries| entries.next());
            if first
                .map_err(|e| Error::new(&operation).cause(e))?
                .is_none()
            {
                return Err(Error::new(operation)
                    .cause("it is empty")
                    .hint("check the path, and that its disk is mounted"));
            }
            if mount::is_mount_point(&live).map_err(|e| Error::new(&operation).cause(e))? {
                return Err(Error::new(operation)
                    .cause("it is a mount point, which cannot be renamed")
                    .hint(MOUNTED));
            }
            Ok(Some(CutoverState {
                version: VERSION,
                phase: Phase::Moving,
                media: Identity::of(&entry),
                directory: Some(Identity::of(&metadata)),
                owner: metadata.uid(),
                group: metadata.gid(),
                mode: metadata.permissions().mode() & 0o7777,
                pruned: false,
                conflicts_dir: None,
            }))
        }
    }
}

/// Whether the media of an interrupted cutover have been moved.
pub fn media_are_aside(paths: &MediaPaths, state: &CutoverState) -> Result<bool> {
    Ok(location(paths, state)? == MediaLocation::Kept)
}

/// Moves the media aside and leaves an empty directory with the same owner and mode.
pub fn cut_over(paths: &MediaPaths, after: AfterStep<'_>) -> Result<CutoverResult> {
    Mover {
        paths,
        atomic: true,
        after,
    }
    .cut_over()
}

/// Moves the media back and merges the files into them that Mastodon wrote after the cutover.
///
/// Files that would overwrite another are moved to `conflicts_dir`, which must not exist. `after_prune`
/// allows it although `prune` has deleted some of the media.
pub fn roll_back(
    paths: &MediaPaths,
    after_prune: bool,
    conflicts_dir: &Path,
    after: AfterStep<'_>,
) -> Result<RollbackResult> {
    Mover {
        paths,
        atomic: true,
        after,
    }
    .roll_back(after_prune, conflicts_dir)
}

/// What a rollback does, as an error names it.
pub fn rollback_operation(paths: &MediaPaths) -> String {
    format!("move the media back to `{}`", paths.live().display())
}

/// Checks that there is something to roll back, and changes nothing.
pub fn check_rollback(paths: &MediaPaths, after_prune: bool) -> Result<CutoverState> {
    let operation = rollback_operation(paths);
    let Some(state) = paths.state()? else {
        return Err(Error::new(operation)
            .cause("there was no cutover, or it has been rolled back")
            .hint(format!(
                "there is nothing to do: `{}` is in use",
                paths.live().display()
            )));
    };
    if state.pruned && !after_prune {
        return Err(Error::new(operation)
            .cause("`prune` has deleted some of them, which are only in the bucket now")
            .hint("add `--after-prune` to move the others back; Mastodon cannot show the deleted ones until it uses the bucket again"));
    }
    Ok(state)
}

/// Finds the media by the identity that the cutover has recorded.
fn location(paths: &MediaPaths, state: &CutoverState) -> Result<MediaLocation> {
    let at = |path: &Path| {
        Identity::of_entry(path)
            .map(|found| found == Some(state.media))
            .map_err(|e| Error::new(format!("read `{}`", path.display())).cause(e))
    };
    let found = if at(&paths.live())? {
        Some((MediaLocation::Live, paths.live()))
    } else if at(&paths.kept())? {
        Some((MediaLocation::Kept, paths.kept()))
    } else {
        None
    };
    if let Some((location, path)) = found {
        let directory = Identity::of_directory(&path);
        match state.directory {
            Some(expected) if directory.as_ref().ok() != Some(&expected) => {
                Err(Error::new("find the media directory")
                    .cause(format!(
                        "`{}` is not the directory that was there when the cutover began",
                        path.display()
                    ))
                    .hint(format!(
                        "check that its disk is mounted; if the media are in another directory now, remove `{}` to start again",
                        paths.state_path().display()
                    )))
            }
            _ => Ok(location),
        }
    } else {
        Err(Error::new("find the media directory")
            .cause(format!(
                "neither `{}` nor `{}` is the directory that was there when the cutover began",
                paths.live().display(),
                paths.kept().display()
            ))
            .hint(format!(
                "find the directory and move it back; then remove `{}` to start again",
                paths.state_path().display()
            )))
    }
}

#[cfg(test)]
mod tests;
