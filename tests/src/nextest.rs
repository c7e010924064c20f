//! What `.config/nextest.toml` names: nextest says nothing of a test or a suite that is not there.

use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

/// What is in a directory.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap().to_string_lossy().into_owned()
}

/// The suites, and the tests in them, `MODULE::NAME` or `NAME`.
fn suites_and_tests() -> (Vec<String>, Vec<String>) {
    let test = Regex::new(r"#\[test\]\s+(?:#\[[^\n]*\]\s+)*fn (\w+)").unwrap();
    let (mut suites, mut tests) = (Vec::new(), Vec::new());
    for entry in entries(&testkit::root().join("tests/tests")) {
        let (is_suite, files) = match entry.is_dir() {
            true => (entry.join("main.rs").exists(), entries(&entry)),
            false => (true, vec![entry.clone()]),
        };
        if !is_suite {
            continue;
        }
        suites.push(stem(&entry));
        for file in files.iter().filter(|file| file.is_file()) {
            let is_root = *file == entry || file.ends_with("main.rs");
            let module = match is_root {
                true => String::new(),
                false => format!("{}::", stem(file)),
            };
            let text = fs::read_to_string(file).unwrap();
            let names = test.captures_iter(&text).map(|found| found[1].to_owned());
            tests.extend(names.map(|name| format!("{module}{name}")));
        }
    }
    (suites, tests)
}

#[test]
fn every_test_and_suite_that_the_configuration_names_is_there() {
    let text = fs::read_to_string(testkit::root().join(".config/nextest.toml")).unwrap();
    let configuration: toml::Table = toml::from_str(&text).unwrap();
    let profiles = configuration["profile"].as_table().unwrap().values();
    let filters: Vec<&str> = profiles
        .filter_map(|profile| profile.get("overrides")?.as_array())
        .flatten()
        .flat_map(|one| [one.get("filter"), one.get("default-filter")])
        .flatten()
        .map(|filter| filter.as_str().unwrap())
        .collect();
    let (suites, tests) = suites_and_tests();
    let predicate = Regex::new(r"(\w+)\(([=/]?)([^)/]*)/?\)").unwrap();
    let mut kinds = [0; 3];
    for filter in filters {
        for found in predicate.captures_iter(filter) {
            let name = &found[3];
            let (kind, is_there) = match (&found[1], &found[2]) {
                ("binary", "") => (0, suites.iter().any(|suite| suite == name)),
                ("test", "=") => (1, tests.iter().any(|test| test == name)),
                ("test", "/") => {
                    let name = Regex::new(name).unwrap();
                    (2, tests.iter().any(|test| name.is_match(test)))
                }
                _ => panic!("`{}`: a form that is not looked up here", &found[0]),
            };
            assert!(is_there, "`{}` is in no suite of `tests/tests`", &found[0]);
            kinds[kind] += 1;
        }
    }
    assert!(!kinds.contains(&0), "{kinds:?}: too few names were found");
}
