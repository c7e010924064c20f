//! Where what [`crate::setup`] installs is kept: a directory for each version and choice of packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

use super::python;
use crate::process::output;

/// Where tools are kept: `MEDIALIFT_CACHE`, else `medialift` in `XDG_CACHE_HOME` or `~/.cache`.
///
/// # Errors
/// Fails when none of these is set.
pub fn cache_directory() -> Result<PathBuf> {
    let set = |name: &str| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(directory) = set("MEDIALIFT_CACHE") {
        return std::path::absolute(directory).context("cannot resolve `MEDIALIFT_CACHE`");
    }
    if let Some(directory) = set("XDG_CACHE_HOME") {
        return Ok(directory.join("medialift"));
    }
    match set("HOME") {
        Some(home) => Ok(home.join(".cache/medialift")),
        None => bail!("no place for a cache\n\nhint: set `MEDIALIFT_CACHE` to a directory"),
    }
}

/// Where a program from crates.io is, or will be, installed; `worker/build.sh` knows it too.
pub fn crate_program(cache: &Path, package: &str, version: &str, program: &str) -> PathBuf {
    cache.join(format!("{package}-{version}/bin")).join(program)
}

/// Where npm's packages are, or will be, installed: another directory for other versions.
pub fn npm_directory(cache: &Path) -> Result<PathBuf> {
    let mut hash = Sha256::new();
    for name in ["package.json", "package-lock.json"] {
        let path = crate::root().join(name);
        hash.update(fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?);
    }
    Ok(cache.join(format!("npm-{}", short(&hash.finalize()))))
}

/// Where the virtual environment with `packages` is, or will be, made: another directory for other packages,
/// and for another Python, whose modules are its own.
pub fn python_directory(cache: &Path, packages: &[&str]) -> PathBuf {
    static PYTHON: OnceLock<String> = OnceLock::new();
    let python = PYTHON.get_or_init(|| {
        // Its bug fixes are the same Python.
        let version = "import sys; print('%d.%d' % sys.version_info[:2])";
        let python = python().unwrap_or_else(|| "python3".into());
        output(python, &["-c", version]).unwrap_or_default()
    });
    let hash = Sha256::digest(format!("{python} {}", packages.join(" ")));
    cache.join(format!("python-{}", short(&hash)))
}

fn short(hash: &[u8]) -> String {
    hex::encode(&hash[..6])
}
