//! `medialift verify` as a child: every file of a media tree, read through the edge.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::{Guarded, ScratchDirectory, scratch_directory};
use crate::stack::{Edge, Origin, Profile};
use crate::upload::medialift;

/// The purge secret of an edge that is verified.
pub const PURGE_SECRET: &str = "a-secret-of-the-demonstration";

/// The code with which `verify` reports that a check failed.
const FOUND: i32 = 3;

/// Verifies, and shows the command's own table; whether every check passed. With `page`, that page is
/// written.
///
/// # Errors
/// Fails when the command cannot do its work.
pub fn text(origin: &Origin, edge: &Edge, directory: &Path, page: Option<&Path>) -> Result<bool> {
    let scratch = scratch_directory("verify")?;
    let mut command = command(origin, edge, directory, &scratch)?;
    if let Some(page) = page {
        command.arg("--html").arg(page);
    }
    Ok(run(command)?.success())
}

/// Verifies; the report as `--json` printed it.
///
/// # Errors
/// As [`text`].
pub fn json(origin: &Origin, edge: &Edge, directory: &Path) -> Result<serde_json::Value> {
    let scratch = scratch_directory("verify")?;
    let output = scratch.path().join("report.json");
    let mut command = command(origin, edge, directory, &scratch)?;
    command.arg("--json").stdout(File::create(&output)?);
    run(command)?;
    let text = fs::read_to_string(&output).context("cannot read the report")?;
    serde_json::from_str(&text).context("`medialift verify --json` printed no JSON")
}

fn command(
    origin: &Origin,
    edge: &Edge,
    directory: &Path,
    scratch: &ScratchDirectory,
) -> Result<Command> {
    let mut command = medialift("verify", origin, scratch, Profile::Debug)?;
    command
        .args(["--files-url", &edge.url, "--samples", "all", "--media-dir"])
        .arg(directory)
        .env("PURGE_SECRET", PURGE_SECRET)
        .stderr(Stdio::inherit());
    Ok(command)
}

fn run(command: Command) -> Result<ExitStatus> {
    let nowhere = Path::new("/dev/null");
    let mut child = Guarded::spawn_with_streams("`medialift verify`", command, nowhere)?;
    let status = child.wait()?;
    if !status.success() && status.code() != Some(FOUND) {
        bail!("`medialift verify` failed ({status}), see above");
    }
    Ok(status)
}
