//! `cargo xtask test`: sets up, builds, runs every test, and counts them all.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use testkit::build;
use testkit::process::Guarded;
use testkit::setup::{self, Need, setup};

mod junit;

/// The worker's suite that runs as WebAssembly alone.
const WASM: &str = "wasm";

/// How many of the slowest tests are named.
const SLOWEST: usize = 10;

/// Suites with hundreds of scenarios before one stack, each a test of its own: they run in one process.
const COMPARISONS: &[&str] = &["nginx", "own_nginx", "platform_compared"];

/// What somebody wants to test.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct TestOptions {
    /// `unit`, `wasm`, `e2e`, or the name of an end-to-end suite such as `nginx`; all without a name
    #[arg(value_name = "WHAT")]
    pub(crate) what: Vec<String>,
    /// Run only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    pub(crate) only: Option<String>,
}

/// How many tests there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Those that passed.
    pub(crate) passed: u64,
    /// Those that failed; a suite that could not run counts as one.
    pub(crate) failed: u64,
    /// Those that somebody switched off, which is not allowed here.
    pub(crate) ignored: u64,
}

impl Count {
    /// Whether tests ran and all passed.
    #[must_use]
    pub(crate) fn good(self) -> bool {
        self.passed > 0 && self.failed == 0 && self.ignored == 0
    }

    /// The two counts together.
    #[must_use]
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            passed: self.passed + other.passed,
            failed: self.failed + other.failed,
            ignored: self.ignored + other.ignored,
        }
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Tests that are switched off are as bad as failed ones.
        write!(
            f,
            "{} passed, {} failed",
            self.passed,
            self.failed + self.ignored
        )
    }
}

/// Runs what `options` names and says how it went; false when a test failed or none ran.
///
/// # Errors
/// Fails when the tools cannot be had or something does not compile.
pub(crate) fn run(options: &TestOptions) -> Result<bool> {
    let all = options.what.is_empty();
    let named = |name: &str| options.what.iter().any(|what| what == name);
    let suites: Vec<&str> = options
        .what
        .iter()
        .map(String::as_str)
        .filter(|what| !matches!(*what, "unit" | "wasm" | "e2e"))
        .collect();
    let known = suites_of("tests")?;
    for suite in &suites {
        if !known.iter().any(|known| names(suite, known)) {
            bail!(
                "there is no suite `{suite}`\n\nhint: `unit`, `wasm`, `e2e`, or a name from `tests/tests`"
            );
        }
    }
    let mut count = Count::default();
    if all || named("unit") {
        count = count.and(unit(options.only.as_deref())?);
    }
    if all || named("wasm") {
        count = count.and(wasm(options.only.as_deref())?);
    }
    if all || named("e2e") {
        count = count.and(end_to_end(&[], options.only.as_deref())?);
    } else if !suites.is_empty() {
        count = count.and(end_to_end(&suites, options.only.as_deref())?);
    }
    let mut output = std::io::stdout().lock();
    writeln!(output, "\n{count}")?;
    if let (0, 0, Some(text)) = (count.passed, count.failed, &options.only) {
        bail!(
            "no test's name contains `{text}`\n\nhint: names are shown as tests run; `--only` takes a part of one"
        );
    }
    Ok(count.good())
}

/// The tests of every package that need nothing but itself.
///
/// # Errors
/// Fails when the runner of tests cannot be had.
pub(crate) fn unit(only: Option<&str>) -> Result<Count> {
    let mut targets = vec!["--lib".to_owned(), "--bins".to_owned()];
    for package in [
        "worker",
        "host-cli",
        "xtask",
        "tests/kit",
        "tests/bench",
        "tests/origin",
    ] {
        let suites = suites_of(package)?;
        targets.extend(suites.iter().filter(|suite| *suite != WASM).map(target));
    }
    // The worker's suites have namesakes among the end-to-end tests.
    nextest("unit", "not (package(e2e) and kind(test))", &targets, only)
}

/// The tests of the worker that run as WebAssembly, in Node.js.
///
/// # Errors
/// Fails when the tools cannot be had.
pub(crate) fn wasm(only: Option<&str>) -> Result<Count> {
    let tools = setup(Need::WASM_TESTS)?;
    let mut command = tools.wasm_pack()?;
    command
        .args(["test", "--node", "--mode", "no-install", "worker"])
        .args(["--locked", "--test", "wasm"]);
    counted("tests in WebAssembly", command, only)
}

/// The end-to-end tests, all or only some suites, with what they need installed and built.
///
/// # Errors
/// Fails when the tools cannot be had, or a program does not compile.
pub(crate) fn end_to_end(suites: &[&str], only: Option<&str>) -> Result<Count> {
    // A suite of its own asks for the rest when it runs; before all of them it is got at once.
    let needs = match suites {
        [] => Need::TESTS,
        _ => Need::WORKER,
    };
    let tools = setup(needs)?;
    build::worker(&tools)?;
    build::worker_with_test_hooks(&tools)?;
    build::programs()?;
    let all = suites_of("tests")?;
    let wanted =
        |suite: &&String| suites.is_empty() || suites.iter().any(|name| names(name, suite));
    let (comparisons, others): (Vec<&String>, Vec<&String>) = all
        .iter()
        .filter(wanted)
        .partition(|suite| COMPARISONS.contains(&suite.as_str()));
    let mut count = Count::default();
    if !others.is_empty() {
        let targets: Vec<String> = others.into_iter().map(target).collect();
        count = count.and(nextest("e2e", "package(e2e)", &targets, only)?);
    }
    if !comparisons.is_empty() {
        let mut command = cargo_test();
        command.args(comparisons.into_iter().map(target));
        count = count.and(counted("comparisons", command, only)?);
    }
    Ok(count)
}

/// Whether `name` stands for `suite`: it is its name, or the beginning of it, as `edge` of `edge_memory`.
fn names(name: &str, suite: &str) -> bool {
    suite
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// The tests that hold pages to the programs; with `update`, they write the pages first.
///
/// # Errors
/// Fails when the tools cannot be had, or a program does not compile.
pub(crate) fn pages(update: bool) -> Result<Count> {
    let tools = setup(Need::WORKER)?;
    build::worker(&tools)?;
    build::programs()?;
    let mut command = cargo_test();
    command.args(["--test", "settings", "--test", "examples", "--"]);
    command.args([
        "the_document_of_the_settings_is_current",
        "the_page_of_examples_is_what_the_commands_print",
    ]);
    if update {
        command.env("UPDATE_DOCS", "1");
    }
    counted("tests of pages", command, None)
}

/// The names of the suites in the directory `tests` of a package; none where it has no such directory.
fn suites_of(package: &str) -> Result<Vec<String>> {
    let folder = testkit::root().join(package).join("tests");
    let mut suites = Vec::new();
    if !folder.is_dir() {
        return Ok(suites);
    }
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        let is_suite =
            path.extension().is_some_and(|ending| ending == "rs") || path.join("main.rs").exists();
        if let Some(name) = path.file_stem().filter(|_| is_suite) {
            suites.push(name.to_string_lossy().into_owned());
        }
    }
    suites.sort();
    Ok(suites)
}

fn target(suite: &String) -> String {
    format!("--test={suite}")
}

/// Always of the whole workspace: cargo compiles dependencies anew for every other choice of packages.
fn cargo_test() -> Command {
    let mut command = build::cargo();
    command
        .args(["test", "--workspace", "--locked", "--no-fail-fast"])
        .current_dir(testkit::root());
    command
}

/// Runs tests by nextest, each in a process of its own; `profile` is one of `.config/nextest.toml`, `filter`
/// says in nextest's language which tests of `targets`.
fn nextest(profile: &str, filter: &str, targets: &[String], only: Option<&str>) -> Result<Count> {
    let mut command = build::without_package(Command::new(setup::place(Need::Nextest)?));
    command
        .args(["nextest", "run", "--workspace", "--locked"])
        .args(["--no-tests=pass", "--profile", profile])
        .args(["--filterset", filter])
        .args(targets)
        .args(only)
        .current_dir(testkit::root());
    // Its store is below the root, wherever cargo is told to build.
    let record = testkit::root().join(format!("target/nextest/{profile}/junit.xml"));
    fs::remove_file(&record).ok();
    let name = format!("tests of the profile `{profile}`");
    let mut child = Guarded::spawn_with_streams(&name, command, Path::new("/dev/null"))?;
    let status = child.wait()?;
    let Ok(text) = fs::read_to_string(&record) else {
        // No test has that name, or it did not compile.
        let failed = u64::from(!status.success() || only.is_none());
        return Ok(Count {
            failed,
            ..Count::default()
        });
    };
    let (mut count, times) = junit::read(&text)?;
    if !status.success() && count.failed == 0 {
        eprintln!("error: the {name} did not run to their end ({status})");
        count.failed = 1;
    }
    if only.is_none() {
        for (name, time) in times.iter().take(SLOWEST) {
            eprintln!("  {time:7.1} s  {name}");
        }
    }
    Ok(count)
}

/// Runs `cargo test`, shows what it prints as it comes, and adds up what its suites report.
fn counted(name: &str, mut command: Command, only: Option<&str>) -> Result<Count> {
    if let Some(text) = only {
        command.arg("--").arg(text);
    }
    command.stdout(Stdio::piped());
    let mut child = Guarded::spawn_with_streams(name, command, Path::new("/dev/null"))?;
    let output = child.take_output().context("cargo's output is not ours")?;
    let mut count = Count::default();
    for line in BufReader::new(output).split(b'\n') {
        let line = line.with_context(|| format!("cannot read what the {name} print"))?;
        let mut shown = std::io::stdout().lock();
        shown.write_all(&line)?;
        shown.write_all(b"\n")?;
        if let Some(suite) = parse_result(&String::from_utf8_lossy(&line)) {
            count = count.and(suite);
        }
    }
    let status = child.wait()?;
    if !status.success() && count.failed == 0 {
        // It did not compile, or a suite died without a word.
        eprintln!("error: the {name} did not run to their end ({status})");
        count.failed = 1;
    }
    if count.ignored > 0 {
        eprintln!(
            "error: {} tests are switched off with `#[ignore]`",
            count.ignored
        );
    }
    Ok(count)
}

/// What a suite's last line says.
fn parse_result(line: &str) -> Option<Count> {
    let (_, numbers) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let number = |name: &str| {
        numbers
            .split(';')
            .find_map(|part| part.trim().strip_suffix(name))
            .and_then(|number| number.trim().parse().ok())
            .unwrap_or(0)
    };
    Some(Count {
        passed: number(" passed"),
        failed: number(" failed"),
        ignored: number(" ignored"),
    })
}

#[cfg(test)]
mod tests {
    use super::{Count, parse_result};

    #[track_caller]
    fn check(line: &str, expected: Option<(u64, u64, u64)>) {
        let got = parse_result(line).map(|count| (count.passed, count.failed, count.ignored));
        assert_eq!(got, expected, "{line}");
    }

    #[test]
    fn a_suites_last_line_is_counted() {
        let line = "test result: ok. 12 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out; finished in 0.1s";
        check(line, Some((12, 0, 1)));
        let line = "test result: FAILED. 0 passed; 7 failed; 0 ignored; 0 measured; 0 filtered out";
        check(line, Some((0, 7, 0)));
        check("test policy::range ... ok", None);
    }

    #[test]
    fn no_test_at_all_is_not_good() {
        assert!(!Count::default().good());
        assert!(
            Count {
                passed: 1,
                ..Count::default()
            }
            .good()
        );
        assert!(
            !Count {
                passed: 1,
                failed: 0,
                ignored: 1
            }
            .good()
        );
    }
}
