//! The local stack: a B2-like origin, the edge worker under `wrangler dev` and the nginx that it
//! replaces, each ready when its `start` returns and gone when its value is dropped.

mod edge;
mod nginx;
mod origin;

use std::path::PathBuf;

use anyhow::{Result, bail};

pub use edge::{Edge, EdgeOptions};
pub use nginx::Nginx;
pub use origin::{Origin, OriginOptions, Requests};

/// A program of this workspace that was built before: `medialift`, `b2-origin`.
///
/// # Errors
/// Fails when it has not been built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let path = crate::target_directory().join("debug").join(name);
    if !path.is_file() {
        let package = if name == "medialift" {
            "medialift"
        } else {
            "e2e"
        };
        bail!(
            "`{}` has not been built\n\nhint: `cargo build -p {package} --bin {name}`",
            path.display()
        );
    }
    Ok(path)
}
