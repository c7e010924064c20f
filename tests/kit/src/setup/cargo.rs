//! Programs that cargo compiles, each into its own directory of the cache.

use std::process::Command;

use anyhow::Result;

use super::Installer;
use crate::pins;

/// Installs `wasm-pack`.
pub(super) fn install_wasm_pack(installer: &Installer) -> Result<()> {
    let version = pins::WASM_PACK;
    let mut command = Command::new("cargo");
    command
        .args(["install", "--locked", "--root"])
        .arg(installer.cache.join(format!("wasm-pack-{version}")))
        .arg(format!("wasm-pack@{version}"))
        // Optimising it takes longer than it would save.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
    installer.run(command)
}

/// Installs what builds the worker, as `worker/build.sh` does it for whoever calls `wrangler` alone.
pub(super) fn install_worker_build(installer: &Installer) -> Result<()> {
    let mut command = Command::new("sh");
    command
        .arg(crate::root().join("worker/build.sh"))
        .arg("--tools")
        .env("MEDIALIFT_CACHE", &installer.cache);
    installer.run(command)
}
