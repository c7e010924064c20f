//! The directory that `prune` deletes from, and what protects the one Mastodon uses.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::PruneArgs;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::identity::Identity;
use crate::mastodon::{Installation, named_media_dir};
use crate::swap::{Lock, Phase, Site, around};

/// Where to delete, with its links resolved.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) directory: PathBuf,
    /// The same as it was named.
    pub(super) named: PathBuf,
    /// Every media directory that it has to do with.
    sites: Vec<Site>,
    /// Those whose media are to be deleted from, until that is written down.
    unmarked: Mutex<Vec<Site>>,
}

impl Place {
    /// Settles flags and configuration; refuses the directory in use unless it is asked for.
    pub(super) fn find(args: &PruneArgs, context: &Context) -> Result<Place> {
        let named = args.media_dir.is_some() || context.file.media_dir.is_some();
        let mut sites = Vec::new();
        if named || args.dir.is_none() {
            sites.push(Site::at(&named_media_dir(
                args.media_dir.as_deref(),
                &context.file,
            )?)?);
        }
        let chosen = match (&args.dir, sites.first()) {
            (Some(dir), _) => dir.clone(),
            (None, Some(site)) if args.live => site.live(),
            (None, Some(site)) => {
                moved(site)?;
                site.kept()
            }
            (None, None) => return Err(Error::usage("prune").cause("no directory is named")),
        };
        let directory = resolved(&chosen)?;
        let mut others = match &args.dir {
            Some(_) => around(&chosen)?,
            None => Vec::new(),
        };
        // To a mount of the media no name leads, but the installation does.
        let installation = Installation::find(Some(&chosen), &context.file)?;
        if installation.root.is_some() {
            others.push(Site::at(&installation.media_dir)?);
        }
        for site in others {
            if !sites.contains(&site) {
                sites.push(site);
            }
        }
        let mut unmarked = Vec::new();
        for site in &sites {
            if !args.live {
                not_in_use(&chosen, &directory, site)?;
            }
            let kept = std::fs::canonicalize(site.kept());
            if kept.is_ok_and(|kept| overlap(&directory, &kept)) && site.state()?.is_some() {
                moved(site)?;
                unmarked.push(site.clone());
            }
        }
        Ok(Place {
            directory,
            named: chosen,
            sites,
            unmarked: Mutex::new(unmarked),
        })
    }

    /// Keeps every other run off the directories around.
    pub(super) fn lock(&self) -> Result<Vec<Lock>> {
        let mut parents: Vec<Identity> = Vec::new();
        let mut locks = Vec::new();
        for site in &self.sites {
            let parent = Identity::of_directory(&site.parent)
                .map_err(|e| Error::new(format!("look at `{}`", site.parent.display())).cause(e))?;
            if !parents.contains(&parent) {
                parents.push(parent);
                locks.push(site.lock()?);
                site.remove_unwritten_state();
            }
        }
        Ok(locks)
    }

    /// Writes down, once and right before the first deletion, that the way back is no longer whole.
    pub(super) fn mark(&self) -> Result<()> {
        let mut unmarked = self.unmarked.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(site) = unmarked.last() {
            if let Some(mut state) = site.state()?
                && !state.pruned
            {
                state.pruned = true;
                site.write_state(&state)?;
            }
            unmarked.pop();
        }
        Ok(())
    }
}

/// Fails unless the media have been moved aside and stay there.
fn moved(site: &Site) -> Result<()> {
    if site.state()?.map(|state| state.phase) == Some(Phase::Moved) {
        return Ok(());
    }
    Err(Error::usage(format!("prune `{}`", site.kept().display()))
        .cause("there is no complete cutover of this directory")
        .hint("run `medialift cutover` first, or name a directory with `--dir`"))
}

fn not_in_use(chosen: &Path, directory: &Path, site: &Site) -> Result<()> {
    match std::fs::canonicalize(site.live()) {
        Ok(live) if overlap(directory, &live) => Err(
            Error::usage(format!("prune `{}`", chosen.display()))
                .cause("Mastodon uses this directory")
                .hint("run `medialift cutover` first; or add `--live`, if Mastodon reads from the bucket already"),
        ),
        _ => Ok(()),
    }
}

/// Whether one is the other or lies in it, by whatever name: a mount is another.
fn overlap(a: &Path, b: &Path) -> bool {
    lies_in(a, b) || lies_in(b, a)
}

fn lies_in(path: &Path, directory: &Path) -> bool {
    let Ok(directory) = Identity::of_directory(directory) else {
        return false;
    };
    path.ancestors()
        .any(|ancestor| Identity::of_directory(ancestor).is_ok_and(|found| found == directory))
}

fn resolved(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).map_err(|e| {
        Error::usage(format!("prune `{}`", path.display()))
            .cause(e)
            .hint("`medialift cutover` makes it; give another with `--dir`")
    })
}
