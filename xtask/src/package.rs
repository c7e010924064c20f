//! `cargo xtask package`: all that a release has. Of that, `cargo xtask package-worker`: the worker as an
//! archive from which it is deployed without Rust.
//!
//! It is the folder `deploy/` with the built worker added, and with the repository's own `wrangler.toml`
//! without what builds the worker: there is no second copy of either to keep. docs/release.md says how a
//! release is made.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};
use toml_edit::{DocumentMut, value};

use testkit::build;
use testkit::package;
use testkit::pins::WASM_TARGET;
use testkit::tools::Tools;

/// What of the repository is in the archive, and under which name.
const FILES: [(&str, &str); 9] = [
    ("worker/entry.mjs", "entry.mjs"),
    ("worker/build/index.js", "build/index.js"),
    ("worker/build/index_bg.wasm", "build/index_bg.wasm"),
    ("deploy/package.json", "package.json"),
    ("deploy/package-lock.json", "package-lock.json"),
    ("deploy/.dev.vars.example", ".dev.vars.example"),
    ("deploy/.gitignore", ".gitignore"),
    ("deploy/README.md", "README.md"),
    ("LICENSE", "LICENSE"),
];

/// Makes all that a release has; returns in which directory.
///
/// # Errors
/// Fails when something cannot be built or written.
pub(crate) fn release(tools: &Tools) -> Result<PathBuf> {
    let directory = package::medialift()?;
    worker(tools, &directory)?;
    package::crates("worker", WASM_TARGET, &directory, "medialift-worker")?;
    package::checksums(&directory)?;
    Ok(directory)
}

/// Builds the worker and writes its archive into `directory`; returns where that is.
///
/// # Errors
/// Fails when the worker does not build or a file cannot be read or written.
pub(crate) fn worker(tools: &Tools, directory: &Path) -> Result<PathBuf> {
    build::worker(tools)?;
    fs::create_dir_all(directory)?;
    let path = directory.join(format!("medialift-worker-{}.tar.gz", package::VERSION));
    let file =
        File::create(&path).with_context(|| format!("cannot create `{}`", path.display()))?;
    let mut archive = Builder::new(GzEncoder::new(file, Compression::best()));
    for (source, name) in FILES {
        let source = testkit::root().join(source);
        let bytes =
            fs::read(&source).with_context(|| format!("cannot read `{}`", source.display()))?;
        append(&mut archive, name, &bytes)?;
    }
    let shipped = fs::read_to_string(testkit::root().join("wrangler.toml"))
        .context("cannot read `wrangler.toml`")?;
    let notices = package::notices("edge-worker", &[WASM_TARGET])?;
    append(
        &mut archive,
        "wrangler.toml",
        without_build(&shipped)?.as_bytes(),
    )?;
    append(&mut archive, package::NOTICES, notices.as_bytes())?;
    archive
        .into_inner()
        .and_then(GzEncoder::finish)
        .with_context(|| format!("cannot write `{}`", path.display()))?;
    Ok(path)
}

/// The configuration of a worker that is built already, comments and all.
fn without_build(configuration: &str) -> Result<String> {
    let mut document: DocumentMut = configuration
        .parse()
        .context("cannot understand `wrangler.toml`")?;
    document.remove("build");
    document["main"] = value("entry.mjs");
    Ok(document.to_string())
}

/// The same files give the same archive: no time and no owner of this machine gets in.
fn append(archive: &mut Builder<GzEncoder<File>>, name: &str, bytes: &[u8]) -> Result<()> {
    let mut header = Header::new_gnu();
    header.set_size(bytes.len() as u64);
    header.set_mode(0o644);
    header.set_mtime(0);
    archive
        .append_data(&mut header, Path::new("medialift-worker").join(name), bytes)
        .with_context(|| format!("cannot add `{name}` to the archive"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packaged_configuration_builds_nothing_and_keeps_its_comments() {
        let shipped = fs::read_to_string(testkit::root().join("wrangler.toml")).unwrap();
        let packaged = without_build(&shipped).unwrap();
        let mut expected: toml::Table = shipped.parse().unwrap();
        expected.remove("build");
        expected.insert("main".to_owned(), "entry.mjs".into());
        assert_eq!(packaged.parse::<toml::Table>().unwrap(), expected);
        let comments = |text: &str| text.lines().filter(|line| line.starts_with('#')).count();
        assert_eq!(comments(&packaged), comments(&shipped));
    }

    #[test]
    fn both_folders_pin_the_same_wrangler() {
        let wrangler = |path: &str| {
            let text = fs::read_to_string(testkit::root().join(path)).unwrap();
            let package: serde_json::Value = serde_json::from_str(&text).unwrap();
            package["devDependencies"]["wrangler"]
                .as_str()
                .map(str::to_owned)
        };
        let pinned = wrangler("package.json");
        assert!(pinned.is_some());
        assert_eq!(wrangler("deploy/package.json"), pinned);
        let lock = fs::read_to_string(testkit::root().join("deploy/package-lock.json")).unwrap();
        let lock: serde_json::Value = serde_json::from_str(&lock).unwrap();
        let locked = &lock["packages"]["node_modules/wrangler"]["version"];
        assert_eq!(locked.as_str().map(str::to_owned), pinned);
    }
}
