//! The steps of a cutover and of a rollback. Each is recorded before it is taken and may be repeated.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;

use super::merge::merge;
use super::{
    AfterStep, CutoverResult, CutoverState, MediaLocation, MediaPaths, Phase, RollbackResult,
    check_cutover, check_rollback, location,
};
use crate::attributes::copy_attributes;
use crate::error::{Error, Result};
use crate::tree;

/// One cutover or rollback.
pub(super) struct Mover<'a> {
    pub(super) paths: &'a MediaPaths,
    /// Exchange both names in one step, where the filesystem can.
    pub(super) atomic: bool,
    pub(super) after: AfterStep<'a>,
}

impl Mover<'_> {
    pub(super) fn cut_over(mut self) -> Result<CutoverResult> {
        let paths = self.paths;
        let Some(mut state) = check_cutover(paths)? else {
            return Ok(CutoverResult::AlreadyDone);
        };
        paths.write_state(&state)?;
        (self.after)("state: moving")?;
        match location(paths, &state)? {
            MediaLocation::Live => {
                create_empty(&paths.kept(), &paths.live(), &state)?;
                (self.after)("empty directory made")?;
                self.exchange(&paths.live(), &paths.kept())?;
            }
            MediaLocation::Kept if !exists(&paths.live()) => {
                create_empty(&paths.staging(), &paths.kept(), &state)?;
                rename(&paths.staging(), &paths.live())?;
            }
            MediaLocation::Kept => {}
        }
        self.sync_renames("directories exchanged")?;
        state.phase = Phase::Moved;
        paths.write_state(&state)?;
        (self.after)("state: moved")?;
        Ok(CutoverResult::Done)
    }

    pub(super) fn roll_back(
        mut self,
        after_prune: bool,
        conflicts_dir: &Path,
    ) -> Result<RollbackResult> {
        let paths = self.paths;
        let mut state = check_rollback(paths, after_prune)?;
        let location = location(paths, &state)?;
        let mut result = RollbackResult::default();
        if state.phase == Phase::Moving && location == MediaLocation::Live {
            // Nothing has moved yet. What the cutover has created is empty.
            let _ = fs::remove_dir(paths.kept());
            let _ = fs::remove_dir(paths.staging());
        } else {
            state.phase = Phase::Returning;
            paths.write_state(&state)?;
            (self.after)("state: returning")?;
            match location {
                MediaLocation::Kept if exists(&paths.live()) => {
                    self.exchange(&paths.kept(), &paths.live())?
                }
                MediaLocation::Kept => rename(&paths.kept(), &paths.live())?,
                MediaLocation::Live => {}
            }
            if !exists(&paths.kept()) && exists(&paths.staging()) {
                rename(&paths.staging(), &paths.kept())?;
            }
            self.sync_renames("directories exchanged")?;
            result = self.merge_newer_files(state, conflicts_dir)?;
        }
        paths.remove_state()?;
        (self.after)("state: none")?;
        Ok(result)
    }

    /// Merges what Mastodon wrote after the cutover into the media, which have been moved back.
    fn merge_newer_files(
        &mut self,
        mut state: CutoverState,
        conflicts_dir: &Path,
    ) -> Result<RollbackResult> {
        let newer = self.paths.kept();
        let mut result = RollbackResult::default();
        if !exists(&newer) {
            // An earlier run may have renamed it to the directory of conflicts before it was killed.
            let recorded = state.conflicts_dir.map(PathBuf::from);
            result.conflicts_dir = recorded.filter(|path| exists(path));
            if let Some(directory) = &result.conflicts_dir {
                result.merged.conflicts = paths_below(directory)?;
            }
            return Ok(result);
        }
        // Twice: Mastodon may have written a file during the first merge.
        for step in ["files merged", "files merged again"] {
            let merged = merge(&newer, &self.paths.live())?;
            result.merged.moved += merged.moved;
            result.merged.same += merged.same;
            (self.after)(step)?;
            match fs::remove_dir(&newer) {
                Ok(()) => return self.sync_renames("newer directory gone").map(|()| result),
                Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                Err(e) => return Err(Error::new(format!("remove `{}`", newer.display())).cause(e)),
            }
        }
        state.conflicts_dir = conflicts_dir.to_str().map(str::to_owned);
        self.paths.write_state(&state)?;
        rename(&newer, conflicts_dir)?;
        result.merged.conflicts = paths_below(conflicts_dir)?;
        result.conflicts_dir = Some(conflicts_dir.to_owned());
        self.sync_renames("newer directory gone")?;
        Ok(result)
    }

    /// Exchanges the names of `media` and `other`.
    fn exchange(&mut self, media: &Path, other: &Path) -> Result<()> {
        if self.atomic {
            match rustix::fs::renameat_with(CWD, media, CWD, other, RenameFlags::EXCHANGE) {
                Ok(()) => return Ok(()),
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {}
                Err(e) => {
                    return Err(Error::new(format!(
                        "exchange the names of `{}` and `{}`",
                        media.display(),
                        other.display()
                    ))
                    .cause(io::Error::from(e)));
                }
            }
        }
        // The media are renamed once, so they never have a third name. If this run is killed in between,
        // the next completes it.
        rename(other, &self.paths.staging())?;
        (self.after)("one of three renames")?;
        rename(media, other)?;
        (self.after)("two of three renames")?;
        rename(&self.paths.staging(), media)
    }

    fn sync_renames(&mut self, step: &'static str) -> Result<()> {
        self.paths
            .sync()
            .map_err(|e| Error::new("sync the renames to disk").cause(e))?;
        (self.after)(step)
    }
}

/// Paths of all files and links below `directory`.
fn paths_below(directory: &Path) -> Result<Vec<PathBuf>> {
    let options = tree::WalkOptions {
        root: directory.to_owned(),
        prefix_length: 0,
        follow_links: false,
    };
    let path = |entry: tree::TreeEntry| PathBuf::from(entry.path().trim_end_matches('/'));
    Ok(tree::walk(&options)?.map(path).collect())
}

pub(super) fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Creates the empty directory `path`, or checks that it is empty, and gives it the recorded owner and
/// mode and the extended attributes of `media`.
fn create_empty(path: &Path, media: &Path, state: &CutoverState) -> Result<()> {
    let operation = || format!("create the empty directory `{}`", path.display());
    let fail = |e: io::Error| Error::new(operation()).cause(e);
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let empty = fs::symlink_metadata(path).map_err(fail)?.is_dir()
                && fs::read_dir(path).map_err(fail)?.next().is_none();
            if !empty {
                return Err(Error::new(operation())
                    .cause("it exists and is not empty")
                    .hint("check its content and move it elsewhere, then run the command again"));
            }
        }
        Err(e) => return Err(fail(e)),
    }
    std::os::unix::fs::chown(path, Some(state.owner), Some(state.group)).map_err(|e| {
        let _ = fs::remove_dir(path);
        fail(e).hint("run the command as the directory's owner, or as root")
    })?;
    File::open(media)
        .and_then(|media| copy_attributes(&media, &File::open(path)?))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(state.mode)))
        .map_err(|e| {
            let _ = fs::remove_dir(path);
            fail(e)
        })
}

fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(|e| {
        Error::new(format!("rename `{}` to `{}`", from.display(), to.display())).cause(e)
    })
}
