//! Programs on `PATH`.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The first executable file called `name` on `PATH` or in the directories of servers, which the `PATH` of
/// an ordinary user often lacks. Where those are the same as `/usr/bin`, `PATH` alone says.
#[must_use]
pub fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(
            ["/usr/local/sbin", "/usr/sbin", "/sbin"]
                .map(PathBuf::from)
                .into_iter()
                .filter(|directory| !directory.is_symlink()),
        )
        .map(|directory| directory.join(name))
        .find(|candidate| is_executable(candidate))
}

/// The first executable file called `name` in the directories of `path`, and nowhere else.
#[must_use]
pub fn find_program_in(path: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .map(|directory| directory.join(name))
        .find(|candidate| is_executable(candidate))
}

/// Whether `path` is a file that may be executed.
#[must_use]
pub fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}
