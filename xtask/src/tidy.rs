//! `cargo xtask tidy`: the conventions that no compiler lint knows.
//!
//! Reads the files git tracks, as tokens where it looks for words, so that a comment or a string
//! is never taken for code. It changes nothing.

mod circles;
mod policy;
mod words;

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use proc_macro2::TokenStream;

/// Lines a file may have before it is asked whether it is two files.
const LONGEST_FILE_LINES: usize = 420;

/// Checks every tracked file. Prints what it checked; fails with every fault at once.
pub(crate) fn run(root: &Path) -> Result<()> {
    let files = tracked(root)?;
    let modules = policy::modules(&files);
    let mut faults = Vec::new();
    let mut crates = circles::Crates::default();
    let (mut sources, mut pages, mut policy) = (0, 0, 0);
    for file in &files {
        let path = root.join(file);
        let text = || {
            fs::read_to_string(&path).with_context(|| format!("cannot read `{}`", file.display()))
        };
        match file.extension().and_then(OsStr::to_str) {
            Some("md") => {
                pages += 1;
                faults.extend(check_page(root, file, &text()?));
            }
            Some("rs") => {
                let text = text()?;
                sources += 1;
                faults.extend(check_source(file, &text)?);
                crates.add(file, parse(file, &text)?);
                if policy::is_part(file) {
                    policy += 1;
                    faults.extend(policy::check(file, parse(file, &text)?, &modules));
                }
            }
            _ => {}
        }
    }
    faults.extend(crates.faults());
    // A check that looks at nothing must not pass.
    ensure!(
        sources > 0 && pages > 0 && policy > 0,
        "found no sources, pages or policy files to check in {}",
        root.display()
    );
    if !faults.is_empty() {
        bail!(
            "{} not as it should be:\n  {}",
            faults.len(),
            faults.join("\n  ")
        );
    }
    eprintln!("{sources} source files ({policy} of policy) and {pages} pages are tidy");
    Ok(())
}

fn tracked(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root)
        .output()
        .context("run git ls-files")?;
    ensure!(
        output.status.success(),
        "git ls-files failed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let names = String::from_utf8(output.stdout).context("a tracked file's name is not UTF-8")?;
    Ok(names
        .split('\0')
        // Those deleted since the last commit are listed too.
        .filter(|name| !name.is_empty() && root.join(name).exists())
        .map(PathBuf::from)
        .collect())
}

fn check_source(file: &Path, text: &str) -> Result<Vec<String>> {
    let name = file.display();
    let mut faults = Vec::new();
    if !text.starts_with("//!") {
        faults.push(format!("{name}: begins without `//!`: say what it is for"));
    }
    let lines = text.lines().count();
    if lines > LONGEST_FILE_LINES {
        faults.push(format!(
            "{name}: {lines} lines, over {LONGEST_FILE_LINES}: split it by question"
        ));
    }
    for attribute in words::attributes(parse(file, text)?) {
        match attribute.as_str() {
            "ignore" => faults.push(format!("{name}: `#[ignore]`: a test runs or goes")),
            "allow" => faults.push(format!(
                "{name}: `#[allow]`: use `#[expect(…, reason = \"…\")]`"
            )),
            _ => {}
        }
    }
    Ok(faults)
}

/// Links of a page to files of this repository must lead somewhere.
fn check_page(root: &Path, file: &Path, text: &str) -> Vec<String> {
    let page = root.join(file);
    let folder = page.parent().unwrap_or(root);
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')').map(|(target, _)| target))
        .map(|target| target.split('#').next().unwrap_or_default())
        .filter(|target| {
            !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:")
        })
        .filter(|target| !folder.join(target).exists())
        .map(|target| format!("{}: the link `{target}` leads nowhere", file.display()))
        .collect()
}

fn parse(file: &Path, text: &str) -> Result<TokenStream> {
    text.parse()
        .map_err(|e| anyhow::anyhow!("{}: cannot be read as Rust: {e}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_test_is_found_at_any_depth() {
        let text = "//! Tests.\nmod tests { #[test] #[ignore = \"slow\"] fn f() {} #[cfg_attr(miri, ignore)] fn g() {} }";
        assert_eq!(check_source(Path::new("a.rs"), text).unwrap().len(), 2);
    }

    #[test]
    fn an_allowed_lint_is_found_at_the_top() {
        let text = "//! X.\n#![allow(unused)]";
        assert_eq!(check_source(Path::new("a.rs"), text).unwrap().len(), 1);
    }

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("there.md"), "").unwrap();
        let page = "[a](there.md#part) [b](https://example.com/x) [c](gone.md)";
        assert_eq!(
            check_page(folder.path(), Path::new("x.md"), page),
            ["x.md: the link `gone.md` leads nowhere"]
        );
    }
}
