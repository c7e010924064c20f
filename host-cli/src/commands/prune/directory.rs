//! The directory that `prune` deletes from, and the protection of the one that Mastodon uses.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::PruneArgs;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::mastodon::{Installation, configured_media_dir};
use crate::swap::{Lock, MediaPaths, Phase, related_media_dirs};

/// The directory to delete from.
#[derive(Debug)]
pub(super) struct PruneDirectory {
    /// Its path, with links resolved.
    pub(super) resolved: PathBuf,
    /// Its path as it was given.
    pub(super) given: PathBuf,
    /// Every media directory that it belongs to or holds.
    media_paths: Vec<MediaPaths>,
    /// Those of them from which files are deleted and whose state file does not show it yet.
    unmarked: Mutex<Vec<MediaPaths>>,
}

impl PruneDirectory {
    /// The directory by flags and settings. Refuses the one in use without `--live`.
    pub(super) fn find(args: &PruneArgs, context: &Context) -> Result<PruneDirectory> {
        let named = args.media_dir.is_some() || context.file.media_dir.is_some();
        let mut media_paths = Vec::new();
        if named || args.delete_from.is_none() {
            media_paths.push(MediaPaths::of(&configured_media_dir(
                args.media_dir.as_deref(),
                &context.file,
            )?)?);
        }
        let given = match (&args.delete_from, media_paths.first()) {
            (Some(directory), _) => directory.clone(),
            (None, Some(paths)) if args.live => paths.live(),
            (None, Some(paths)) => {
                check_moved(paths)?;
                paths.kept()
            }
            (None, None) => return Err(Error::usage("prune").cause("no directory is named")),
        };
        let resolved = resolve(&given)?;
        let mut others = match &args.delete_from {
            Some(_) => related_media_dirs(&given)?,
            None => Vec::new(),
        };
        // A mount of the media is found by the installation, not by its name.
        let installation = Installation::find(Some(&given), &context.file)?;
        if installation.root.is_some() {
            others.push(MediaPaths::of(&installation.media_dir)?);
        }
        for paths in others {
            if !media_paths.contains(&paths) {
                media_paths.push(paths);
            }
        }
        let mut unmarked = Vec::new();
        for paths in &media_paths {
            if !args.live {
                check_not_in_use(&given, &resolved, paths)?;
            }
            let kept = std::fs::canonicalize(paths.kept());
            if kept.is_ok_and(|kept| overlap(&resolved, &kept)) && paths.state()?.is_some() {
                check_moved(paths)?;
                unmarked.push(paths.clone());
            }
        }
        Ok(PruneDirectory {
            resolved,
            given,
            media_paths,
            unmarked: Mutex::new(unmarked),
        })
    }

    /// Locks all these media directories.
    pub(super) fn lock(&self) -> Result<Vec<Lock>> {
        let mut parents: Vec<Identity> = Vec::new();
        let mut locks = Vec::new();
        for paths in &self.media_paths {
            let parent = Identity::of_directory(&paths.parent)
                .map_err(|e| Error::new(format!("read `{}`", paths.parent.display())).cause(e))?;
            if !parents.contains(&parent) {
                parents.push(parent);
                locks.push(paths.lock()?);
                paths.remove_unwritten_state();
            }
        }
        Ok(locks)
    }

    /// Records in the state files, once and right before the first deletion, that `prune` has deleted
    /// files.
    pub(super) fn mark_pruned(&self) -> Result<()> {
        let mut unmarked = self.unmarked.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(paths) = unmarked.last() {
            if let Some(mut state) = paths.state()?
                && !state.pruned
            {
                state.pruned = true;
                paths.write_state(&state)?;
            }
            unmarked.pop();
        }
        Ok(())
    }
}

/// Fails unless a cutover has been completed.
fn check_moved(paths: &MediaPaths) -> Result<()> {
    if paths.state()?.map(|state| state.phase) == Some(Phase::Moved) {
        return Ok(());
    }
    Err(Error::usage(format!("prune `{}`", paths.kept().display()))
        .cause("there is no complete cutover of this directory")
        .hint("run `medialift cutover` first, or name a directory with `--delete-from`"))
}

fn check_not_in_use(given: &Path, resolved: &Path, paths: &MediaPaths) -> Result<()> {
    match std::fs::canonicalize(paths.live()) {
        Ok(live) if overlap(resolved, &live) => Err(
            Error::usage(format!("prune `{}`", given.display()))
                .cause("Mastodon uses this directory")
                .hint("run `medialift cutover` first; or add `--live`, if Mastodon reads from the bucket already"),
        ),
        _ => Ok(()),
    }
}

/// Whether one is the other or is in it. By identity: a mount has another name.
fn overlap(a: &Path, b: &Path) -> bool {
    is_in(a, b) || is_in(b, a)
}

fn is_in(path: &Path, directory: &Path) -> bool {
    let Ok(directory) = Identity::of_directory(directory) else {
        return false;
    };
    path.ancestors()
        .any(|ancestor| Identity::of_directory(ancestor).is_ok_and(|found| found == directory))
}

fn resolve(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).map_err(|e| {
        Error::usage(format!("prune `{}`", path.display()))
            .cause(e)
            .hint("check the path; `medialift cutover` creates `system_`, and `--delete-from` names another directory")
    })
}
