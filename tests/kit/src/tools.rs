//! Where the installed tools are. [`crate::pins`] says which versions, `cargo xtask setup` installs.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

use crate::pins;
use crate::process::{find_program, output};

/// The tools that building and running the edge worker takes. Those that only some tests use are
/// looked up when they are asked for.
#[derive(Clone, Debug)]
pub struct Tools {
    /// Where what is not npm's is installed.
    pub cache: PathBuf,
    /// `node_modules` with wrangler, workerd, esbuild, binaryen and Node.js itself.
    pub node_modules: PathBuf,
    /// Node.js, as new as wrangler wants it.
    pub node: PathBuf,
    /// wrangler's script, to be run by [`Tools::node`].
    pub wrangler_js: PathBuf,
    /// esbuild.
    pub esbuild: PathBuf,
    /// binaryen's optimiser.
    pub wasm_opt: PathBuf,
    /// workerd itself.
    pub workerd: PathBuf,
}

impl Tools {
    /// Finds the tools.
    ///
    /// # Errors
    /// Fails, naming what is missing, when `cargo xtask setup` has not been run for these versions.
    pub fn load() -> Result<Self> {
        let cache = cache_directory()?;
        let node_modules = crate::root().join("node_modules");
        let bin = node_modules.join(".bin");
        let tools = Self {
            node: bin.join("node"),
            wrangler_js: node_modules.join("wrangler/bin/wrangler.js"),
            esbuild: bin.join("esbuild"),
            wasm_opt: bin.join("wasm-opt"),
            workerd: bin.join("workerd"),
            node_modules,
            cache,
        };
        for path in [
            &tools.node,
            &tools.wrangler_js,
            &tools.esbuild,
            &tools.wasm_opt,
            &tools.workerd,
        ] {
            present(path)?;
        }
        Ok(tools)
    }

    /// nginx, for the comparison of the edge with it.
    ///
    /// # Errors
    /// Fails when it is not installed.
    pub fn nginx(&self) -> Result<PathBuf> {
        find_program("nginx").ok_or_else(|| missing("nginx"))
    }

    /// A browser without a window, for the tests of pages.
    ///
    /// # Errors
    /// Fails when it is not installed.
    pub fn chromium(&self) -> Result<PathBuf> {
        find_program("chromium").ok_or_else(|| missing("chromium"))
    }

    /// The directory with `python`, `weed`, `b2`, `aws`, `s3cmd`, `s5cmd` and `rclone`.
    ///
    /// # Errors
    /// Fails when the virtual environment has not been made.
    pub fn python_bin(&self) -> Result<PathBuf> {
        let bin = python_directory(&self.cache).join("bin");
        present(&bin.join("python")).map(|()| bin)
    }

    /// A `wasm-pack` command, run at the root of the repository, that finds `wasm-bindgen` and Node.js and
    /// has to download nothing.
    ///
    /// # Errors
    /// Fails when it is not installed.
    pub fn wasm_pack(&self) -> Result<Command> {
        let wasm_pack = crate_program(&self.cache, "wasm-pack", pins::WASM_PACK, "wasm-pack");
        present(&wasm_pack)?;
        let bindgen = pins::locked_version("wasm-bindgen")?;
        let bindgen = crate_program(&self.cache, "wasm-bindgen-cli", &bindgen, "wasm-bindgen");
        let path = self.path();
        let directories = bindgen
            .parent()
            .map(Path::to_path_buf)
            .into_iter()
            .chain(std::env::split_paths(&path));
        let mut command = Command::new(wasm_pack);
        command
            .current_dir(crate::root())
            .env("PATH", std::env::join_paths(directories)?);
        Ok(command)
    }

    /// `PATH` with our Node.js ahead of all else.
    #[must_use]
    pub fn path(&self) -> OsString {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let directories = [self.node_modules.join(".bin")]
            .into_iter()
            .chain(std::env::split_paths(&path));
        std::env::join_paths(directories).unwrap_or(path)
    }

    /// A `wrangler` command, run at the root of the repository, that keeps to itself: no telemetry, no
    /// question, no look at the network for its own purposes.
    #[must_use]
    pub fn wrangler(&self) -> Command {
        let mut command = Command::new(&self.node);
        command
            .arg("--no-warnings")
            .arg(&self.wrangler_js)
            .current_dir(crate::root())
            .env("PATH", self.path())
            .env("WRANGLER_SEND_METRICS", "false")
            .env("WRANGLER_SEND_ERROR_REPORTS", "false")
            .env("CLOUDFLARE_TELEMETRY_DISABLED", "1")
            .env("WRANGLER_HIDE_BANNER", "true")
            .env("CLOUDFLARE_CF_FETCH_ENABLED", "false")
            .env("WRANGLER_NO_SKILLS_UPDATE_PROMPTS", "true")
            .env("NO_UPDATE_NOTIFIER", "1");
        command
    }
}

fn missing(what: &str) -> anyhow::Error {
    anyhow!("{what} is not installed\n\nhint: run `cargo xtask setup`")
}

fn present(path: &Path) -> Result<()> {
    if path.exists() {
        return Ok(());
    }
    Err(missing(&format!("`{}`", path.display())))
}

/// Ruby with the gems `aws-sdk-s3` and `dotenv`, with which Mastodon writes media and reads settings.
///
/// # Errors
/// Fails when one of the three is not installed, and says how to install them.
pub fn ruby() -> Result<PathBuf> {
    find_program("ruby")
        .filter(|ruby| output(ruby, &["-e", "gem 'aws-sdk-s3'; gem 'dotenv'"]).is_some())
        .with_context(|| {
            format!(
                "Ruby with the gems `aws-sdk-s3` and `dotenv` is not installed\n\nhint: {}",
                ruby_remedy()
            )
        })
}

/// How to install what [`ruby`] looks for.
pub fn ruby_remedy() -> String {
    format!(
        "as root, `apt-get install --no-install-recommends {}`; elsewhere `gem install aws-sdk-s3 dotenv`",
        pins::DEBIAN_RUBY.join(" ")
    )
}

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

/// Where the virtual environment is, or will be, made: another directory for other versions.
pub fn python_directory(cache: &Path) -> PathBuf {
    cache.join(format!(
        "python-{}",
        short(&Sha256::digest(pins::PYTHON.join(" ")))
    ))
}

fn short(hash: &[u8]) -> String {
    hex::encode(&hash[..6])
}
