//! The bucket as Mastodon's own gems write to it: `tests/ruby/storage.rb` as a child process.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use testkit::setup::{self, Need};

/// A running Ruby, which read the settings when it started. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Ruby {
    child: Child,
    pipes: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    upload: PathBuf,
}

impl Ruby {
    /// Starts a process of the installation in `live`, whose `S3_ENDPOINT` is at `endpoint` on this
    /// machine.
    pub(super) fn start(live: &Path, endpoint: &str) -> Result<Ruby> {
        let mut child = Command::new(setup::place(Need::Ruby)?)
            .arg(testkit::root().join("tests/ruby/storage.rb"))
            .arg(live)
            .arg(endpoint)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start Ruby")?;
        let stdin = child.stdin.take().context("a pipe")?;
        let stdout = child.stdout.take().context("a pipe")?;
        let mut ruby = Ruby {
            child,
            pipes: Mutex::new((stdin, BufReader::new(stdout))),
            upload: live.with_extension("upload"),
        };
        let (_, stdout) = ruby.pipes.get_mut().unwrap_or_else(PoisonError::into_inner);
        answer(stdout).context("Mastodon does not start")?;
        Ok(ruby)
    }

    fn ask(&self, request: &Value) -> Result<Value> {
        let mut pipes = self.pipes.lock().unwrap_or_else(PoisonError::into_inner);
        let (stdin, stdout) = &mut *pipes;
        writeln!(stdin, "{request}")?;
        answer(stdout).with_context(|| request.to_string())
    }

    pub(super) fn put(&self, key: &str, content: &[u8]) -> Result<()> {
        std::fs::write(&self.upload, content)?;
        self.ask(&json!({ "do": "upload", "key": key, "file": self.upload, "type": "image/png" }))?;
        Ok(())
    }

    pub(super) fn has(&self, key: &str) -> Result<bool> {
        let has = self.ask(&json!({ "do": "exists", "key": key }))?;
        Ok(serde_json::from_value(has)?)
    }

    pub(super) fn delete(&self, keys: &[String], batch: bool) -> Result<Vec<String>> {
        // Mastodon sends its batches by slices of the keys: of none there is no request.
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let there = self.ask(&json!({ "do": "delete", "keys": keys, "batch": batch }))?;
        Ok(serde_json::from_value(there)?)
    }

    pub(super) fn set_hidden(&self, key: &str, hidden: bool) -> Result<()> {
        self.ask(&json!({ "do": "acl", "key": key, "hidden": hidden }))?;
        Ok(())
    }
}

impl Drop for Ruby {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn answer(stdout: &mut BufReader<ChildStdout>) -> Result<Value> {
    let mut line = String::new();
    stdout.read_line(&mut line)?;
    let mut answer: Value = serde_json::from_str(&line).context("Ruby ended")?;
    if let Some(error) = answer["error"].as_str() {
        bail!("{error}");
    }
    Ok(answer["ok"].take())
}
