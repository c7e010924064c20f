//! npm's packages: installed once per lock file into the cache, linked from the checkout.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

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
    let own = link_path();
    if is_own(&own) {
        ensure!(
            is_current(&own, &crate::root().join("package-lock.json")),
            "`node_modules` is not what `package-lock.json` lists\n\nhint: run `npm ci`, or remove it: another is then made outside of the checkout"
        );
        return Ok(Some(own));
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

/// Whether npm has installed what the lock file lists. It leaves a list of what it has installed; packages for
/// other systems are not in that.
fn is_current(node_modules: &Path, lock: &Path) -> bool {
    let packages = |file: &Path| -> Option<serde_json::Value> {
        let mut list: serde_json::Value = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
        Some(list["packages"].take())
    };
    let (listed, installed) = (
        packages(lock),
        packages(&node_modules.join(".package-lock.json")),
    );
    let (Some(listed), Some(installed)) = (listed, installed) else {
        return false;
    };
    let mut listed = listed.as_object().into_iter().flatten();
    listed.all(|(name, package)| {
        let is = |kind: &str| package[kind] == true;
        match installed.get(name) {
            _ if name.is_empty() => true,
            Some(there) => there["version"] == package["version"],
            None => is("optional") || is("devOptional"),
        }
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_another_lock_file_are_not_current() {
        let folder = tempfile::tempdir().unwrap();
        let (lock, list) = (
            folder.path().join("lock"),
            folder.path().join(".package-lock.json"),
        );
        let listed = r#"{ "packages": { "": {}, "a": { "version": "1.0.0" },
            "other-system": { "version": "1.0.0", "optional": true } } }"#;
        fs::write(&lock, listed).unwrap();
        assert!(!is_current(folder.path(), &lock));
        for (installed, expected) in [
            (r#"{ "a": { "version": "1.0.0" } }"#, true),
            (r#"{ "a": { "version": "1.0.1" } }"#, false),
            ("{}", false),
        ] {
            fs::write(&list, format!(r#"{{ "packages": {installed} }}"#)).unwrap();
            assert_eq!(is_current(folder.path(), &lock), expected, "{installed}");
        }
    }
}
