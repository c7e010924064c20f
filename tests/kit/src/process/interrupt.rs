//! Interrupts: the children and temporary directories of this process, and the handler that ends and removes
//! them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group, waitpgid};

use super::group;

/// What an interrupt must end and remove.
static LIVE: Mutex<Live> = Mutex::new(Live {
    groups: Vec::new(),
    directories: Vec::new(),
});

pub(super) struct Live {
    pub(super) groups: Vec<Pid>,
    directories: Vec<PathBuf>,
}

pub(super) fn live() -> MutexGuard<'static, Live> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From now on Ctrl-C, TERM and HUP end every child, remove every [`scratch_directory`] and leave
/// with code 130. For programs; a test leaves this to its watchdogs.
///
/// # Errors
/// Fails when the handler cannot be installed.
pub fn end_children_on_interrupt() -> Result<()> {
    ctrlc::set_handler(|| {
        // Held to the end: whoever wants to start another child now waits for ever, that is until the exit.
        let live = live();
        for group in &live.groups {
            kill_process_group(*group, Signal::TERM).ok();
        }
        for group in &live.groups {
            group::end(*group, || {
                // Only we can reap our own children; any of them will do.
                waitpgid(*group, WaitOptions::NOHANG).ok();
            });
        }
        for directory in &live.directories {
            fs::remove_dir_all(directory).ok();
        }
        eprintln!("interrupted");
        std::process::exit(130);
    })
    .context("cannot install the handler of interrupts")
}

/// What a directory in memory must be able to hold, in bytes: all that a test stores, several times.
/// In a container it is 64 MB by default.
const MEMORY_ROOM: u64 = 3 << 29;

/// A temporary directory that is removed on drop and on an interrupt.
#[derive(Debug)]
pub struct ScratchDirectory(tempfile::TempDir);

impl ScratchDirectory {
    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        live()
            .directories
            .retain(|directory| directory != self.0.path());
    }
}

/// Makes a [`ScratchDirectory`] whose name begins with `medialift-` and `purpose`.
///
/// # Errors
/// Fails when the directory cannot be made.
pub fn scratch_directory(purpose: &str) -> Result<ScratchDirectory> {
    scratch_directory_in(&std::env::temp_dir(), purpose)
}

/// As [`scratch_directory`], in memory where the system has a file system of that kind with room
/// ([`MEMORY_ROOM`]): for programs that wait at each write until it is on the disk, which a busy disk takes
/// seconds for. Says once on standard error where it is on the disk instead.
///
/// # Errors
/// Fails when the directory cannot be made.
pub fn memory_directory(purpose: &str) -> Result<ScratchDirectory> {
    let memory = Path::new("/dev/shm");
    let has_room = rustix::fs::statvfs(memory)
        .is_ok_and(|system| system.f_bavail.saturating_mul(system.f_frsize) >= MEMORY_ROOM);
    if has_room && let Ok(directory) = scratch_directory_in(memory, purpose) {
        return Ok(directory);
    }
    static REPORTED: Once = Once::new();
    REPORTED.call_once(|| {
        eprintln!("`/dev/shm` has less than 1.5 GiB free: servers write to the disk, and tests may take longer");
    });
    scratch_directory(purpose)
}

fn scratch_directory_in(parent: &Path, purpose: &str) -> Result<ScratchDirectory> {
    let directory = tempfile::Builder::new()
        .prefix(&format!("medialift-{purpose}-"))
        .tempdir_in(parent)
        .context("cannot create a temporary directory")?;
    live().directories.push(directory.path().to_owned());
    Ok(ScratchDirectory(directory))
}
