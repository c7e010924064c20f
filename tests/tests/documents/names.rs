//! Files, tests and items that the documents name are there: `worker/src/gateway.rs`, `gateway.rs`,
//! `tests/tests/prune/entries.rs::links_are_neither_followed_nor_deleted`, `…::another_test_of_that_file`,
//! `Engine::read`, `e2e::medialift::command`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use regex::Regex;

use super::pages;

const FOLDERS: [&str; 6] = ["worker", "host-cli", "xtask", "tests", "docs", "deploy"];
/// Placeholders for a name of the reader's choice.
const CHOSEN: &str = "NAME.rs";

#[test]
fn every_file_and_every_test_that_a_page_names_is_there() -> Result<()> {
    let root = testkit::root();
    let mut files = Vec::new();
    for folder in FOLDERS {
        below(&root.join(folder), &mut files)?;
    }
    let source = Regex::new(r"^(…|[\w/.-]+\.rs)(?:::(\w+))?$")?;
    let place = Regex::new(&format!(r"^({})/[\w./-]*$", FOLDERS.join("|")))?;
    for (name, page) in pages()? {
        let mut last = PathBuf::new();
        for (line, code) in &page.spans {
            if code.ends_with(CHOSEN) {
                continue;
            }
            let at = || format!("{name}:{line}: `{code}` is not there");
            if let Some(parts) = source.captures(code) {
                if &parts[1] != "…" {
                    last = PathBuf::from(&parts[1]);
                }
                let mut found = files.iter().filter(|file| file.ends_with(&last)).peekable();
                ensure!(found.peek().is_some(), at());
                if let Some(test) = parts.get(2) {
                    let function = format!("fn {}(", test.as_str());
                    let mut texts = found.map(fs::read_to_string);
                    ensure!(
                        texts.any(|text| text.is_ok_and(|text| text.contains(&function))),
                        at()
                    );
                }
            } else if place.is_match(code) {
                ensure!(root.join(code).exists(), at());
            }
        }
    }
    Ok(())
}

#[test]
fn every_item_that_a_page_names_is_there() -> Result<()> {
    let root = testkit::root();
    let mut sources = Vec::new();
    for folder in FOLDERS {
        let mut files = Vec::new();
        below(&root.join(folder), &mut files)?;
        for file in files {
            if file.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&file)?;
                sources.push((file.strip_prefix(root)?.to_owned(), text));
            }
        }
    }
    let path = Regex::new(r"^(?:\w+::)*(\w+)::(\w+)\b")?;
    let mut checked = 0;
    for (name, page) in pages()? {
        for (line, code) in &page.spans {
            let Some(parts) = path.captures(code) else {
                continue;
            };
            checked += 1;
            ensure!(
                is_defined(&parts[1], &parts[2], &sources)?,
                "{name}:{line}: `{code}` is not there"
            );
        }
    }
    ensure!(checked > 10, "only {checked} items were found");
    Ok(())
}

/// Whether an item is defined in a file that implements the type `parent`, or in that of the module `parent` or
/// below it.
fn is_defined(parent: &str, item: &str, sources: &[(PathBuf, String)]) -> Result<bool> {
    let definition = Regex::new(&format!(r"\b(fn|struct|enum|trait|const|static) {item}\b"))?;
    let implementation = Regex::new(&format!(
        r"(?m)^\s*(pub(\(\w+\))? )?(impl|trait)\b.*\b{parent}\b"
    ))?;
    let is_type = parent.starts_with(char::is_uppercase);
    Ok(sources.iter().any(|(file, text)| {
        let is_of_parent = if is_type {
            implementation.is_match(text)
        } else {
            file.with_extension("").iter().any(|part| part == parent)
        };
        is_of_parent && definition.is_match(text)
    }))
}

pub(super) fn below(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("list `{}`", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        // What is built, and packages of npm.
        if entry.file_type()?.is_dir() {
            if name != "target" && name != "build" && name != "node_modules" {
                below(&entry.path(), files)?;
            }
        } else {
            files.push(entry.path());
        }
    }
    Ok(())
}
