//! The edge's policy is pure: which paths may stand in it.
//!
//! The roots of paths are allowed by a list, so that what nobody thought of is not: the runtime, its log,
//! the rest of the worker. That nothing asks a clock is a lint's (`worker/clippy.toml`).

use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};

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
    let (mut words, mut paths) = (Vec::new(), Vec::new());
    collect(tokens, &mut words, &mut paths);
    let mut faults: Vec<String> = BANNED_WORDS
        .iter()
        .filter(|banned| words.iter().any(|word| word == *banned))
        .map(|banned| format!("{}: `{banned}`: policy does not wait", file.display()))
        .collect();
    // How often `super` may stand in a row without leaving policy.
    let depth = file
        .strip_prefix("worker/src/policy")
        .map_or(0, |below| below.components().count());
    for path in paths {
        if !is_allowed(&path, modules, depth) {
            let path = path.join("::");
            faults.push(format!("{}: `{path}`: leads out of policy", file.display()));
        }
    }
    faults
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

/// Every identifier, and every path of two words or more. A group at the end of a path, as in
/// `use a::{b, c}`, is as many paths.
fn collect(tokens: TokenStream, words: &mut Vec<String>, paths: &mut Vec<Vec<String>>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut at = 0;
    while at < tokens.len() {
        match &tokens[at] {
            TokenTree::Group(group) => collect(group.stream(), words, paths),
            TokenTree::Ident(first) => {
                let mut path = vec![first.to_string()];
                while let Some(next) = after_colons(&tokens, at + 1) {
                    match next {
                        TokenTree::Ident(word) => path.push(word.to_string()),
                        TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => {
                            let mut inner = Vec::new();
                            collect(group.stream(), &mut inner, &mut Vec::new());
                            paths.extend(inner.iter().map(|word| {
                                let mut whole = path.clone();
                                whole.push(word.clone());
                                whole
                            }));
                            words.extend(inner);
                            path.clear();
                        }
                        _ => break,
                    }
                    at += 3;
                    if path.is_empty() {
                        break;
                    }
                }
                words.extend(path.iter().cloned());
                if path.len() > 1 {
                    paths.push(path);
                }
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        at += 1;
    }
}

/// What follows a `::` that stands at `at`.
fn after_colons(tokens: &[TokenTree], at: usize) -> Option<&TokenTree> {
    let colon =
        |at: usize| matches!(tokens.get(at), Some(TokenTree::Punct(mark)) if mark.as_char() == ':');
    (colon(at) && colon(at + 1)).then(|| tokens.get(at + 2))?
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
        check_line("use std::{fmt, net};", &[&format!("`std::net`: {out}")]);
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
