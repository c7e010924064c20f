//! `cargo xtask test`: sets up, builds, runs every test, and counts them all.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::ops::AddAssign;
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

/// Suites with hundreds of scenarios before one stack, each a test of its own; to nextest, which runs each test in
/// a process of its own, all of them are one.
const COMPARISONS: &[&str] = &["nginx", "own_nginx", "platform_compared"];

/// Options of `cargo xtask test`.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct TestOptions {
    /// `unit`, `wasm`, `e2e`, or the name of an end-to-end suite such as `nginx`; all without a name
    #[arg(value_name = "WHAT")]
    what: Vec<String>,
    /// Run only tests whose name contains this
    #[arg(long, value_name = "TEXT")]
    only: Option<String>,
}

/// How many tests there were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Count {
    /// Those that passed.
    pub(crate) passed: u64,
    /// Those that failed; a suite that could not run counts as one.
    pub(crate) failed: u64,
    /// Those that are switched off, which is not allowed here.
    pub(crate) ignored: u64,
}

impl Count {
    /// Whether tests ran and all passed.
    #[must_use]
    pub(crate) fn all_passed(self) -> bool {
        self.passed > 0 && self.failed == 0 && self.ignored == 0
    }
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Tests that are switched off are as bad as failed ones.
        let failed = self.failed + self.ignored;
        write!(f, "{} passed, {failed} failed", self.passed)
    }
}

/// Runs what `options` names and says how it went; false when a test failed or none ran.
///
/// # Errors
/// Fails when the tools cannot be had or something does not compile.
pub(crate) fn run(options: &TestOptions) -> Result<bool> {
    let only = options.only.as_deref();
    let is_kind = |what: &str| matches!(what, "unit" | "wasm" | "e2e");
    let named =
        |kind: &str| options.what.is_empty() || options.what.iter().any(|what| what == kind);
    let suites = options.what.iter().map(String::as_str);
    let suites: Vec<&str> = suites.filter(|what| !is_kind(what)).collect();
    let known = suites_of("tests")?;
    for suite in &suites {
        if !known.iter().any(|known| names(suite, known)) {
            bail!(
                "there is no suite `{suite}`\n\nhint: `unit`, `wasm`, `e2e`, or a name from `tests/tests`"
            );
        }
    }
    let mut count = Count::default();
    if named("unit") {
        count += unit(only)?;
    }
    if named("wasm") {
        count += wasm(only)?;
    }
    if named("e2e") {
        count += end_to_end(&[], only)?;
    } else if !suites.is_empty() {
        count += end_to_end(&suites, only)?;
    }
    writeln!(std::io::stdout(), "\n{count}")?;
    if let (0, 0, Some(text)) = (count.passed, count.failed, only) {
        bail!(
            "no test's name contains `{text}`\n\nhint: names are shown as tests run; `--only` takes a part of one"
        );
    }
    Ok(count.all_passed())
}

/// The tests of every package that need nothing but itself.
///
/// # Errors
/// Fails when the runner of tests cannot be had.
pub(crate) fn unit(only: Option<&str>) -> Result<Count> {
    let mut targets = ["--lib", "--bins", "--examples"]
        .map(str::to_owned)
        .to_vec();
    // Those of `tests` are the end-to-end suites.
    for package in members()?.iter().filter(|member| *member != "tests") {
        let suites = suites_of(package)?;
        targets.extend(suites.iter().filter(|suite| *suite != WASM).map(target));
    }
    // The worker's suites have namesakes among the end-to-end tests.
    let filter = "not (package(e2e) and kind(test))";
    nextest("unit", filter, &targets, only, &[])
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
    suite("tests in WebAssembly", command, only)
}

/// The end-to-end tests, all or only some suites, with what they need installed and built.
///
/// # Errors
/// Fails when the tools cannot be had, or a program does not compile.
pub(crate) fn end_to_end(suites: &[&str], only: Option<&str>) -> Result<Count> {
    let tools = setup(Need::WORKER)?;
    // A suite asks for the rest when it runs; before all of them it is got at once.
    if suites.is_empty()
        && let Err(error) = setup(Need::TESTS)
    {
        eprintln!("error: {error:#}\n\ntest: those that need it fail, the others run");
    }
    build::worker(&tools)?;
    build::worker_with_test_hooks(&tools)?;
    build::programs()?;
    let all = suites_of("tests")?;
    let wanted =
        |suite: &&String| suites.is_empty() || suites.iter().any(|name| names(name, suite));
    let (compared, others): (Vec<&String>, Vec<&String>) = all
        .iter()
        .filter(wanted)
        .partition(|suite| only.is_some() && COMPARISONS.contains(&suite.as_str()));
    let mut count = Count::default();
    if !others.is_empty() {
        let targets: Vec<String> = others.into_iter().map(target).collect();
        count += nextest("e2e", "package(e2e)", &targets, only, &[])?;
    }
    if !compared.is_empty() {
        let mut command = build::cargo();
        // Always of the whole workspace: cargo compiles dependencies anew for every other choice of packages.
        command
            .args(["test", "--workspace", "--locked", "--no-fail-fast"])
            .args(compared.into_iter().map(target))
            .current_dir(testkit::root());
        count += suite("comparisons", command, only)?;
    }
    Ok(count)
}

/// Whether `name` stands for `suite`: it is its name, or the beginning of it, as `edge` of `edge_memory`.
fn names(name: &str, suite: &str) -> bool {
    suite
        .strip_prefix(name)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
}

/// These tests, which hold pages to the programs; with `update`, they write the pages first.
///
/// # Errors
/// Fails when the tools cannot be had, or a program does not compile.
pub(crate) fn pages(names: &[&str], update: bool) -> Result<Count> {
    let tools = setup(Need::WORKER)?;
    build::worker(&tools)?;
    build::programs()?;
    let suites = ["settings", "commands", "examples"].map(|suite| format!("--test={suite}"));
    let names: Vec<String> = names.iter().map(|name| format!("test({name})")).collect();
    let update = update.then_some(("UPDATE_DOCS", "1"));
    nextest("e2e", &names.join(" + "), &suites, None, update.as_slice())
}

/// The packages of the workspace, by their directories.
fn members() -> Result<Vec<String>> {
    let manifest = fs::read_to_string(testkit::root().join("Cargo.toml"))?;
    let manifest: toml::Table = toml::from_str(&manifest)?;
    Ok(manifest["workspace"]["members"].clone().try_into()?)
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

/// Runs tests by nextest, each in a process of its own; `profile` is one of `.config/nextest.toml`, `filter`
/// says in nextest's language which tests of `targets`.
fn nextest(
    profile: &str,
    filter: &str,
    targets: &[String],
    only: Option<&str>,
    environment: &[(&str, &str)],
) -> Result<Count> {
    let mut command = build::for_cargo(Command::new(setup::place(Need::Nextest)?));
    command
        .args(["nextest", "run", "--workspace", "--locked"])
        .args(["--no-tests=pass", "--profile", profile])
        .args(["--filterset", filter])
        .args(targets)
        .args(only)
        .envs(environment.iter().copied())
        .current_dir(testkit::root());
    if profile == "e2e" {
        // `.config/nextest.toml` says how many of them a test takes.
        let threads = 3 * std::thread::available_parallelism()?.get();
        command.arg("--test-threads").arg(threads.to_string());
    }
    // Its store is below the root, wherever cargo is told to build.
    let record = testkit::root().join(format!("target/nextest/{profile}/junit.xml"));
    fs::remove_file(&record).ok();
    let name = format!("tests of the profile `{profile}`");
    let mut child = Guarded::spawn_with_streams(&name, command, Path::new("/dev/null"))?;
    let status = child.wait()?;
    // There is none where no test has that name, and where it did not compile.
    let text = fs::read_to_string(&record).ok();
    let (mut count, times) =
        text.map_or_else(|| Ok(Default::default()), |text| junit::read(&text))?;
    let is_missing = count == Count::default() && only.is_none();
    if is_missing || !status.success() && count.failed == 0 {
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

/// Runs `cargo test` or what prints the same, shows that as it comes, and adds up what its suites report.
fn suite(name: &str, mut command: Command, only: Option<&str>) -> Result<Count> {
    if let Some(text) = only {
        command.arg("--").arg(text);
    }
    command.stdout(Stdio::piped());
    let mut child = Guarded::spawn_with_streams(name, command, Path::new("/dev/null"))?;
    let output = child.take_output().context("its output is not ours")?;
    let mut count = Count::default();
    for line in BufReader::new(output).lines() {
        let line = line.with_context(|| format!("cannot read what the {name} print"))?;
        writeln!(std::io::stdout(), "{line}")?;
        count += parse_result(&line).unwrap_or_default();
    }
    let status = child.wait()?;
    if !status.success() && count.failed == 0 {
        // It did not compile, or a suite died without a word.
        eprintln!("error: the {name} did not run to their end ({status})");
        count.failed = 1;
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
    fn no_test_at_all_has_not_passed() {
        let all_passed = |passed, ignored| {
            Count {
                passed,
                failed: 0,
                ignored,
            }
            .all_passed()
        };
        assert!(!all_passed(0, 0));
        assert!(all_passed(1, 0));
        assert!(!all_passed(1, 1));
    }
}
