//! `medialift sync` as a child, and its report.

use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{Guarded, ScratchDirectory, scratch_directory};
use crate::stack::{Origin, OriginOptions, Profile, binary_of};

/// The bucket that is filled.
pub const BUCKET: &str = "media";

/// The code with which `sync` reports that it skipped files and named them.
const PARTLY: i32 = 4;

/// What the upload did.
pub struct Upload {
    /// How long it took.
    pub time: Duration,
    /// Its own summary, as `--json` printed it.
    pub summary: serde_json::Value,
    /// Whether it skipped files.
    pub partly: bool,
    /// Uploads that the origin counted.
    pub put_requests: u64,
}

/// A command of `medialift` for the bucket of `origin`, without the configuration of any user.
pub(crate) fn medialift(
    name: &str,
    origin: &Origin,
    scratch: &ScratchDirectory,
    profile: Profile,
) -> Result<Command> {
    let mut command = Command::new(binary_of(profile, "medialift")?);
    command
        .arg(name)
        .args(["--bucket", BUCKET, "--region", "us-west-004"])
        .args(["--endpoint", &origin.s3_url])
        .arg("--state-dir")
        .arg(scratch.path().join("state"))
        .current_dir(scratch.path());
    for variable in [
        "B2_BUCKET",
        "B2_ENDPOINT",
        "B2_REGION",
        "KEY_PREFIX",
        "FILES_URL",
        "SITE_URL",
        "MEDIALIFT_CONFIG",
        "PURGE_SECRET",
        "PURGE_SECRET_HEADER",
    ] {
        command.env_remove(variable);
    }
    command
        .env("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID)
        .env("B2_APPLICATION_KEY", OriginOptions::KEY);
    Ok(command)
}

/// Runs `medialift sync` on `directory`, its progress shown on standard error.
pub fn sync(origin: &Origin, directory: &Path, profile: Profile) -> Result<Upload> {
    let scratch = scratch_directory("sync")?;
    let output = scratch.path().join("summary.json");
    let mut command = medialift("sync", origin, &scratch, profile)?;
    command
        .args([
            "--json",
            // The bucket is new: nothing can have been deleted in it.
            "--send-unrecorded",
        ])
        .arg(directory)
        .stdout(File::create(&output)?)
        .stderr(Stdio::inherit());
    let start = Instant::now();
    let mut child = Guarded::spawn_with_streams("`medialift sync`", command, &output)?;
    let status = child.wait()?;
    let time = start.elapsed();
    let partly = status.code() == Some(PARTLY);
    if !status.success() && !partly {
        bail!("`medialift sync` failed ({status}), see above");
    }
    let text =
        fs::read_to_string(&output).context("cannot read the summary of `medialift sync`")?;
    let summary = serde_json::from_str(&text).context("`medialift sync --json` printed no JSON")?;
    let requests = origin.requests()?;
    Ok(Upload {
        time,
        summary,
        partly,
        put_requests: requests.of("PutObject") + requests.of("CompleteMultipartUpload"),
    })
}
