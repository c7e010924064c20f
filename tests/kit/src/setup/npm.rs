//! npm's packages: installed once per lock file into the cache, linked from the checkout.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Installer;
use crate::process::find_program;
use crate::tools;

/// Installs exactly what `package-lock.json` lists.
pub(super) fn install(installer: &Installer) -> Result<()> {
    let Some(npm) = find_program("npm") else {
        bail!("there is no `npm` on PATH")
    };
    installer.install_into(&tools::npm_directory(&installer.cache)?, |directory| {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(crate::root().join(name), directory.join(name))
                .with_context(|| format!("cannot copy `{name}`"))?;
        }
        let mut command = Command::new(npm);
        command
            .args(["ci", "--no-audit", "--no-fund", "--no-update-notifier"])
            .current_dir(directory);
        installer.run(command)?;
        // Node.js comes by an installation script; a user's settings can switch those off.
        let node = directory.join("node_modules/.bin/node");
        if tools::node().is_none() && !node.exists() {
            bail!(
                "npm installed no `{}`; are installation scripts switched off (`ignore-scripts`)?",
                node.display()
            );
        }
        Ok(())
    })
}

/// The `node_modules` that the checkout has of its own, made by `npm ci`, or the one in the cache.
pub(super) fn installed(cache: &Path) -> Result<Option<PathBuf>> {
    if is_own(&link_path()) {
        return Ok(Some(link_path()));
    }
    let packages = tools::npm_directory(cache)?.join("node_modules");
    Ok(packages.exists().then_some(packages))
}

fn link_path() -> PathBuf {
    crate::root().join("node_modules")
}

fn is_own(node_modules: &Path) -> bool {
    node_modules.is_dir() && !node_modules.is_symlink()
}

/// Lets `node_modules` in the checkout point at the packages of the cache, so that several checkouts share
/// them. A directory that somebody made with npm is left as it is.
pub(super) fn link(cache: &Path) -> Result<()> {
    let link = link_path();
    let packages = tools::npm_directory(cache)?.join("node_modules");
    if is_own(&link) || fs::read_link(&link).is_ok_and(|target| target == packages) {
        return Ok(());
    }
    // Renamed into place, for two at once.
    let fresh = crate::root().join(format!("target/node_modules-{}", std::process::id()));
    fs::create_dir_all(crate::root().join("target"))?;
    fs::remove_file(&fresh).ok();
    symlink(&packages, &fresh)
        .and_then(|()| fs::rename(&fresh, &link))
        .with_context(|| format!("cannot link `{}`", link.display()))
}
