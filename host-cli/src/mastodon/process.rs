//! Mastodon's running processes, from `/proc`; without `/proc` none are found.
//!
//! `/proc/PID/cwd` also leads into containers: with a bind mount the media directory is the same inode
//! inside and outside.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::config::Deployment;
use crate::dotenv::values::{Environment, Value};
use crate::swap::kept_path;

/// One process of `puma` or `sidekiq`.
#[derive(Clone, Debug)]
pub(super) struct Process {
    /// `puma (process 4711)`.
    pub(super) name: String,
    /// Its working directory, which is Mastodon's own, as a path of this machine.
    pub(super) directory: PathBuf,
    /// Whether it runs in a container.
    pub(super) in_container: bool,
    /// When it was started.
    pub(super) started: Option<SystemTime>,
    /// Its environment, if it can be read and was not overwritten by the title of the process.
    pub(super) environment: Option<Environment>,
}

/// Every process of Mastodon that can be read.
pub(super) fn of_mastodon() -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter_map(|entry| {
            let id: u32 = entry.file_name().to_str()?.parse().ok()?;
            read(id, &entry.path())
        })
        .collect()
}

fn read(id: u32, entry: &Path) -> Option<Process> {
    let command = fs::read(entry.join("cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command);
    let name = ["puma", "sidekiq"]
        .into_iter()
        .find(|name| is_command(&command, name))?;
    let directory = entry.join("cwd");
    // Fails for processes of other users, unless run as root.
    fs::metadata(&directory).ok()?;
    let cgroup = fs::read_to_string(entry.join("cgroup")).unwrap_or_default();
    let in_container = ["docker", "containerd", "libpod", "kubepods"]
        .iter()
        .any(|runtime| cgroup.contains(runtime))
        || different_root(entry);
    Some(Process {
        name: format!("{name} (process {id})"),
        directory,
        in_container,
        started: started(entry),
        environment: environment(entry, in_container),
    })
}

/// Whether it is this program: by its title (`puma 6.4.2 (…) [live]`), or by one of the first arguments
/// of its command line (`bundle exec sidekiq`).
fn is_command(command: &str, name: &str) -> bool {
    command
        .split(['\0', ' '])
        .take(4)
        .any(|argument| argument.rsplit('/').next() == Some(name))
}

fn different_root(entry: &Path) -> bool {
    let root = identity(&entry.join("root"));
    root.is_some() && root != identity(Path::new("/"))
}

/// Device and inode, links followed.
fn identity(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).map(|m| (m.dev(), m.ino())).ok()
}

/// Its environment. Where Ruby has overwritten it by a title, in a container, that of its parent process
/// there (`tini`), which is the same.
fn environment(entry: &Path, in_container: bool) -> Option<Environment> {
    let own = environment_of(entry);
    if own.is_some() || !in_container {
        return own;
    }
    let parent: u32 = stat_field(entry, PARENT)?.parse().ok()?;
    let parent = entry.parent()?.join(parent.to_string());
    let same_root = identity(&parent.join("root")) == identity(&entry.join("root"));
    same_root.then(|| environment(&parent, true)).flatten()
}

fn environment_of(entry: &Path) -> Option<Environment> {
    let bytes = fs::read(entry.join("environ")).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let mut known = BTreeMap::new();
    for pair in text.split('\0').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        known.insert(name.to_owned(), Value::Known(value.to_owned()));
    }
    (!known.is_empty()).then_some(Environment {
        known,
        complete: true,
    })
}

/// Fields of `/proc/PID/stat` (`proc(5)`), from 1.
const PARENT: usize = 4;
const START: usize = 22;

fn stat_field(entry: &Path, field: usize) -> Option<String> {
    let stat = fs::read_to_string(entry.join("stat")).ok()?;
    // The second field is the program's name in parentheses, with any character in it.
    let (_, from_third) = stat.rsplit_once(')')?;
    from_third
        .split_ascii_whitespace()
        .nth(field - 3)
        .map(str::to_owned)
}

/// `/proc` has the start in clock ticks since boot.
fn started(entry: &Path) -> Option<SystemTime> {
    let ticks: u64 = stat_field(entry, START)?.parse().ok()?;
    let booted: u64 = fs::read_to_string("/proc/stat")
        .ok()?
        .lines()
        .find_map(|line| line.strip_prefix("btime "))?
        .trim()
        .parse()
        .ok()?;
    let since = ticks as f64 / rustix::param::clock_ticks_per_second() as f64;
    Some(UNIX_EPOCH + Duration::from_secs(booted) + Duration::from_secs_f64(since))
}

impl Process {
    /// Whether it belongs to the installation with this root or this media directory.
    pub(super) fn belongs_to(&self, root: &Path, media_dir: &Path) -> bool {
        let same = |a: &Path, b: &Path| identity(a).is_some_and(|a| Some(a) == identity(b));
        let mounted = self.directory.join("public/system");
        // After a cutover a container has the old directory mounted until it is recreated.
        same(&self.directory, root)
            || same(&mounted, media_dir)
            || same(&mounted, &kept_path(media_dir))
    }

    /// How it is run.
    pub(super) fn deployment(&self) -> Deployment {
        if self.in_container {
            Deployment::Docker
        } else {
            Deployment::Systemd
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_recognised_by_its_title_or_its_command_line() {
        assert!(is_command(
            "puma 6.4.2 (tcp://127.0.0.1:3000) [live]\0",
            "puma"
        ));
        assert!(is_command("sidekiq 7.2.4 live [0 of 25 busy]\0", "sidekiq"));
        assert!(is_command(
            "ruby\0/usr/bin/bundle\0exec\0puma\0-C\0",
            "puma"
        ));
        assert!(!is_command("vim\0config/puma.rb\0", "puma"));
        assert!(!is_command("bash\0", "sidekiq"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_was_started_before_now_and_has_an_environment() {
        let own = PathBuf::from("/proc/self");
        // The time of boot has a resolution of one second.
        let later = SystemTime::now() + Duration::from_secs(2);
        let age = later.duration_since(started(&own).unwrap()).unwrap();
        assert!(age < Duration::from_secs(3600), "{age:?}");
        assert!(environment(&own, false).unwrap().known.contains_key("PATH"));
    }
}
