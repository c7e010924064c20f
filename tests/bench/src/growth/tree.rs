//! Trees of very many small files, written and removed by several threads.

use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use anyhow::{Context, Result, anyhow};
use walkdir::WalkDir;

/// Files of one directory, as many as fit Mastodon's partition by three digits.
pub(super) const FILES_A_DIRECTORY: u64 = 1_000;

/// How deep below the tree such a directory lies.
const DEPTH: usize = 4;

/// Directories that are removed at a time.
const REMOVED_AT_ONCE: usize = 8;

/// Writes the tree's files, a directory to each processor at a time; no two are alike.
pub(super) fn make(tree: &Path, files: u64) -> Result<()> {
    let next = AtomicU64::new(0);
    let write = || -> Result<()> {
        loop {
            let begin = next.fetch_add(FILES_A_DIRECTORY, Ordering::Relaxed);
            if begin >= files {
                return Ok(());
            }
            let group = begin / FILES_A_DIRECTORY;
            let directory = tree.join(format!(
                "media_attachments/files/{:03}/{:03}",
                group / 1000,
                group % 1000
            ));
            fs::create_dir_all(&directory)
                .with_context(|| format!("cannot create `{}`", directory.display()))?;
            for number in begin..files.min(begin + FILES_A_DIRECTORY) {
                let path = directory.join(format!("{number:016x}.png"));
                fs::write(&path, format!("file {number} of a big tree\n"))
                    .with_context(|| format!("cannot write `{}`", path.display()))?;
            }
        }
    };
    let threads = thread::available_parallelism().map_or(1, usize::from);
    side_by_side(threads, write)
}

/// Removes a tree, some directories at a time: the disk works on them side by side.
pub(super) fn remove(tree: &Path) -> Result<()> {
    let directories = WalkDir::new(tree).min_depth(DEPTH).max_depth(DEPTH);
    let directories = Mutex::new(directories.into_iter());
    let next = || {
        let mut directories = directories.lock().unwrap_or_else(PoisonError::into_inner);
        directories.next()
    };
    let remove = || -> Result<()> {
        while let Some(entry) = next() {
            let directory = entry.context("cannot look through the tree")?.into_path();
            fs::remove_dir_all(&directory)
                .with_context(|| format!("cannot remove `{}`", directory.display()))?;
        }
        Ok(())
    };
    side_by_side(REMOVED_AT_ONCE, remove)?;
    fs::remove_dir_all(tree).with_context(|| format!("cannot remove `{}`", tree.display()))
}

/// Runs `work` in so many threads.
fn side_by_side(threads: usize, work: impl Fn() -> Result<()> + Sync) -> Result<()> {
    thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(&work)).collect();
        for thread in running {
            thread
                .join()
                .map_err(|_| anyhow!("a thread that works on the tree panicked"))??;
        }
        Ok(())
    })
}
