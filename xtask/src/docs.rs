//! `cargo xtask docs`: the pages that are made from the programs themselves.

use std::ffi::OsString;

use anyhow::{Result, ensure};

use crate::{bench, test};

/// The tests that make a page each, and hold it to the program: `docs/settings.md`, `docs/commands.md` and
/// `docs/examples.md`.
const PAGES: [&str; 3] = [
    "the_document_of_the_settings_is_current",
    "the_page_of_commands_is_what_the_help_says",
    "the_page_of_examples_is_what_the_commands_print",
];

/// Writes every page that is made from the programs; with `check`, only compares them.
///
/// # Errors
/// Fails when a program cannot be built or, with `check`, when a page is not what it would be.
pub(crate) fn run(check: bool) -> Result<()> {
    performance(check)?;
    let count = test::pages(&PAGES, !check)?;
    ensure!(
        count.all_passed() && count.passed == PAGES.len() as u64,
        "of the tests that make pages, {count}"
    );
    Ok(())
}

/// `docs/performance.md`, from what the bench has left.
///
/// # Errors
/// As [`run`].
pub(crate) fn performance(check: bool) -> Result<()> {
    let arguments = ["page"].into_iter().chain(check.then_some("--check"));
    let arguments: Vec<OsString> = arguments.map(OsString::from).collect();
    ensure!(
        bench::run(&arguments)?,
        "`docs/performance.md` cannot be vouched for, see above"
    );
    Ok(())
}
