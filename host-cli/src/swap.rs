//! The two directories change places: forth for the cutover, back for the rollback.
//!
//! Where the filesystem can (`RENAME_EXCHANGE`: ext4, XFS, Btrfs and most others) both names
//! change in one step, so that Mastodon never sees `system` missing.

mod around;
pub mod git;
mod merge;
mod mount;
mod site;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags};
use rustix::io::Errno;
use serde::Serialize;

pub use self::around::around;
pub use self::merge::Merged;
use self::merge::merge;
use self::site::VERSION;
pub use self::site::{Lock, Phase, Site, State, kept_of, media_at};
use crate::attributes::copy_attributes;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::tree;

/// What to do about a mount point.
const MOUNTED: &str = "inside a container, run the command on the host instead, with the directory that the container mounts; on a host, unmount it, mount it elsewhere, make `system` a link to that place, then run the cutover again";

/// Called after each step with its name. An error stops there, as a crash would: the tests use it.
pub type AfterStep<'a> = &'a mut dyn FnMut(&'static str) -> Result<()>;

/// What a cutover did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// The directories changed places now, or the rest of an interrupted cutover was done.
    Done,
    /// It had been done before.
    AlreadyDone,
}

/// What a rollback did.
#[derive(Debug, Default)]
pub struct Back {
    /// Files that Mastodon wrote in the meantime, and where they went.
    pub merged: Merged,
    /// Where files are that could not be put back without overwriting another.
    pub conflicts_dir: Option<PathBuf>,
}

/// Where the media are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Live,
    Kept,
}

/// Checks, and changes nothing, that a cutover can begin or go on. None: it is already done.
pub fn ready_to_cut(site: &Site) -> Result<Option<State>> {
    let live = site.live();
    let operation = format!("move `{}` aside", live.display());
    match site.state()? {
        Some(state) if state.phase == Phase::Moved => Ok(None),
        Some(state) if state.phase == Phase::Returning => Err(Error::new(operation)
            .cause("a rollback has begun and not ended")
            .hint("run `medialift rollback` once more first")),
        Some(state) => Ok(Some(state)),
        None => {
            if fs::symlink_metadata(site.kept()).is_ok() {
                return Err(Error::new(operation)
                    .cause(format!("`{}` exists, and not from a cutover", site.kept().display()))
                    .hint("look at what is in it; rename it or move it away, then run the cutover again"));
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
                    .cause("something is mounted there, and a mount point cannot be renamed")
                    .hint(MOUNTED));
            }
            Ok(Some(State {
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

/// Whether the directories of an interrupted cutover have changed places already.
pub fn media_are_aside(site: &Site, state: &State) -> Result<bool> {
    Ok(place(site, state)? == Place::Kept)
}

/// Moves the media aside and leaves an empty directory with the same owner and mode.
pub fn cut(site: &Site, after: AfterStep<'_>) -> Result<Cut> {
    Mover {
        site,
        at_once: true,
        after,
    }
    .cut()
}

/// Puts the media back and brings the files that came in the meantime into them.
///
/// What cannot be put back without overwriting another file is kept in `conflicts_dir`, a name
/// not yet in use. `after_prune` allows it although `prune` has deleted some of the media.
pub fn back(
    site: &Site,
    after_prune: bool,
    conflicts_dir: &Path,
    after: AfterStep<'_>,
) -> Result<Back> {
    Mover {
        site,
        at_once: true,
        after,
    }
    .back(after_prune, conflicts_dir)
}

/// Checks, and changes nothing, that there is something to roll back.
pub fn ready_to_return(site: &Site, after_prune: bool) -> Result<State> {
    let operation = format!("put `{}` back", site.live().display());
    let Some(state) = site.state()? else {
        return Err(Error::new(operation)
            .cause("there was no cutover, or it has been rolled back")
            .hint(format!(
                "nothing is to be done: `{}` is in use as it is",
                site.live().display()
            )));
    };
    if state.pruned && !after_prune {
        return Err(Error::new(operation)
            .cause("`prune` has deleted files from it, which are only in the bucket now")
            .hint("add `--after-prune` to put back what is left; Mastodon will miss the others until it uses the bucket again"));
    }
    Ok(state)
}

struct Mover<'a> {
    site: &'a Site,
    /// Whether to try to exchange both names in one step.
    at_once: bool,
    after: AfterStep<'a>,
}

impl Mover<'_> {
    fn cut(mut self) -> Result<Cut> {
        let site = self.site;
        let Some(mut state) = ready_to_cut(site)? else {
            return Ok(Cut::AlreadyDone);
        };
        site.write_state(&state)?;
        (self.after)("state: moving")?;
        match place(site, &state)? {
            Place::Live => {
                make_empty(&site.kept(), &site.live(), &state)?;
                (self.after)("empty directory made")?;
                self.exchange(&site.live(), &site.kept())?;
            }
            Place::Kept if !exists(&site.live()) => {
                make_empty(&site.staging(), &site.kept(), &state)?;
                rename(&site.staging(), &site.live())?;
            }
            Place::Kept => {}
        }
        self.synced("directories exchanged")?;
        state.phase = Phase::Moved;
        site.write_state(&state)?;
        (self.after)("state: moved")?;
        Ok(Cut::Done)
    }

    fn back(mut self, after_prune: bool, conflicts_dir: &Path) -> Result<Back> {
        let site = self.site;
        let mut state = ready_to_return(site, after_prune)?;
        let at = place(site, &state)?;
        let mut result = Back::default();
        if state.phase == Phase::Moving && at == Place::Live {
            // Nothing has moved yet. Only an empty directory can be ours.
            let _ = fs::remove_dir(site.kept());
            let _ = fs::remove_dir(site.staging());
        } else {
            state.phase = Phase::Returning;
            site.write_state(&state)?;
            (self.after)("state: returning")?;
            match at {
                Place::Kept if exists(&site.live()) => self.exchange(&site.kept(), &site.live())?,
                Place::Kept => rename(&site.kept(), &site.live())?,
                Place::Live => {}
            }
            if !exists(&site.kept()) && exists(&site.staging()) {
                rename(&site.staging(), &site.kept())?;
            }
            self.synced("directories exchanged")?;
            result = self.bring_together(state, conflicts_dir)?;
        }
        site.remove_state()?;
        (self.after)("state: none")?;
        Ok(result)
    }

    /// What Mastodon wrote in the meantime joins the media, which are in their place again.
    fn bring_together(&mut self, mut state: State, conflicts_dir: &Path) -> Result<Back> {
        let newer = self.site.kept();
        let mut result = Back::default();
        if !exists(&newer) {
            // Or it has become the conflicts' directory, in a run that was killed right after.
            let told = state.conflicts_dir.map(PathBuf::from);
            result.conflicts_dir = told.filter(|path| exists(path));
            if let Some(directory) = &result.conflicts_dir {
                result.merged.conflicts = left_in(directory)?;
            }
            return Ok(result);
        }
        // Twice: a file may have come while the first merge ran.
        for step in ["files merged", "files merged again"] {
            let merged = merge(&newer, &self.site.live())?;
            result.merged.moved += merged.moved;
            result.merged.same += merged.same;
            (self.after)(step)?;
            match fs::remove_dir(&newer) {
                Ok(()) => return self.synced("newer directory gone").map(|()| result),
                Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                Err(e) => return Err(Error::new(format!("remove `{}`", newer.display())).cause(e)),
            }
        }
        state.conflicts_dir = conflicts_dir.to_str().map(str::to_owned);
        self.site.write_state(&state)?;
        rename(&newer, conflicts_dir)?;
        result.merged.conflicts = left_in(conflicts_dir)?;
        result.conflicts_dir = Some(conflicts_dir.to_owned());
        self.synced("newer directory gone")?;
        Ok(result)
    }

    /// `media` and `other` change names, in one step where the filesystem can.
    fn exchange(&mut self, media: &Path, other: &Path) -> Result<()> {
        if self.at_once {
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
        // The media take one rename, so they are never under a third name. A run that is killed
        // in between is completed by the next.
        rename(other, &self.site.staging())?;
        (self.after)("one of three renames")?;
        rename(media, other)?;
        (self.after)("two of three renames")?;
        rename(&self.site.staging(), media)
    }

    fn synced(&mut self, step: &'static str) -> Result<()> {
        self.site
            .sync()
            .map_err(|e| Error::new("make the renaming safe on disk").cause(e))?;
        (self.after)(step)
    }
}

/// Paths below `directory` of all that is no directory.
fn left_in(directory: &Path) -> Result<Vec<PathBuf>> {
    let options = tree::Options {
        root: directory.to_owned(),
        prefix_length: 0,
        follow_links: false,
    };
    let path = |entry: tree::Entry| PathBuf::from(entry.path().trim_end_matches('/'));
    Ok(tree::walk(&options)?.map(path).collect())
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn place(site: &Site, state: &State) -> Result<Place> {
    let at = |path: &Path| {
        Identity::of_entry(path)
            .map(|found| found == Some(state.media))
            .map_err(|e| Error::new(format!("look at `{}`", path.display())).cause(e))
    };
    let found = if at(&site.live())? {
        Some((Place::Live, site.live()))
    } else if at(&site.kept())? {
        Some((Place::Kept, site.kept()))
    } else {
        None
    };
    if let Some((place, path)) = found {
        let directory = Identity::of_directory(&path);
        match state.directory {
            Some(expected) if directory.as_ref().ok() != Some(&expected) => {
                Err(Error::new("find the media directory of this migration")
                    .cause(format!(
                        "`{}` does not lead to the directory that was there when it began",
                        path.display()
                    ))
                    .hint(format!(
                        "check that its disk is mounted; if the media have another directory now, remove `{}` to start anew",
                        site.state_path().display()
                    )))
            }
            _ => Ok(place),
        }
    } else {
        Err(Error::new("find the media directory of this migration")
            .cause(format!(
                "neither `{}` nor `{}` is the one that was there when it began",
                site.live().display(),
                site.kept().display()
            ))
            .hint(format!(
                "find where it was moved to; once all is in its place, remove `{}` to start anew",
                site.state_path().display()
            )))
    }
}

/// Makes `path` an empty directory of the recorded owner and mode and with the access lists of
/// `media`, or makes sure that it is one.
fn make_empty(path: &Path, media: &Path, state: &State) -> Result<()> {
    let operation = || format!("make the empty directory `{}`", path.display());
    let fail = |e: io::Error| Error::new(operation()).cause(e);
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
            let empty = fs::symlink_metadata(path).map_err(fail)?.is_dir()
                && fs::read_dir(path).map_err(fail)?.next().is_none();
            if !empty {
                return Err(Error::new(operation())
                    .cause("it exists and is not empty")
                    .hint("look at what is in it and move it away, then run the command again"));
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

#[cfg(test)]
mod tests;
