//! The top-level modules of a crate do not import each other in a circle: each can be read, and moved,
//! without those that use it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// The crates whose modules are looked at: the directories of their sources.
const CRATES: &[&str] = &["host-cli/src", "worker/src"];

/// Each module with those that it names.
pub(super) type Imports = BTreeMap<String, BTreeSet<String>>;

/// The crate's root, which names every module: who names an item of it is in a circle with all.
const ROOT: &str = "lib";

/// The imports of each crate.
#[derive(Debug, Default)]
pub(super) struct Crates(BTreeMap<&'static str, Imports>);

impl Crates {
    /// Adds a source file, where it belongs to one of the crates and is no test.
    pub(super) fn add(&mut self, file: &Path, tokens: TokenStream) {
        let Some((name, below)) = CRATES
            .iter()
            .find_map(|name| Some((*name, file.strip_prefix(name).ok()?)))
        else {
            return;
        };
        let is_test = |part: &Path| matches!(part.to_str(), Some("tests.rs" | "tests"));
        if below == Path::new("main.rs") || below.iter().any(|part| is_test(Path::new(part))) {
            return;
        }
        let first = below.iter().next().map(Path::new);
        let Some(module) = first.and_then(|first| first.file_stem()?.to_str()) else {
            return;
        };
        let named = self.0.entry(name).or_default();
        let named = named.entry(module.to_owned()).or_default();
        if module == ROOT {
            named.extend(declared(tokens));
        } else {
            collect(tokens, named);
        }
    }

    /// Every circle, and every crate of which nothing was seen.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        for name in CRATES {
            let Some(imports) = self.0.get(name).filter(|imports| imports.len() > 1) else {
                faults.push(format!("{name}: no modules were found to look at"));
                continue;
            };
            for circle in circles(&of_the_crate(imports)) {
                faults.push(format!(
                    "{name}: modules in a circle: {}: move what both need to where it belongs",
                    circle.join(" -> ")
                ));
            }
        }
        faults
    }
}

/// Without modules that are compiled for tests alone, and with the root for items of its own.
fn of_the_crate(imports: &Imports) -> Imports {
    let modules = &imports[ROOT];
    let mut found = Imports::new();
    for (module, named) in imports {
        if module == ROOT || modules.contains(module) {
            let known = |name: &String| modules.contains(name).then(|| name.clone());
            let named = named
                .iter()
                .map(|name| known(name).unwrap_or_else(|| ROOT.to_owned()));
            found.insert(module.clone(), named.collect());
        }
    }
    found
}

/// One circle for each module that is in some, as short as can be, its first module repeated at the end.
/// A circle comes once.
pub(super) fn circles(imports: &Imports) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for module in imports.keys() {
        if !seen.contains(module)
            && let Some(circle) = back_to(module, imports)
        {
            seen.extend(circle.iter().cloned());
            found.push(circle);
        }
    }
    found
}

/// The shortest way from a module back to itself over another.
fn back_to(start: &String, imports: &Imports) -> Option<Vec<String>> {
    let mut ways = VecDeque::from([vec![start.clone()]]);
    let mut reached = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        let last = way.last()?;
        for next in imports.get(last).into_iter().flatten() {
            if next == last || next != start && !reached.insert(next.clone()) {
                continue;
            }
            let longer: Vec<String> = way.iter().chain([next]).cloned().collect();
            if next == start {
                return Some(longer);
            }
            ways.push_back(longer);
        }
    }
    None
}

/// Modules that a root declares, but for those of tests.
fn declared(tokens: TokenStream) -> Vec<String> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let mut found = Vec::new();
    for (at, pair) in tokens.windows(2).enumerate() {
        if is_word(&pair[0], "mod")
            && let TokenTree::Ident(name) = &pair[1]
            && !is_for_tests(&tokens[..at])
        {
            found.push(name.to_string());
        }
    }
    found
}

/// Every `X` of `crate::X` and `crate::{X, …}`, but for modules of tests.
fn collect(tokens: TokenStream, named: &mut BTreeSet<String>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    for (at, token) in tokens.iter().enumerate() {
        let after = |more: usize| tokens.get(at + more);
        match token {
            TokenTree::Group(group) => {
                let of_a_module = at >= 2 && is_word(&tokens[at - 2], "mod");
                if !(of_a_module && is_for_tests(&tokens[..at - 2])) {
                    collect(group.stream(), named);
                }
            }
            TokenTree::Ident(word) if word == "crate" && is_colon(after(1)) => match after(3) {
                Some(TokenTree::Ident(name)) => drop(named.insert(name.to_string())),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    let inner: Vec<TokenTree> = group.stream().into_iter().collect();
                    let parts = inner.split(
                        |token| matches!(token, TokenTree::Punct(mark) if mark.as_char() == ','),
                    );
                    let firsts = parts.filter_map(|part| part.first());
                    named.extend(firsts.map(ToString::to_string));
                }
                _ => {}
            },
            _ => {}
        }
    }
}

fn is_word(token: &TokenTree, expected: &str) -> bool {
    matches!(token, TokenTree::Ident(word) if word == expected)
}

fn is_colon(token: Option<&TokenTree>) -> bool {
    matches!(token, Some(TokenTree::Punct(mark)) if mark.as_char() == ':')
}

/// Whether `#[cfg(test)]` stands at the end.
fn is_for_tests(before: &[TokenTree]) -> bool {
    matches!(before, [.., TokenTree::Group(attribute)]
        if attribute.to_string().replace(' ', "") == "[cfg(test)]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(imports: &[(&str, &[&str])], expected: &[&str]) {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let imports = imports
            .iter()
            .map(|(module, named)| ((*module).to_owned(), owned(named)))
            .collect();
        let found: Vec<String> = circles(&imports).iter().map(|way| way.join(" ")).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_circle_is_found_once_and_a_diamond_is_none() {
        check(&[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"])], &[]);
        check(&[("a", &["a", "b"]), ("b", &["a"])], &["a b a"]);
        check(
            &[
                ("a", &["b"]),
                ("b", &["c"]),
                ("c", &["b", "d"]),
                ("d", &["b"]),
            ],
            &["b c b", "d b c d"],
        );
    }

    #[test]
    fn imports_are_read_from_the_words_and_those_of_tests_are_not() {
        let mut crates = Crates::default();
        let mut add = |file: &str, text: &str| {
            crates.add(Path::new(file), text.parse().unwrap());
        };
        add(
            "host-cli/src/lib.rs",
            "mod a; mod b; pub mod c; #[cfg(test)] mod model; use a::X;",
        );
        add("host-cli/src/a.rs", "use crate::{b, c::{D, E}};");
        add(
            "host-cli/src/b/deep.rs",
            "fn f() { crate::c::g() } // crate::a",
        );
        add(
            "host-cli/src/c.rs",
            "#[cfg(test)] mod tests { use crate::a; }",
        );
        add("host-cli/src/c/tests.rs", "use crate::a;");
        add("host-cli/src/model.rs", "use crate::a;");
        add("worker/src/lib.rs", "mod only;");
        add("worker/src/only.rs", "fn f() { crate::of_the_root() }");
        let expected = "worker/src: modules in a circle: lib -> only -> lib";
        let faults = crates.faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(expected), "{faults:?}");
    }
}
