//! The licences of the crates that a program is made of: their terms ask that whoever passes the program on
//! passes them on too.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::build::for_cargo;

/// How the names of files with terms or authors begin, in capitals.
const NAMES: [&str; 6] = [
    "LICENSE",
    "LICENCE",
    "COPYING",
    "COPYRIGHT",
    "NOTICE",
    "UNLICENSE",
];

/// What `cargo metadata` prints.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

/// The licences of what the package `name` is linked of for `targets`, each text once with the crates that
/// have it.
///
/// # Errors
/// Fails when a crate names no licence, or cargo does not have all of them.
pub fn notices(name: &str, targets: &[&str]) -> Result<String> {
    let mut command = for_cargo(Command::new("cargo"));
    command.args(["metadata", "--format-version=1", "--locked"]);
    for target in targets {
        command.args(["--filter-platform", target]);
    }
    let output = command
        .current_dir(crate::root())
        .stderr(Stdio::inherit())
        .output()
        .context("cannot run `cargo metadata`")?;
    ensure!(output.status.success(), "`cargo metadata` has failed");
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .context("`cargo metadata` prints something unexpected")?;
    let linked = linked(&metadata, name)?;

    let mut list = String::new();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in &metadata.packages {
        if package.source.is_none() || !linked.contains(package.id.as_str()) {
            continue;
        }
        let title = format!("{} {}", package.name, package.version);
        let terms = package
            .license
            .as_ref()
            .with_context(|| format!("the crate `{title}` names no licence"))?;
        writeln!(list, "{title}: {terms}")?;
        for file in licence_files(&package.manifest_path)? {
            let text =
                fs::read(&file).with_context(|| format!("cannot read `{}`", file.display()))?;
            let text = String::from_utf8_lossy(&text).replace('\r', "");
            let crates = texts.entry(text.trim().to_owned()).or_default();
            if !crates.contains(&title) {
                crates.push(title.clone());
            }
        }
    }
    let mut page = format!("`{name}` is made of these crates, under these licences:\n\n{list}");
    for (text, crates) in texts {
        write!(
            page,
            "\n{}\n{}\n\n{text}\n",
            "-".repeat(80),
            crates.join(", ")
        )?;
    }
    Ok(page)
}

/// The ids of all that ends up in the package `name`: neither what builds nor what tests it.
fn linked<'a>(metadata: &'a Metadata, name: &str) -> Result<BTreeSet<&'a str>> {
    let nodes: BTreeMap<&str, &Node> = metadata
        .resolve
        .nodes
        .iter()
        .map(|node| (node.id.as_str(), node))
        .collect();
    let root = metadata
        .packages
        .iter()
        .find(|package| package.name == name && package.source.is_none())
        .with_context(|| format!("the workspace has no package `{name}`"))?;
    let mut found = BTreeSet::new();
    let mut left = vec![root.id.as_str()];
    while let Some(id) = left.pop() {
        if let Some(node) = nodes.get(id).filter(|_| found.insert(id)) {
            let linked = |dependency: &&Dependency| {
                dependency.dep_kinds.iter().any(|kind| kind.kind.is_none())
            };
            left.extend(
                node.deps
                    .iter()
                    .filter(linked)
                    .map(|other| other.pkg.as_str()),
            );
        }
    }
    Ok(found)
}

/// The files with terms or authors beside a manifest, in order.
fn licence_files(manifest: &Path) -> Result<Vec<PathBuf>> {
    let folder = manifest.parent().unwrap_or(manifest);
    let mut files = Vec::new();
    for entry in
        fs::read_dir(folder).with_context(|| format!("cannot list `{}`", folder.display()))?
    {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        if entry.path().is_file() && NAMES.iter().any(|beginning| name.starts_with(beginning)) {
            files.push(entry.path());
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_named_with_its_licence_and_what_only_tests_is_not() {
        let page = notices("medialift", crate::pins::RELEASED_TARGETS).unwrap();
        assert!(page.contains("\nrustls "), "{page}");
        assert!(page.contains("Permission is hereby granted"), "{page}");
        assert!(!page.contains("\nproptest "), "{page}");
        assert!(!page.contains("\nworker "), "{page}");
    }
}
