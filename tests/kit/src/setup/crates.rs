//! What cargo compiles, each program into its own directory of the cache, and what rustup adds to the
//! compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use super::Installer;
use crate::pins;
use crate::process::is_executable;
use crate::tools::crate_program;

/// `worker-build`, where `wasm-bindgen` is there too.
pub(super) fn worker_build(cache: &Path) -> Result<Option<PathBuf>> {
    let program = |package, version: String, program| {
        Some(crate_program(cache, package, &version, program)).filter(|path| is_executable(path))
    };
    let bindgen = pins::locked_version("wasm-bindgen")?;
    if program("wasm-bindgen-cli", bindgen, "wasm-bindgen").is_none() {
        return Ok(None);
    }
    let sdk = pins::locked_version("worker")?;
    Ok(program("worker-build", sdk, "worker-build"))
}

/// Installs what builds the worker, as `worker/build.sh` does it for whoever calls `wrangler` alone.
pub(super) fn install_worker_build(installer: &Installer) -> Result<()> {
    let mut command = Command::new("sh");
    command
        .arg(crate::root().join("worker/build.sh"))
        .arg("--tools")
        .env("MEDIALIFT_CACHE", &installer.cache);
    share_crates(installer, &mut command);
    installer.run(command)
}

/// A program that has the name of its crate.
pub(super) fn program(cache: &Path, name: &str, version: &str) -> Option<PathBuf> {
    Some(crate_program(cache, name, version, name)).filter(|path| is_executable(path))
}

/// Installs a program that has the name of its crate.
pub(super) fn install_program(installer: &Installer, name: &str, version: &str) -> Result<()> {
    let mut command = Command::new("cargo");
    command
        .args(["install", "--locked", "--root"])
        .arg(installer.cache.join(format!("{name}-{version}")))
        .arg(format!("{name}@{version}"));
    share_crates(installer, &mut command);
    installer.run(command)
}

/// Lets all installed programs share what they are compiled from: in one directory, with one profile.
fn share_crates(installer: &Installer, command: &mut Command) {
    command
        .env("CARGO_TARGET_DIR", installer.cargo_target())
        // Optimising takes longer than it saves.
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
}

/// Where the compiler has the standard library of a target.
pub(super) fn target_directory(target: &str) -> Option<PathBuf> {
    let mut command = Command::new("rustc");
    command
        .args(["--print", "target-libdir", "--target", target])
        // `rust-toolchain.toml` there says which compiler.
        .current_dir(crate::root());
    let output = command
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let directory = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    directory.exists().then_some(directory)
}

/// Lets rustup get the standard library of a target. `rust-toolchain.toml` names it too, so where rustup
/// installs by itself it is there already.
pub(super) fn add_target(installer: &Installer, target: &str) -> Result<()> {
    let mut command = Command::new("rustup");
    command
        .args(["target", "add", target])
        .current_dir(crate::root());
    installer.run(command)
}
