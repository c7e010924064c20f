//! Where the installed tools are. [`crate::pins`] says which versions, `cargo xtask setup` installs.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};
use sha2::{Digest, Sha256};

use crate::pins::{self, WASM_TARGET};
use crate::process::{find_program, is_executable, output};

/// The tools that building and running the edge worker takes. Those that only some tests use are
/// looked up when they are asked for.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The cache that everything below is in.
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
    /// `wasm-bindgen` of the version that `Cargo.lock` has.
    pub wasm_bindgen: PathBuf,
    /// How Rust is compiled to WebAssembly here.
    pub rust: WasmRust,
}

/// A Rust that has a standard library for WebAssembly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WasmRust {
    /// The `rustc` on `PATH` has it (`rustup target add`).
    OnPath,
    /// A sysroot assembled in the cache, with `rustc` and `cargo` in its `bin`.
    Assembled(PathBuf),
}

impl Tools {
    /// Finds the tools in the cache.
    ///
    /// # Errors
    /// Fails, naming what is missing, when `cargo xtask setup` has not been run for these versions.
    pub fn load() -> Result<Self> {
        let cache = cache_directory()?;
        let node_modules = npm_directory(&cache)?.join("node_modules");
        let bin = node_modules.join(".bin");
        let bindgen = bindgen_directory(&cache)?.join("bin");
        let rust =
            find_wasm_rust(&cache).ok_or_else(|| missing(&format!("std for `{WASM_TARGET}`")))?;
        let tools = Self {
            node: bin.join("node"),
            wrangler_js: node_modules.join("wrangler/bin/wrangler.js"),
            esbuild: bin.join("esbuild"),
            wasm_opt: bin.join("wasm-opt"),
            workerd: bin.join("workerd"),
            wasm_bindgen: bindgen.join("wasm-bindgen"),
            node_modules,
            rust,
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
        present(&tools.wasm_bindgen)?;
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

    /// Adds to `command` what makes `cargo` compile the worker with the right Rust.
    pub fn apply_wasm_environment(&self, command: &mut Command) {
        command.env("PATH", self.path());
        // What `cargo xtask` left behind would send the build back to the compiler that built us.
        for left in [
            "CARGO",
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTUP_TOOLCHAIN",
            "RUSTDOC",
        ] {
            command.env_remove(left);
        }
        if let WasmRust::Assembled(sysroot) = &self.rust {
            command
                .env("RUSTC", sysroot.join("bin/rustc"))
                .env("CARGO", sysroot.join("bin/cargo"));
        }
    }

    /// The cargo that compiles the worker.
    #[must_use]
    pub fn wasm_cargo(&self) -> PathBuf {
        match &self.rust {
            WasmRust::OnPath => PathBuf::from("cargo"),
            WasmRust::Assembled(sysroot) => sysroot.join("bin/cargo"),
        }
    }

    /// `PATH` with our Node.js, and the assembled Rust where there is one, ahead of all else.
    #[must_use]
    pub fn path(&self) -> OsString {
        let mut directories = Vec::new();
        if let WasmRust::Assembled(sysroot) = &self.rust {
            directories.push(sysroot.join("bin"));
        }
        directories.push(self.node_modules.join(".bin"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        directories.extend(std::env::split_paths(&path));
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
pub(crate) fn ruby_remedy() -> String {
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

/// Where `wasm-bindgen` is, or will be, installed.
pub(crate) fn bindgen_directory(cache: &Path) -> Result<PathBuf> {
    Ok(cache.join(format!(
        "wasm-bindgen-cli-{}",
        pins::locked_version("wasm-bindgen")?
    )))
}

/// Where npm's packages are, or will be, installed: another directory for other versions.
pub(crate) fn npm_directory(cache: &Path) -> Result<PathBuf> {
    let mut hash = Sha256::new();
    for name in ["package.json", "package-lock.json"] {
        let path = crate::root().join(name);
        hash.update(fs::read(&path).with_context(|| format!("cannot read `{}`", path.display()))?);
    }
    Ok(cache.join(format!("npm-{}", short(&hash.finalize()))))
}

/// Where the virtual environment is, or will be, made: another directory for other versions.
pub(crate) fn python_directory(cache: &Path) -> PathBuf {
    cache.join(format!(
        "python-{}",
        short(&Sha256::digest(pins::PYTHON.join(" ")))
    ))
}

/// Where the sysroot for Debian's Rust is, or will be, assembled; `None` without that Rust.
pub(crate) fn sysroot_directory(cache: &Path) -> Option<PathBuf> {
    let version = output("/usr/bin/rustc", &["--version", "--verbose"])?;
    let release = version
        .lines()
        .find_map(|line| line.strip_prefix("release: "))?;
    Some(cache.join(format!(
        "rust-{release}-{}",
        short(&Sha256::digest(&version))
    )))
}

/// The Rust to compile the worker with, the ordinary one first.
pub(crate) fn find_wasm_rust(cache: &Path) -> Option<WasmRust> {
    let ordinary = output(
        "rustc",
        &["--print", "target-libdir", "--target", WASM_TARGET],
    );
    if ordinary.is_some_and(|directory| Path::new(&directory).exists()) {
        return Some(WasmRust::OnPath);
    }
    let sysroot = sysroot_directory(cache)?;
    is_executable(&sysroot.join("bin/rustc")).then_some(WasmRust::Assembled(sysroot))
}

fn short(hash: &[u8]) -> String {
    hex::encode(&hash[..6])
}
