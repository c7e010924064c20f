//! `cargo xtask build`: the worker as WebAssembly, in `worker/build`, and how big it is.
//!
//! `worker/build.sh` does it, for `wrangler` too; what has not changed is not built again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::progress;
use crate::setup::lock_file;
use crate::stack::binary;
use crate::tools::Tools;

/// What the worker may weigh. Cloudflare's limit on the free plan is 3 MB gzipped; what costs first is
/// the start of an isolate.
pub const BUDGET: Size = Size {
    plain: 405_000,
    gzipped: 178_000,
};

/// Size of the worker's WebAssembly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// Bytes as they are.
    pub plain: u64,
    /// Bytes as Cloudflare counts them against its limit: compressed.
    pub gzipped: u64,
}

impl Size {
    /// Whether `size` is within this budget.
    #[must_use]
    pub const fn allows(self, size: Self) -> bool {
        size.plain <= self.plain && size.gzipped <= self.gzipped
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{} kB, {} kB gzipped",
            self.plain.div_ceil(1000),
            self.gzipped.div_ceil(1000)
        )
    }
}

/// Builds the worker as it is deployed.
///
/// # Errors
/// Fails when it does not compile, with the compiler's own words.
pub fn worker(tools: &Tools) -> Result<Size> {
    let output = crate::root().join("worker/build");
    build_worker(tools, &output, &[], &[]).context("cannot build the edge worker")?;
    weigh(&output.join("index_bg.wasm"))
}

/// Where the worker with the hooks for tests is built: its `entry.mjs`, and its `build` beside it.
pub fn hooked_directory() -> PathBuf {
    crate::target_directory().join("worker-with-test-hooks")
}

/// Builds the worker with the hooks for tests, which what is deployed has not.
///
/// # Errors
/// Fails when it does not compile, with the compiler's own words.
pub fn worker_with_test_hooks(tools: &Tools) -> Result<()> {
    let directory = hooked_directory();
    let arguments = ["--features", "test-hooks"];
    build_worker(tools, &directory.join("build"), &arguments, &[])
        .context("cannot build the edge worker with its test hooks")?;
    let (entry, copy) = ("worker/entry.mjs", directory.join("entry.mjs"));
    fs::copy(crate::root().join(entry), &copy)
        .with_context(|| format!("cannot copy `{entry}` to `{}`", copy.display()))?;
    Ok(())
}

/// Builds the worker into a directory, with more arguments for cargo and other settings in its
/// environment.
pub fn build_worker(
    tools: &Tools,
    output: &Path,
    arguments: &[&str],
    environment: &[(&str, &str)],
) -> Result<()> {
    fs::create_dir_all(output).with_context(|| format!("cannot create `{}`", output.display()))?;
    let _lock = lock_file(&output.join(".lock"), "build")?;
    let mut command = Command::new("sh");
    command
        .arg(crate::root().join("worker/build.sh"))
        .arg(output)
        .args(arguments)
        .env("MEDIALIFT_CACHE", &tools.cache)
        .envs(environment.iter().copied());
    let log = output.join("build.log");
    fs::remove_file(&log).ok();
    progress::run(command, &log)
}

/// Builds `medialift` and `b2-origin`, as the tests and the demonstration run them.
///
/// # Errors
/// Fails when they do not compile; cargo's own words go to standard error.
pub fn programs() -> Result<()> {
    let mut programs = vec!["medialift", "b2-origin"];
    let real = |path: PathBuf| path.canonicalize().ok();
    let built = binary("xtask").ok().and_then(real);
    // Tests start it. Where a configuration of cargo names another directory, the one that runs is there.
    if built.is_none() || built != std::env::current_exe().ok().and_then(real) {
        programs.push("xtask");
    }
    debug(&programs)
}

/// Builds programs of the workspace as tests run them.
///
/// # Errors
/// As [`programs`].
pub fn debug(programs: &[&str]) -> Result<()> {
    eprintln!("build: {}", programs.join(", "));
    let mut command = cargo_build(programs);
    // Else cargo compiles their dependencies anew, with other features than for the tests.
    command.arg("--workspace");
    crate::process::run("`cargo build`", command)
}

/// Builds `medialift` and `b2-origin` as administrators run them; it takes minutes the first time.
///
/// # Errors
/// As [`programs`].
pub fn optimised() -> Result<()> {
    eprintln!("build: medialift, b2-origin, optimised (minutes the first time)");
    let mut command = cargo_build(&["medialift", "b2-origin"]);
    command.args(["--release", "--package=medialift", "--package=b2-origin"]);
    crate::process::run("`cargo build`", command)
}

fn cargo_build(programs: &[&str]) -> Command {
    let mut command = cargo();
    command
        .args(["build", "--quiet", "--locked"])
        .args(programs.iter().flat_map(|program| ["--bin", program]))
        .current_dir(crate::root())
        .stdout(std::io::stderr());
    command
}

/// The cargo that runs us, else the one on `PATH`.
#[must_use]
pub fn cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    for_cargo(Command::new(program))
}

/// The command, which is cargo or starts it, building into [`crate::target_directory`] also where a
/// configuration of cargo names another directory. (`build.target` of a configuration is not overridden.)
///
/// It is without what `cargo run` says of its own package: build scripts of dependencies read that, and would
/// be compiled anew, with all that depends on them, whenever another program asks for them.
#[must_use]
pub fn for_cargo(mut command: Command) -> Command {
    command
        .env("CARGO_TARGET_DIR", crate::target_directory())
        // Else programs are built into a directory of that target.
        .env_remove("CARGO_BUILD_TARGET");
    for (name, _) in std::env::vars_os() {
        let is_of_package = name.to_str().is_some_and(|name| {
            name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_")
        });
        if is_of_package {
            command.env_remove(name);
        }
    }
    command
}

/// The size of a file.
pub fn weigh(file: &Path) -> Result<Size> {
    let bytes = fs::read(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes)?;
    let gzipped = encoder.finish()?.len();
    Ok(Size {
        plain: bytes.len() as u64,
        gzipped: gzipped as u64,
    })
}
