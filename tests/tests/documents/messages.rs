//! Each message in the first column of `docs/troubleshooting.md` is one that a program of this repository prints.
//! A message is code with a space that is no command; codes of one word are S3's and the names of findings.

use std::ffi::OsStr;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use e2e::script::read;
use regex::Regex;

use super::commands;
use super::machine::page;
use super::names::below;

const PAGE: &str = "docs/troubleshooting.md";
const SOURCES: [&str; 4] = ["host-cli/src", "worker/src", "worker/examples", "xtask/src"];

/// Messages with values of an example, and what stands for them in the source.
const FORMATTED: &[(&str, &str)] = &[
    (
        "neither B2_APPLICATION_KEY_ID nor B2_APPLICATION_KEY is set",
        "neither {KEY_ID} nor {KEY} is set",
    ),
    (
        "other users can read it: its mode is 0644",
        "other users can read it: its mode is {:04o}",
    ),
    ("the key lacks listAllBucketNames, …", "the key lacks {}"),
    (
        "the bucket is private, and should be public",
        "the bucket is {is}, and should be {meant}",
    ),
    ("the service answered 507", "the service answered {status}"),
    (
        "system_ exists, and was not created by a cutover",
        "{} exists, and was not created by a cutover",
    ),
    (
        "objects are in the bucket and not on the disk",
        "{objects} in the bucket and not on the disk",
    ),
    (
        "files that Mastodon has deleted in the bucket are still on the disk",
        "files that Mastodon has deleted in the bucket are",
    ),
    (
        "error: 3 things are missing or wrong, nothing was uploaded",
        "error: {count} missing or wrong, nothing was uploaded",
    ),
    (
        "headers of the bucket are sent: x-amz-version-id",
        "headers of the bucket are sent: {}",
    ),
];

/// Messages of others, with whose they are.
const OF_OTHERS: &[(&str, &str)] = &[
    ("Malformed Access Key Id", "Backblaze's S3 API"),
    ("The key '…' is not valid", "Backblaze's S3 API"),
    ("unknown field …, expected one of …", "the crate serde"),
    ("cannot load certificate", "nginx"),
    ("host not found in upstream", "nginx"),
    ("\"listen … http2\" directive is deprecated", "nginx"),
];

#[test]
fn every_message_that_troubleshooting_names_is_one_that_a_program_prints() -> Result<()> {
    let printed = printed()?;
    let mut unused: Vec<&str> = (FORMATTED.iter().chain(OF_OTHERS))
        .map(|(message, _)| *message)
        .collect();
    for (number, line) in page(PAGE)?.lines().enumerate() {
        let Some((cell, _)) = line
            .strip_prefix("| ")
            .and_then(|row| row.split_once(" | "))
        else {
            continue;
        };
        let cell = read(cell)?;
        let commands = commands(&cell)?;
        for (at, code) in &cell.spans {
            if !code.contains(' ') || commands.contains(&(*at, code.as_str())) {
                continue;
            }
            let message = code.replace('`', "");
            unused.retain(|used| *used != message);
            if OF_OTHERS.iter().any(|(other, _)| *other == message) {
                continue;
            }
            let formatted = FORMATTED.iter().find(|(example, _)| *example == message);
            let literal = formatted.map_or(message.as_str(), |(_, literal)| *literal);
            let is_printed = literal
                .split('…')
                .map(|part| part.trim_matches([' ', ':', ',']))
                .all(|part| printed.contains(part));
            ensure!(
                is_printed,
                "{PAGE}:{}: nothing prints `{message}`",
                number + 1
            );
        }
    }
    ensure!(unused.is_empty(), "{PAGE} has no longer: {unused:#?}");
    Ok(())
}

/// The sources of programs without comments and unit tests: literals in one line, without escapes and backquotes.
fn printed() -> Result<String> {
    let mut text = String::new();
    for folder in SOURCES {
        let mut files = Vec::new();
        let root = testkit::root().join(folder);
        below(&root, &mut files)?;
        let is_test = |part: &OsStr| part == "tests" || part == "tests.rs";
        files.retain(|file| {
            let inner = file.strip_prefix(&root);
            inner.is_ok_and(|inner| !inner.iter().any(is_test))
        });
        ensure!(!files.is_empty(), "no sources in `{folder}`");
        for file in files {
            let source =
                fs::read_to_string(&file).with_context(|| format!("read `{}`", file.display()))?;
            let (program, _) = source
                .split_once("#[cfg(test)]\nmod ")
                .unwrap_or((&source, ""));
            for line in program
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
            {
                text += line;
                text += "\n";
            }
        }
    }
    let continued = Regex::new(r"\\\n\s*")?;
    Ok(continued
        .replace_all(&text, "")
        .replace("\\\"", "\"")
        .replace('`', ""))
}
