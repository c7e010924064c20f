//! The real `medialift` binary, run as a person runs it: nothing of the test's own environment gets
//! in.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;

/// A `medialift` command that reads no settings but those given here.
///
/// # Errors
/// Fails when the binary has not been built.
pub fn command(directory: &Path) -> Result<Command> {
    let mut command = Command::new(xtask::stack::binary("medialift")?);
    command
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", directory)
        .env("XDG_STATE_HOME", directory.join("state"))
        .stdin(Stdio::null());
    Ok(command)
}

/// What a run of the command left.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Data.
    pub stdout: String,
    /// Talk.
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

/// Runs `command` to its end.
///
/// # Errors
/// Fails when it cannot be started or prints what is not text.
pub fn run(command: &mut Command) -> Result<Ran> {
    let output = command
        .output()
        .with_context(|| format!("run {command:?}"))?;
    Ok(Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

/// Kills runs at random moments. How long a run takes is learnt from those that were over before
/// their moment came, so that a machine's other work moves the moments and not their number.
#[derive(Debug)]
pub struct Killer {
    random: fastrand::Rng,
    whole: Duration,
}

impl Killer {
    /// `whole`: about how long a run takes that nobody kills.
    #[must_use]
    pub fn new(seed: u64, whole: Duration) -> Self {
        Self {
            random: fastrand::Rng::with_seed(seed),
            whole,
        }
    }

    /// Starts `command` and kills it at a moment of its life: `part` makes of an even number from 0 to
    /// 1 which. True where it was still running then.
    ///
    /// # Errors
    /// Fails when it cannot be started.
    pub fn strike(&mut self, command: &mut Command, part: impl Fn(f64) -> f64) -> Result<bool> {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("run {command:?}"))?;
        std::thread::sleep(self.whole.mul_f64(part(self.random.f64())));
        child.kill()?;
        let struck = child.wait()?.code().is_none();
        // Three in four are struck where these two are in balance.
        self.whole = self.whole.mul_f64(if struck { 1.03 } else { 0.91 });
        Ok(struck)
    }
}
