//! Programs that cargo compiles, each into its own directory of the cache.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::Workshop;

/// Compiles `package` of exactly `version` and installs it as `directory`.
pub(super) fn install(
    workshop: &Workshop,
    package: &str,
    version: &str,
    directory: &Path,
) -> Result<()> {
    // Kept until the end, so that an interrupted compilation goes on where it was.
    let target = workshop
        .cache
        .join("compile")
        .join(format!("{package}-{version}"));
    workshop.install_into(directory, |root| {
        let command = |locked: bool| {
            let mut command = Command::new("cargo");
            command
                .args([
                    "install",
                    package,
                    "--version",
                    &format!("={version}"),
                    "--root",
                ])
                .arg(root);
            if locked {
                command.arg("--locked");
            }
            // Not the repository's settings, nor what `cargo xtask` set for us.
            command.current_dir("/").env("CARGO_TARGET_DIR", &target);
            // To optimise them takes four minutes more, and what they do is no slower without.
            command.env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0");
            for left in [
                "CARGO",
                "RUSTC",
                "RUSTUP_TOOLCHAIN",
                "RUSTFLAGS",
                "CARGO_ENCODED_RUSTFLAGS",
            ] {
                command.env_remove(left);
            }
            command
        };
        workshop.run(command(true)).or_else(|_| {
            eprintln!(
                "setup: {package} does not build with its own lock file here, going on without that"
            );
            workshop.run(command(false))
        })
    })?;
    fs::remove_dir_all(&target).ok();
    Ok(())
}
