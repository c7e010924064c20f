//! The edge's policy is pure: which paths may stand in it.
//!
//! The roots of paths are allowed by a list, so that what nobody thought of is not: the runtime, its log,
//! the rest of the worker. That nothing asks a clock is a lint's (`worker/clippy.toml`).

use std::path::{Path, PathBuf};

use proc_macro2::TokenStream;

use super::words::paths;

/// Policy decides, it does not wait.
const BANNED_WORDS: &[&str] = &["async", "await"];

/// What of the standard library policy may name: values, text and lists.
const STD_MODULES: &[&str] = &["cmp", "collections", "fmt", "iter", "ops", "str", "time"];

/// Crates that it may name, the one module of `http` that is named by itself, and the linter in attributes.
const CRATES: &[&str] = &[
    "clippy", "header", "hex", "http", "httpdate", "postcard", "serde",
];

const PRIMITIVES: &[&str] = &[
    "bool", "char", "i64", "str", "u16", "u32", "u64", "u8", "usize",
];

/// Whether a file belongs to policy.
pub(super) fn is_part(file: &Path) -> bool {
    file.starts_with("worker/src/policy") || file == Path::new("worker/src/policy.rs")
}

/// The names of policy's own modules.
pub(super) fn modules(files: &[PathBuf]) -> Vec<String> {
    let stems = files.iter().filter(|file| is_part(file));
    stems
        .filter_map(|file| Some(file.file_stem()?.to_str()?.to_owned()))
        .collect()
}

/// What must not stand in a file of policy.
pub(super) fn check(file: &Path, tokens: TokenStream, modules: &[String]) -> Vec<String> {
    let paths = paths(tokens);
    let banned = |word: &&&str| paths.iter().flatten().any(|found| found == **word);
    let waits = BANNED_WORDS.iter().filter(banned);
    let waits = waits.map(|word| format!("{}: `{word}`: policy does not wait", file.display()));
    // How often `super` may stand in a row without leaving policy.
    let depth = file
        .strip_prefix("worker/src/policy")
        .map_or(0, |below| below.components().count());
    let out = paths
        .iter()
        .filter(|path| path.len() > 1 && !is_allowed(path, modules, depth));
    let out = out.map(|path| {
        format!(
            "{}: `{}`: leads out of policy",
            file.display(),
            path.join("::")
        )
    });
    waits.chain(out).collect()
}

fn is_allowed(path: &[String], modules: &[String], depth: usize) -> bool {
    let root = path[0].as_str();
    let second = path[1].as_str();
    match root {
        "std" | "core" => STD_MODULES.contains(&second),
        "crate" => second == "policy",
        "super" => path.iter().take_while(|word| *word == "super").count() <= depth,
        "self" => second != "super",
        _ => {
            root.starts_with(char::is_uppercase)
                || PRIMITIVES.contains(&root)
                || CRATES.contains(&root)
                || modules.iter().any(|module| module == root)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_line(line: &str, expected: &[&str]) {
        let file = Path::new("worker/src/policy/x.rs");
        let modules = ["headers".to_owned()];
        let faults = check(file, line.parse().unwrap(), &modules);
        let expected: Vec<String> = expected
            .iter()
            .map(|fault| format!("worker/src/policy/x.rs: {fault}"))
            .collect();
        assert_eq!(faults, expected, "{line}");
    }

    #[test]
    fn waiting_is_found_and_a_word_in_a_comment_or_a_text_is_not() {
        check_line(
            "// async\nfn f() { g(\"await\"); h().await }",
            &["`await`: policy does not wait"],
        );
    }

    #[test]
    fn a_path_that_leads_out_is_found() {
        let out = "leads out of policy";
        for path in [
            "crate::runtime::now",
            "crate::store::find",
            "worker::console_log",
            "js_sys::Date",
            "super::super::runtime::now",
            "std::thread::park",
            "std::env::var",
            "chrono::now",
        ] {
            check_line(
                &format!("fn f() {{ {path}() }}"),
                &[&format!("`{path}`: {out}")],
            );
        }
        check_line(
            "use std::{fmt as f, iter::{self, Map}, net};",
            &[&format!("`std::net`: {out}")],
        );
    }

    #[test]
    fn a_path_that_stays_is_not() {
        check_line("use super::headers::Found; use std::ops::Range;", &[]);
        check_line(
            "fn f() -> u64 { headers::length(u64::MAX, Self::X, httpdate::parse()) }",
            &[],
        );
    }
}
