//! Where the tools are: the system's own, and what [`crate::setup`] has installed. [`crate::pins`] says
//! which versions.

mod cache;
mod system;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, anyhow};

use crate::pins;
pub use cache::{cache_directory, crate_program, npm_directory, python_directory};
pub(crate) use system::{REQUIRE_GEMS, nextest, nginx_takes_log, python};
pub use system::{browser, nginx, node, ruby};

/// The tools that building and running the edge worker takes. What only some tests use they ask for
/// themselves, by [`crate::setup::place`].
#[derive(Clone, Debug)]
pub struct Tools {
    /// Where what is not npm's is installed.
    pub cache: PathBuf,
    /// `node_modules` with wrangler, workerd, esbuild, binaryen and a Node.js.
    pub node_modules: PathBuf,
    /// Node.js, as new as wrangler wants it: the one on `PATH`, else npm's.
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
            node: node().unwrap_or_else(|| bin.join("node")),
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

    /// Where Node.js keeps compiled scripts: without it a start of wrangler takes a third more processor time.
    #[must_use]
    pub fn compile_cache(&self) -> PathBuf {
        self.cache.join("node-compile-cache")
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
            .env("NODE_COMPILE_CACHE", self.compile_cache())
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
