//! `cargo xtask docs`: the pages that are made from the programs themselves.

use std::ffi::OsString;
use std::fmt::Write;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use testkit::build;
use testkit::stack::binary;

use crate::{bench, test};

/// Where the reference of the command stands, from the root.
const PAGE: &str = "docs/commands.md";

/// Writes every page that is made from the programs; with `check`, only compares them.
///
/// # Errors
/// Fails when a program cannot be built or, with `check`, when a page is not what it would be.
pub(crate) fn run(check: bool) -> Result<()> {
    of_programs(check)?;
    let count = test::pages(!check)?;
    // `docs/settings.md` and `docs/examples.md`.
    ensure!(
        count.good() && count.passed == 2,
        "of the tests that make pages, {count}"
    );
    Ok(())
}

/// `docs/commands.md` from the command's own help, `docs/performance.md` from what the bench has left.
/// The other two, `docs/settings.md` and `docs/examples.md`, are made by tests.
///
/// # Errors
/// As [`run`].
pub(crate) fn of_programs(check: bool) -> Result<()> {
    let page: &[&str] = if check {
        &["page", "--check"]
    } else {
        &["page"]
    };
    ensure!(
        bench::run(&page.iter().map(OsString::from).collect::<Vec<_>>())?,
        "`docs/performance.md` cannot be vouched for, see above"
    );
    build::programs()?;
    let page = commands_page()?;
    let path = testkit::root().join(PAGE);
    if fs::read_to_string(&path).is_ok_and(|old| old == page) {
        return Ok(());
    }
    if check {
        bail!(
            "`{PAGE}` is not what the command's help says\n\nhint: `cargo xtask docs`, then commit the page"
        );
    }
    fs::write(&path, page).with_context(|| format!("cannot write `{}`", path.display()))?;
    eprintln!("docs: wrote `{PAGE}`");
    Ok(())
}

fn commands_page() -> Result<String> {
    let overview = help(&[])?;
    let mut page = String::from(
        "# Commands\n\nMade from `medialift help` by `cargo xtask docs`; do not edit it.\n",
    );
    write!(page, "\n```text\n{}\n```\n", overview.trim_end())?;
    let commands = overview
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // A name stands two columns in; what wraps stands further.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help");
    for name in commands {
        write!(
            page,
            "\n## medialift {name}\n\n```text\n{}\n```\n",
            help(&[name])?.trim_end()
        )?;
    }
    Ok(page)
}

fn help(command: &[&str]) -> Result<String> {
    let mut child = Command::new(binary("medialift")?);
    // The help shows what variables hold, so none of ours may be set.
    child
        .args(command)
        .arg("--help")
        .env_clear()
        .env("NO_COLOR", "1")
        .stdin(Stdio::null());
    let output = child.output().context("cannot run `medialift --help`")?;
    if !output.status.success() {
        bail!(
            "`medialift --help` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let text = String::from_utf8(output.stdout).context("the help is not UTF-8")?;
    Ok(text
        .lines()
        .map(str::trim_end)
        .collect::<Vec<_>>()
        .join("\n"))
}
