//! The steps from the worker's sources to what is deployed: compile, bind to JavaScript, optimise, and
//! the glue as one file. `cargo xtask bench size` takes the same steps with other choices.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::pins::WASM_TARGET;
use crate::progress;
use crate::tools::Tools;

/// How the compiler is to optimise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) opt_level: &'static str,
    pub(crate) lto: &'static str,
}

/// As it is shipped; `cargo xtask bench size` shows what the others cost.
pub(crate) const SHIPPED: Profile = Profile {
    opt_level: "s",
    lto: "fat",
};

/// Arguments of `wasm-opt` for what is shipped.
pub(crate) const OPTIMISER: &str = "-Oz --converge";

/// What rustc's WebAssembly uses beyond the first version.
pub(crate) const FEATURES: [&str; 8] = [
    "--enable-bulk-memory",
    "--enable-bulk-memory-opt",
    "--enable-exception-handling",
    "--enable-multivalue",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-reference-types",
    "--enable-sign-ext",
];

impl Profile {
    /// On top of the workspace's release profile.
    pub(crate) fn environment(self) -> [(&'static str, &'static str); 4] {
        [
            ("CARGO_PROFILE_RELEASE_OPT_LEVEL", self.opt_level),
            ("CARGO_PROFILE_RELEASE_LTO", self.lto),
            ("CARGO_PROFILE_RELEASE_PANIC", "abort"),
            // `wasm-bindgen` wants to see what the module uses; `wasm-opt` strips it.
            ("CARGO_PROFILE_RELEASE_STRIP", "debuginfo"),
        ]
    }
}

/// Compiles the worker in `workshop` and binds it in `output`: the WebAssembly, names and all, as
/// `wasm-opt` gets it.
pub(crate) fn bind(
    tools: &Tools,
    profile: Profile,
    workshop: &Path,
    output: &Path,
    log: &Path,
) -> Result<PathBuf> {
    fs::remove_file(log).ok();
    let mut command = Command::new(tools.wasm_cargo());
    command
        .args(["build", "--release", "--lib", "--package", "edge-worker"])
        .args(["--target", WASM_TARGET])
        .current_dir(crate::root());
    tools.apply_wasm_environment(&mut command);
    command
        .envs(profile.environment())
        .envs(super::flags())
        .env("CARGO_TARGET_DIR", workshop);
    progress::run(command, log)?;
    if output.exists() {
        fs::remove_dir_all(output)
            .with_context(|| format!("cannot remove `{}`", output.display()))?;
    }
    let mut command = Command::new(&tools.wasm_bindgen);
    command
        .args(["--target", "module", "--no-typescript"])
        // After a panic the next call makes a new instance: see `worker/src/restart.rs`.
        .arg("--force-enable-abort-handler")
        .args(["--out-name", "index", "--out-dir"])
        .arg(output)
        .arg(workshop.join(WASM_TARGET).join("release/edge_worker.wasm"));
    progress::run(command, log)?;
    Ok(output.join("index_bg.wasm"))
}

/// Runs `wasm-opt` with `arguments` (none: it only strips).
pub(crate) fn optimise(
    tools: &Tools,
    bound: &Path,
    arguments: &str,
    names: bool,
    output: &Path,
) -> Result<()> {
    let mut command = Command::new(&tools.wasm_opt);
    command.arg(bound).arg("-o").arg(output);
    command.args(arguments.split_whitespace()).args(FEATURES);
    command.arg(if names {
        "--debuginfo"
    } else {
        "--strip-debug"
    });
    command.env("PATH", tools.path());
    progress::run(command, &output.with_extension("log"))
}

/// Makes one file, `output`, of the JavaScript that `wasm-bindgen` has written into `bound` and of ours
/// that it names; without `names` of functions it is half as long, and an isolate starts sooner.
pub(crate) fn glue(tools: &Tools, bound: &Path, names: bool, output: &Path) -> Result<()> {
    let index = bound.join("index.js");
    let text =
        fs::read_to_string(&index).with_context(|| format!("cannot read `{}`", index.display()))?;
    // Neither `wrangler` nor the runtime knows this form yet; both take the plain one for a module.
    let plain = text.replacen("import source wasmModule from", "import wasmModule from", 1);
    ensure!(
        plain != text,
        "`wasm-bindgen` has imported its module otherwise than expected"
    );
    // It names a file once for each function that it takes from there as it is.
    let mut named = HashSet::new();
    let plain: Vec<&str> = plain
        .lines()
        .filter(|line| match line.trim().split_once(": import") {
            Some((file, _)) => named.insert(file),
            None => true,
        })
        .collect();
    let index = bound.join("plain.js");
    fs::write(&index, plain.join("\n"))
        .with_context(|| format!("cannot write `{}`", index.display()))?;
    let mut command = Command::new(&tools.esbuild);
    command
        .arg(&index)
        .args(["--bundle", "--format=esm", "--log-level=warning"])
        .arg("--external:*.wasm")
        .arg(format!("--outfile={}", output.display()))
        .env("PATH", tools.path());
    if !names {
        command.arg("--minify");
    }
    progress::run(command, &bound.join("esbuild.log"))
}
