//! The local stack: a B2-like origin, the edge worker under `wrangler dev` and the nginx that it
//! replaces, each ready when its `start` returns and gone when its value is dropped.

mod edge;
mod nginx;
mod origin;
mod ports;

use std::path::PathBuf;

use anyhow::{Result, bail};

pub use edge::{Edge, EdgeOptions};
pub use nginx::{Nginx, command as nginx_command};
pub use origin::{Bodies, Origin, OriginOptions, Requests, Totals};
pub use ports::{free_address, free_addresses};

/// How a program of this workspace was compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// As tests and demonstrations run it.
    Debug,
    /// As administrators run it, and the bench.
    Release,
}

impl Profile {
    /// The directory below `target`.
    const fn directory(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Release => "release",
        }
    }
}

/// A program of this workspace that was built before: `medialift`, `b2-origin`.
///
/// # Errors
/// Fails when it has not been built.
pub fn binary(name: &str) -> Result<PathBuf> {
    binary_of(Profile::Debug, name)
}

/// As [`binary`], of either profile.
///
/// # Errors
/// Fails when it has not been built.
pub fn binary_of(profile: Profile, name: &str) -> Result<PathBuf> {
    let path = crate::target_directory()
        .join(profile.directory())
        .join(name);
    if !path.is_file() {
        let release = match profile {
            Profile::Debug => "",
            Profile::Release => " --release",
        };
        bail!(
            "`{}` has not been built\n\nhint: `cargo build{release} -p {name}`",
            path.display()
        );
    }
    Ok(path)
}
