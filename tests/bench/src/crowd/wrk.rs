//! One run of `wrk`, and what it found.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use testkit::process::{run_logged, scratch_directory};

/// The longest run that ends after a number of answers, in seconds.
const LONGEST_SECONDS: u64 = 120;

/// Bytes that the header of an answer takes at most.
const LONGEST_HEADER: u64 = 4_096;

/// What to ask for. The objects are `PREFIX0.bin`, `PREFIX1.bin` …
#[derive(Clone, Copy, Debug)]
pub(super) struct Load {
    /// What the paths start with.
    pub(super) prefix: &'static str,
    /// How many objects to ask for, in order and from the start again.
    pub(super) keys: u64,
    /// How often in a row to ask for each.
    pub(super) each: u64,
    /// When to end.
    pub(super) end: End,
    /// Connections, each with one request under way.
    pub(super) connections: u64,
    /// Bytes of each object.
    pub(super) size: u64,
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// When each object was asked for as often as it should.
    Once,
    /// After so many seconds.
    Seconds(u64),
}

impl Load {
    /// Answers after which to end.
    const fn limit(&self) -> Option<u64> {
        match self.end {
            End::Once => Some(self.keys * self.each),
            End::Seconds(_) => None,
        }
    }
}

/// What `load.lua` writes.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Outcome {
    /// Answers received.
    pub(super) requests: u64,
    /// Bytes received, headers and unfinished answers too.
    pub(super) bytes: u64,
    /// From the start to the last answer.
    pub(super) seconds: f64,
    /// Connections, reads and writes that failed, waits that were too long, and answers that were
    /// not 200.
    pub(super) failed: u64,
    /// The middle latency, in microseconds.
    pub(super) p50_us: f64,
    /// The latency that one in a hundred exceeds, in microseconds.
    pub(super) p99_us: f64,
}

/// Puts `url` under load.
///
/// # Errors
/// Fails when `wrk` does, and when an answer was not what was asked for.
pub(super) fn run(wrk: &Path, url: &str, load: &Load) -> Result<Outcome> {
    let scratch = scratch_directory("wrk")?;
    let result = scratch.path().join("result.json");
    let seconds = match load.end {
        End::Once => LONGEST_SECONDS,
        End::Seconds(seconds) => seconds,
    };
    let mut command = Command::new(wrk);
    command
        .arg(format!("--connections={}", load.connections))
        .arg(format!("--duration={seconds}s"))
        // One thread, so that the script counts every answer.
        .args(["--threads=1", "--timeout=60s", "--script"])
        .arg(testkit::root().join("tests/bench/crowd/load.lua"))
        .arg(url)
        .arg("--")
        .arg(&result)
        .args([load.prefix, &load.keys.to_string(), &load.each.to_string()])
        .arg(load.limit().unwrap_or(0).to_string());
    run_logged("`wrk`", command, &scratch.path().join("wrk.log"))?;
    let text = fs::read_to_string(&result).context("`wrk` wrote no result")?;
    let outcome =
        serde_json::from_str(&text).with_context(|| format!("`wrk` wrote `{}`", text.trim()))?;
    check(load, &outcome)?;
    Ok(outcome)
}

/// That the answers were whole and good. What is under way at the end is received in part.
fn check(load: &Load, outcome: &Outcome) -> Result<()> {
    ensure!(
        outcome.failed == 0,
        "{} of {} requests failed",
        outcome.failed,
        outcome.requests
    );
    if let Some(limit) = load.limit() {
        ensure!(
            outcome.requests >= limit,
            "only {} of {limit} requests were answered within {LONGEST_SECONDS} seconds",
            outcome.requests
        );
    }
    ensure!(outcome.requests > 0, "nothing was answered");
    let least = outcome.requests * load.size;
    let most = (outcome.requests + load.connections) * (load.size + LONGEST_HEADER);
    ensure!(
        (least..=most).contains(&outcome.bytes),
        "{} answers of {} bytes came to {} bytes",
        outcome.requests,
        load.size,
        outcome.bytes
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Load = Load {
        prefix: "/small/",
        keys: 10,
        each: 2,
        end: End::Once,
        connections: 4,
        size: 20_000,
    };

    fn outcome(requests: u64, bytes: u64, failed: u64) -> Outcome {
        Outcome {
            requests,
            bytes,
            seconds: 1.0,
            failed,
            p50_us: 100.0,
            p99_us: 200.0,
        }
    }

    #[track_caller]
    fn refused(outcome: &Outcome, why: &str) {
        let error = check(&LOAD, outcome).unwrap_err().to_string();
        assert!(error.contains(why), "{error}");
    }

    #[test]
    fn whole_answers_pass() {
        check(&LOAD, &outcome(20, 20 * 20_300, 0)).unwrap();
    }

    #[test]
    fn failures_short_answers_and_too_few_of_them_do_not_pass() {
        refused(&outcome(20, 20 * 20_300, 1), "failed");
        refused(&outcome(20, 20 * 300, 0), "came to");
        refused(&outcome(20, 20 * 90_000, 0), "came to");
        refused(&outcome(19, 19 * 20_300, 0), "only 19 of 20");
    }
}
