//! The real `medialift` binary, run as by a user: it gets nothing of the test's own environment.

use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;

/// A `medialift` command that reads no settings but those given here.
///
/// # Errors
/// Fails when the binary has not been built.
pub fn command(directory: &Path) -> Result<Command> {
    let mut command = Command::new(testkit::stack::binary("medialift")?);
    command
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .env("XDG_STATE_HOME", directory.join("state"))
        .stdin(Stdio::null());
    Ok(command)
}

/// `command`, started by a shell that does something of its own `first`: `exec 2>&1`, `ulimit -n 9`.
#[must_use]
pub fn after(first: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", &format!("{first}; exec \"$@\""), "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    for (name, value) in command.get_envs() {
        shell.env(name, value.unwrap_or_default());
    }
    if let Some(directory) = command.get_current_dir() {
        shell.current_dir(directory);
    }
    shell
}

/// What a run of the command left.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Its data.
    pub stdout: String,
    /// Its messages.
    pub stderr: String,
}

impl Ran {
    /// Stdout as JSON.
    ///
    /// # Errors
    /// Fails, with all that was printed, when it is not.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("not JSON: {self:?}"))
    }

    /// Fails the test, with all that was printed, unless the exit code is this.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "\nstdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}

/// The longest run of a command: one that takes longer hangs, and is killed.
const LONGEST_RUN: Duration = Duration::from_secs(300);
/// The interval of checks whether a run takes too long.
const CHECK_INTERVAL: Duration = Duration::from_millis(50);

/// Runs `command` to its end.
///
/// # Errors
/// Fails when it cannot be started, prints what is not text, or takes minutes; then with what it
/// had printed.
pub fn run(command: &mut Command) -> Result<Ran> {
    let begun = Instant::now();
    run_until(command, move || begun.elapsed() > LONGEST_RUN)
}

/// The same, killed once `over` returns true.
fn run_until(command: &mut Command, over: impl Fn() -> bool + Send + 'static) -> Result<Ran> {
    // A child of the command may hold its streams open: the whole group is killed.
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("run {command:?}"))?;
    let group = Pid::from_child(&child);
    let (ended, end) = mpsc::channel::<()>();
    let watch = std::thread::spawn(move || {
        while end.recv_timeout(CHECK_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
            if over() {
                // It is not reaped yet, so no other process has its id.
                return Some(kill_process_group(group, Signal::KILL));
            }
        }
        None
    });
    let error = child.stderr.take().map(|mut stream| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).map(|_| bytes)
        })
    });
    let mut stdout = Vec::new();
    if let Some(mut stream) = child.stdout.take() {
        stream.read_to_end(&mut stdout)?;
    }
    let stderr = match error.map(std::thread::JoinHandle::join) {
        Some(Ok(bytes)) => bytes?,
        _ => Vec::new(),
    };
    drop(ended);
    let killed = matches!(watch.join(), Ok(Some(_)));
    let status = child.wait()?;
    let (stdout, stderr) = (String::from_utf8(stdout)?, String::from_utf8(stderr)?);
    anyhow::ensure!(
        !killed,
        "{command:?} did not end and was killed\nstdout:\n{stdout}\nstderr:\n{stderr}"
    );
    Ok(Ran {
        code: status.code(),
        stdout,
        stderr,
    })
}

/// Kills runs at random moments. The duration of a run is estimated from those that ended before they were
/// killed, so that a busy machine moves the moments and does not change their number.
#[derive(Debug)]
pub struct Killer {
    random: fastrand::Rng,
    whole: Duration,
}

impl Killer {
    /// `whole`: the estimated duration of a run that is not killed.
    #[must_use]
    pub fn new(seed: u64, whole: Duration) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            whole,
        }
    }

    /// Starts `command` and kills it after a part of its duration: `part` maps a random number from 0 to 1 to
    /// that part. True where it was still running then.
    ///
    /// # Errors
    /// Fails when it cannot be started.
    pub fn strike(&mut self, command: &mut Command, part: impl Fn(f64) -> f64) -> Result<bool> {
        let part = part(self.random.f64());
        let struck = self.kill_at(command, part)?;
        // These factors balance where three in four are killed.
        self.whole = self.whole.mul_f64(if struck { 1.03 } else { 0.91 });
        Ok(struck)
    }

    /// Starts `command` and kills it near the moment at which `too_late` of a killed run becomes true: each
    /// call adjusts the moment of the next one. True where it was still running then.
    ///
    /// # Errors
    /// Fails when it cannot be started, or when `too_late` fails.
    pub fn strike_around(
        &mut self,
        command: &mut Command,
        too_late: impl FnOnce() -> Result<bool>,
    ) -> Result<bool> {
        let part = 0.95 + 0.1 * self.random.f64();
        let struck = self.kill_at(command, part)?;
        let late = !struck || too_late()?;
        self.whole = self.whole.mul_f64(if late { 0.96 } else { 1.04 });
        Ok(struck)
    }

    /// True where it was still running after this part of a run's duration.
    fn kill_at(&self, command: &mut Command, part: f64) -> Result<bool> {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("run {command:?}"))?;
        std::thread::sleep(self.whole.mul_f64(part));
        child.kill()?;
        Ok(child.wait()?.code().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_hangs_is_killed_and_its_output_reported() {
        let directory = tempfile::tempdir().unwrap();
        let mark = directory.path().join("said");
        let mut command = Command::new("sh");
        command
            .args(["-c", "echo said; echo also >&2; : > said; sleep 1000"])
            .current_dir(directory.path());
        let error = run_until(&mut command, move || mark.exists()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("said") && text.contains("also"), "{text}");
    }
}
