//! Child processes that end with this process.
//!
//! Each child leads a process group of its own, so that `wrangler` goes together with the `workerd`
//! and `esbuild` that it starts. Four things end the group: dropping the [`Guarded`], Ctrl-C or TERM
//! (where [`end_children_on_interrupt`] was called), a panic (through the drop), and our own death by
//! any other cause, SIGKILL included: a watchdog process holds the reading end of a pipe, and when the
//! pipe closes without `done` written to it, it ends the group.
//!
//! What a child is for, and when it is ready, is [`crate::stack`]'s to know.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, setrlimit};

mod group;
mod interrupt;
mod programs;

use interrupt::live;
pub use interrupt::{
    ScratchDirectory, end_children_on_interrupt, memory_directory, scratch_directory,
};
pub use programs::{find_program, find_program_in, is_executable};

/// How long a server may take until it prints its address, on a busy machine.
const START: Duration = Duration::from_secs(60);

/// A running child with its process group and its log. Dropping it ends the whole group.
#[derive(Debug)]
pub struct Guarded {
    name: String,
    child: Child,
    group: Pid,
    watchdog: Option<Child>,
    log: PathBuf,
    ended: bool,
}

impl Guarded {
    /// Starts `command` without standard input; what it prints is appended to the file `log`.
    /// `name` is what messages call it.
    ///
    /// # Errors
    /// Fails when the log cannot be opened or the program cannot be started.
    pub fn spawn(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        if let Some(parent) = log.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot create `{}`", parent.display()))?;
        }
        let file = File::options()
            .create(true)
            .append(true)
            .open(log)
            .with_context(|| format!("cannot open the log `{}`", log.display()))?;
        command.stdout(file.try_clone()?).stderr(file);
        Self::spawn_with_streams(name, command, log)
    }

    /// Starts a server as [`Guarded::spawn`] does, and waits until `ready` finds in the whole lines that it
    /// has printed what it is reached by.
    ///
    /// # Errors
    /// As [`Guarded::spawn`] and [`Guarded::wait_until`].
    pub fn server<T>(
        name: &str,
        command: Command,
        log: &Path,
        ready: impl Fn(&str) -> Option<T>,
    ) -> Result<(Self, T)> {
        let mut child = Self::spawn(name, command, log)?;
        let address = child.wait_until(START, |child| {
            let log = child.log();
            ready(&log[..=log.rfind('\n')?])
        })?;
        Ok((child, address))
    }

    /// Starts `command` without standard input, its output going where the caller pointed it; `log`
    /// is only read when something fails.
    pub fn spawn_with_streams(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        command.stdin(Stdio::null()).process_group(0);
        allow_open_files();
        // The list stays locked over the start, so that an interrupt cannot fall between the two.
        let mut live = live();
        let child = command.spawn().with_context(|| {
            format!(
                "cannot start {name} (`{}`)",
                command.get_program().display()
            )
        })?;
        let group = Pid::from_child(&child);
        live.groups.push(group);
        drop(live);
        let mut guarded = Self {
            name: name.to_owned(),
            child,
            group,
            watchdog: None,
            log: log.to_owned(),
            ended: false,
        };
        guarded.watchdog = Some(group::start_watchdog(group)?);
        Ok(guarded)
    }

    /// The process id of the group's leader.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The file that holds what the child printed.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// What the child printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// The child's standard output, where it was piped.
    pub fn take_output(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// What messages call the child.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until the child ends by itself, then ends what it left behind in its group.
    ///
    /// # Errors
    /// Fails when the system does not report how the child ended.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        let status = self
            .child
            .wait()
            .with_context(|| format!("cannot wait for {}", self.name))?;
        self.end();
        Ok(status)
    }

    /// How the child ended, if it has.
    ///
    /// # Errors
    /// Fails when the system does not report it.
    pub fn try_wait(&mut self) -> Result<Option<ExitStatus>> {
        self.child
            .try_wait()
            .with_context(|| format!("cannot ask after {}", self.name))
    }

    /// Polls `ready` until it gives a value.
    ///
    /// # Errors
    /// Fails, with the end of the log, when the child ends first or `limit` passes.
    pub fn wait_until<T>(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut(&Self) -> Option<T>,
    ) -> Result<T> {
        let start = Instant::now();
        loop {
            if let Some(value) = ready(self) {
                return Ok(value);
            }
            if let Some(status) = self.try_wait()? {
                bail!(
                    "{} ended before it was ready ({status})\n{}",
                    self.name,
                    tail(&self.log, 40)
                );
            }
            if start.elapsed() > limit {
                bail!(
                    "{} was not ready after {} seconds\n{}",
                    self.name,
                    limit.as_secs(),
                    tail(&self.log, 40)
                );
            }
            std::thread::sleep(Duration::from_millis(25));
        }
    }

    /// Ends the group now: TERM, and KILL for what is left after a grace time.
    pub fn end(&mut self) {
        if self.ended {
            return;
        }
        self.ended = true;
        group::end(self.group, || {
            // Reaping the leader is what makes the group go away.
            self.child.try_wait().ok();
        });
        self.child.wait().ok();
        live().groups.retain(|group| *group != self.group);
        if let Some(mut watchdog) = self.watchdog.take() {
            if let Some(mut stdin) = watchdog.stdin.take() {
                stdin.write_all(b"done\n").ok();
            }
            watchdog.wait().ok();
        }
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.end();
    }
}

/// Raises our soft limit of open files, which children inherit, to Linux's usual one: macOS has 256, too few for
/// servers under many connections.
fn allow_open_files() {
    const WANTED: u64 = 1_024;
    let limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < WANTED) {
        let current = Some(limit.maximum.map_or(WANTED, |maximum| maximum.min(WANTED)));
        // Where it is not permitted, a test that needs more fails by itself.
        setrlimit(Resource::Nofile, Rlimit { current, ..limit }).ok();
    }
}

/// Runs `command` to its end with its output shown as it comes.
///
/// # Errors
/// Fails when it cannot be started or does not succeed.
pub fn run(name: &str, command: Command) -> Result<()> {
    let mut child = Guarded::spawn_with_streams(name, command, Path::new("/dev/null"))?;
    let status = child.wait()?;
    if !status.success() {
        bail!("{name} failed ({status})");
    }
    Ok(())
}

/// Runs `command` to its end in silence; its output goes to `log`.
///
/// # Errors
/// Fails when it cannot be started or does not succeed; the message carries the end of the log.
pub fn run_logged(name: &str, command: Command, log: &Path) -> Result<()> {
    let mut child = Guarded::spawn(name, command, log)?;
    let status = child.wait()?;
    if !status.success() {
        bail!("{name} failed ({status})\n{}", tail(log, 40));
    }
    Ok(())
}

/// The standard output of a short command, trimmed; `None` when it cannot be started or fails.
#[must_use]
pub fn output<S: AsRef<OsStr>>(program: S, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    output.status.success().then_some(text)
}

/// The last `lines` lines of a file, each set in by four spaces, for an error message.
#[must_use]
pub fn tail(file: &Path, lines: usize) -> String {
    let bytes = fs::read(file).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    let kept = &all[all.len().saturating_sub(lines)..];
    let mut shown = String::new();
    for line in kept {
        shown.push_str("    ");
        shown.push_str(line);
        shown.push('\n');
    }
    shown
}

#[cfg(test)]
mod tests;
