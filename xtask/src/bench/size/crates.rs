//! Whose code is in a WebAssembly that has names: bytes of code by crate, as `wasm-opt` counts them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::build::steps::FEATURES;
use crate::tools::Tools;

/// Crates with less code than this, in bytes, are shown together.
const SMALLEST: u64 = 1_500;

/// Bytes of code by crate, the largest first; small ones at the end together.
pub(super) fn of(tools: &Tools, named: &Path) -> Result<Vec<(String, u64)>> {
    let output = Command::new(&tools.wasm_opt)
        .arg("--func-metrics")
        .args(FEATURES)
        .arg(named)
        .env("PATH", tools.path())
        .output()
        .context("cannot run `wasm-opt`")?;
    ensure!(output.status.success(), "`wasm-opt --func-metrics` failed");
    let by_crate = count(&String::from_utf8_lossy(&output.stdout));
    ensure!(!by_crate.is_empty(), "`wasm-opt` names no function");
    let (large, small): (Vec<_>, Vec<_>) = by_crate
        .into_iter()
        .partition(|(_, bytes)| *bytes >= SMALLEST);
    let mut shown = large;
    shown.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let rest = small.iter().map(|(_, bytes)| bytes).sum();
    shown.push((format!("{} others", small.len()), rest));
    Ok(shown)
}

/// Adds up what `--func-metrics` prints: a line with a function's name, then its figures.
fn count(told: &str) -> BTreeMap<String, u64> {
    let mut by_crate = BTreeMap::new();
    let mut current = None;
    for line in told.lines() {
        if let Some(name) = line.strip_prefix("func: ") {
            current = Some(crate_of(name));
        } else if let Some(figure) = line.trim_start().strip_prefix("[binary-bytes]")
            && let Some(name) = current.take()
        {
            let bytes = figure.trim_start_matches([' ', ':']).trim();
            *by_crate.entry(name).or_insert(0) += bytes.parse().unwrap_or(0);
        }
    }
    by_crate
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
    use super::{count, crate_of};

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
        let by_crate = count(told);
        assert_eq!(by_crate.get("a"), Some(&15));
        assert_eq!(by_crate.get("c"), Some(&1));
    }
}
