//! What the tests, the chores and the bench share: the tools and how they are installed, child
//! processes, the local stack and the sample media tree.
//!
//! Light on purpose, so that `cargo xtask` compiles in seconds: no S3 client, no server, no bindings.

use std::path::{Path, PathBuf};

pub mod build;
pub mod package;
pub mod pins;
pub mod process;
pub mod progress;
pub mod sample;
pub mod setup;
pub mod stack;
pub mod tools;
pub mod upload;
pub mod verify;

/// The root of the repository.
#[must_use]
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap_or(Path::new("."))
}

/// Where cargo puts what we let it build: [`build::for_cargo`] sets it.
#[must_use]
pub fn target_directory() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| root().join("target"), |set| root().join(set))
}
