//! Whose code is in a WebAssembly that has names: bytes of code by crate, as `wasm-opt` counts them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::tools::Tools;

/// Crates with less code than this, in bytes, are shown together.
const SMALLEST: u64 = 1_500;

/// What code is for, by words in its functions' names.
const PURPOSES: [(&str, &[&str]); 3] = [
    (
        "URLs and IDNA",
        &["url::parser", "url::Url", "idna", "icu_"],
    ),
    ("formatting", &["fmt::", "::fmt"]),
    (
        "panics",
        &["panic", "unwrap_failed", "expect_failed", "_fail"],
    ),
];

/// Bytes of code, by whose it is and by what it is for.
pub(super) struct Code {
    /// The largest crates first; small ones at the end together.
    pub(super) crates: Vec<(String, u64)>,
    /// Of all crates together; what is not linked has none.
    pub(super) purposes: Vec<(&'static str, u64)>,
}

/// Looks at every function.
pub(super) fn of(tools: &Tools, named: &Path) -> Result<Code> {
    let output = Command::new(&tools.wasm_opt)
        .arg("--func-metrics")
        .arg("-Oz")
        .arg(named)
        .env("PATH", tools.path())
        .output()
        .context("cannot run `wasm-opt`")?;
    ensure!(output.status.success(), "`wasm-opt --func-metrics` failed");
    let told = String::from_utf8_lossy(&output.stdout);
    let functions = functions(&told);
    ensure!(!functions.is_empty(), "`wasm-opt` names no function");
    let purposes = PURPOSES.map(|(purpose, words)| (purpose, bytes_of(&functions, words)));
    let (large, small): (Vec<_>, Vec<_>) = by_crate(&functions)
        .into_iter()
        .partition(|(_, bytes)| *bytes >= SMALLEST);
    let mut crates = large;
    crates.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let rest = small.iter().map(|(_, bytes)| bytes).sum();
    crates.push((format!("{} others", small.len()), rest));
    Ok(Code {
        crates,
        purposes: purposes.to_vec(),
    })
}

/// Name and bytes of each function in what `--func-metrics` prints: a line with its name, then its figures.
fn functions(told: &str) -> Vec<(&str, u64)> {
    let mut functions = Vec::new();
    let mut current = None;
    for line in told.lines() {
        if let Some(name) = line.strip_prefix("func: ") {
            current = Some(name);
        } else if let Some(figure) = line.trim_start().strip_prefix("[binary-bytes]")
            && let Some(name) = current.take()
        {
            let bytes = figure.trim_start_matches([' ', ':']).trim();
            functions.push((name, bytes.parse().unwrap_or(0)));
        }
    }
    functions
}

fn by_crate(functions: &[(&str, u64)]) -> BTreeMap<String, u64> {
    let mut by_crate = BTreeMap::new();
    for (name, bytes) in functions {
        *by_crate.entry(crate_of(name)).or_insert(0) += bytes;
    }
    by_crate
}

/// Of the functions whose names have one of the words.
fn bytes_of(functions: &[(&str, u64)], words: &[&str]) -> u64 {
    functions
        .iter()
        .filter(|(name, _)| words.iter().any(|word| name.contains(word)))
        .map(|(_, bytes)| bytes)
        .sum()
}

/// The crate in a function's name: `a_crate::module::function`, `<a_crate::Type as …>::method`,
/// `core::ptr::drop_in_place<a_crate::Type>`.
fn crate_of(name: &str) -> String {
    let name = name
        .replace("\\20", " ")
        .replace("core::ptr::drop_in_place<", "<");
    let start = name.trim_start_matches(['<', '&', '*', ' ']);
    let start = start.strip_prefix("mut ").unwrap_or(start);
    let end = start
        .find(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
        .unwrap_or(start.len());
    let (word, after) = start.split_at(end);
    if after.starts_with("::") || after.starts_with('[') {
        word.to_owned()
    } else {
        "not known".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::{by_crate, bytes_of, crate_of, functions};

    #[track_caller]
    fn check(name: &str, expected: &str) {
        assert_eq!(crate_of(name), expected, "{name}");
    }

    #[test]
    fn a_function_belongs_to_the_crate_that_its_name_begins_with() {
        check("edge_worker::admission::admit::h6ff", "edge_worker");
        check("<core[c593]::fmt::Formatter>::pad", "core");
        check("<&T as core::fmt::Debug>::fmt", "not known");
        check(
            "core::ptr::drop_in_place<edge_worker::site::Site>",
            "edge_worker",
        );
        check("__wbg_r2range_free", "not known");
    }

    #[test]
    fn bytes_are_added_up_by_crate() {
        let told = "global\n [funcs] : 3\nfunc: a::b\n [binary-bytes] : 10   \n [total] : 4\nfunc: c::d\n [binary-bytes] : 1\nfunc: a::e\n [binary-bytes] : 5\n";
        let functions = functions(told);
        let by_crate = by_crate(&functions);
        assert_eq!(by_crate.get("a"), Some(&15));
        assert_eq!(by_crate.get("c"), Some(&1));
        assert_eq!(bytes_of(&functions, &["::b", "::e"]), 15);
        assert_eq!(bytes_of(&functions, &["url::"]), 0);
    }
}
