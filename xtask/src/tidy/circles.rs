//! The top-level modules of a crate do not import each other in a circle: each can be read, and moved,
//! without those that use it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proc_macro2::TokenStream;

use super::words::{paths, without_tests};

/// The crates whose modules are looked at: the directories of their sources.
const CRATES: &[&str] = &["host-cli/src", "worker/src"];

/// The crate's root, which names every module: who names an item of it is in a circle with all.
const ROOT: &str = "lib";

/// Each module with those that it names.
type Imports = BTreeMap<String, BTreeSet<String>>;

/// The imports of each crate.
#[derive(Debug, Default)]
pub(super) struct Crates(BTreeMap<&'static str, Imports>);

impl Crates {
    /// Adds a source file, where it belongs to one of the crates and is no test.
    pub(super) fn add(&mut self, file: &Path, tokens: TokenStream) {
        let below = |name: &&'static str| Some((*name, file.strip_prefix(name).ok()?));
        let Some((name, below)) = CRATES.iter().find_map(below) else {
            return;
        };
        let is_test = below
            .iter()
            .any(|part| part == "tests.rs" || part == "tests");
        let module = below.iter().next().map(Path::new).and_then(Path::file_stem);
        let Some(module) = module.filter(|module| !is_test && *module != "main") else {
            return;
        };
        let module = module.to_string_lossy().into_owned();
        let paths = paths(without_tests(tokens));
        let named: BTreeSet<String> = if module == ROOT {
            let words: Vec<String> = paths.concat();
            let declared = words.windows(2).filter(|pair| pair[0] == "mod");
            declared.map(|pair| pair[1].clone()).collect()
        } else {
            let own = paths.into_iter().filter(|path| path[0] == "crate");
            own.filter_map(|path| path.into_iter().nth(1)).collect()
        };
        let imports = self.0.entry(name).or_default();
        imports.entry(module).or_default().extend(named);
    }

    /// Every circle, and every crate of which nothing was seen.
    pub(super) fn faults(&self) -> Vec<String> {
        let of = |name: &&str| {
            let Some(imports) = self.0.get(name).filter(|imports| imports.len() > 1) else {
                return Some(format!("{name}: no modules were found to look at"));
            };
            let circle = in_circles(of_the_crate(imports));
            let named = circle.iter().map(|(module, named)| {
                let named: Vec<&str> = named.iter().map(String::as_str).collect();
                format!("{module} -> {}", named.join(", "))
            });
            let named: Vec<String> = named.collect();
            (!named.is_empty()).then(|| {
                let named = named.join("; ");
                format!(
                    "{name}: modules in a circle: {named}: move what both need to where it belongs"
                )
            })
        };
        CRATES.iter().filter_map(of).collect()
    }
}

/// Without modules that are compiled for tests alone, and with the root for items of its own.
fn of_the_crate(imports: &Imports) -> Imports {
    let modules = &imports[ROOT];
    let known = |name: &String| {
        if modules.contains(name) {
            name.clone()
        } else {
            ROOT.to_owned()
        }
    };
    let kept = imports
        .iter()
        .filter(|(module, _)| *module == ROOT || modules.contains(*module));
    kept.map(|(module, named)| (module.clone(), named.iter().map(known).collect()))
        .collect()
}

/// What is left when modules that name no other, or that no other names, are taken away until there are none.
fn in_circles(mut imports: Imports) -> Imports {
    loop {
        let count = imports.len();
        let named: BTreeSet<String> = imports
            .iter()
            .flat_map(|(module, named)| named.iter().filter(move |name| *name != module))
            .cloned()
            .collect();
        imports.retain(|module, _| named.contains(module));
        let left: BTreeSet<String> = imports.keys().cloned().collect();
        for (module, named) in &mut imports {
            named.retain(|name| name != module && left.contains(name));
        }
        imports.retain(|_, named| !named.is_empty());
        if imports.len() == count {
            return imports;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(imports: &[(&str, &[&str])], expected: &[&str]) {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let imports = imports.iter();
        let imports = imports.map(|(module, named)| ((*module).to_owned(), owned(named)));
        let found: Vec<String> = in_circles(imports.collect()).into_keys().collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_circle_is_found_and_a_diamond_is_none() {
        check(
            &[("a", &["b", "c"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])],
            &[],
        );
        check(&[("a", &["a", "b"]), ("b", &["a"])], &["a", "b"]);
        check(
            &[
                ("a", &["b"]),
                ("b", &["c"]),
                ("c", &["b", "d"]),
                ("d", &["e"]),
                ("e", &[]),
            ],
            &["b", "c"],
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
        let expected = "worker/src: modules in a circle: lib -> only; only -> lib";
        let faults = crates.faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].starts_with(expected), "{faults:?}");
        crates.add(
            Path::new("host-cli/src/c.rs"),
            "use crate::a;".parse().unwrap(),
        );
        let expected = "host-cli/src: modules in a circle: a -> b, c; b -> c; c -> a";
        let faults = crates.faults();
        assert!(faults[0].starts_with(expected), "{faults:?}");
    }
}
