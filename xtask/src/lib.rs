//! What the chores share with the end-to-end tests: the tools that `cargo xtask setup` installed,
//! guarded child processes, the local stack and the sample media tree.
//!
//! Light on purpose, so that `cargo xtask` answers in seconds: no S3 client, no server, no bindings.

use std::path::{Path, PathBuf};

pub mod bench;
pub mod build;
pub mod ci;
pub mod demo;
pub mod deploy;
pub mod dev;
pub mod docs;
pub mod package;
pub mod pins;
pub mod process;
pub mod progress;
pub mod sample;
pub mod scale;
pub mod setup;
pub mod stack;
pub mod test;
pub mod tidy;
pub mod tools;
mod usage;

/// The root of the repository.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap_or(Path::new("."))
}

/// Where cargo puts what it builds.
#[must_use]
pub fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |set| root().join(set))
}
