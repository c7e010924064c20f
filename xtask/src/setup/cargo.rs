//! Programs that cargo compiles, each into its own directory of the cache.

use std::process::Command;

use anyhow::Result;

use super::Workshop;

/// Installs what builds the worker, as `worker/build.sh` does it for whoever calls `wrangler` alone.
pub(super) fn install_worker_build(workshop: &Workshop) -> Result<()> {
    let mut command = Command::new("sh");
    command
        .arg(crate::root().join("worker/build.sh"))
        .arg("--tools")
        .env("MEDIALIFT_CACHE", &workshop.cache);
    workshop.run(command)
}
