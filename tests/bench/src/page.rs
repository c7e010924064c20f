//! `docs/performance.md`, made from the JSON that the parts have left and from nothing else.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::Part;
use super::report::{Report, Spread, directory, figure};

/// Where the page stands, from the root.
const PAGE: &str = "docs/performance.md";

const HINT: &str = "hint: `cargo xtask docs`, then commit the page and `docs/performance`";

const INTRODUCTION: &str = "# Performance

Made by `cargo xtask bench` from the raw rounds in [performance/](performance); do not edit it.

Every contender was measured in the same run on the same machine, in turn; who goes first changes from round
to round. The tables show the median of the rounds and, in brackets, the least, the greatest and the number of
rounds; what has no rounds, such as a size, stands alone. Times are of a small shared machine and say nothing by
themselves: time targets are ratios of medians, at the edge the median of the rounds' ratios.
`cargo xtask bench --check` fails where one is missed. What was tried before is in
[decision 4](decisions/0004-speed.md).
";

/// Writes the page of the parts that have been measured; with `check`, only compares it.
///
/// # Errors
/// Fails when a file cannot be read or written, or with `check`, when the page is another or a part is missing.
pub(crate) fn write(check: bool) -> Result<()> {
    write_at(&testkit::root().join(PAGE), &directory(), check)
}

/// As [`write()`], of the page at `path` and the files in `directory`.
fn write_at(path: &Path, directory: &Path, check: bool) -> Result<()> {
    let chapters = load(directory, check)?;
    if chapters.is_empty() {
        return Ok(());
    }
    let page = page(&chapters)?;
    if fs::read_to_string(path).is_ok_and(|old| old == page) {
        return Ok(());
    }
    if check {
        bail!("`{PAGE}` is not what its raw rounds say\n\n{HINT}");
    }
    fs::write(path, page).with_context(|| format!("cannot write `{}`", path.display()))
}

/// What the parts have left, in the order of the page; with `whole`, every part must have.
fn load(directory: &Path, whole: bool) -> Result<Vec<(Part, Report)>> {
    let mut chapters = Vec::new();
    for part in Part::ALL {
        let path = directory.join(format!("{}.json", part.name()));
        if !path.exists() {
            let name = part.name();
            ensure!(
                !whole,
                "`docs/performance/{name}.json` is missing\n\nhint: `cargo xtask bench {name}`"
            );
            continue;
        }
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let report = serde_json::from_str(&text)
            .with_context(|| format!("cannot understand `{}`", path.display()))?;
        chapters.push((part, report));
    }
    Ok(chapters)
}

fn page(chapters: &[(Part, Report)]) -> Result<String> {
    let mut page = INTRODUCTION.to_owned();
    for (part, report) in chapters {
        chapter(&mut page, *part, report)?;
    }
    Ok(page)
}

/// One part's chapter.
///
/// # Errors
/// None in practice: it is written into memory.
pub(crate) fn chapter(page: &mut String, part: Part, report: &Report) -> Result<()> {
    write!(
        page,
        "\n## {}\n\n`cargo xtask bench {}`, on a machine with {} processors\n",
        part.title(),
        part.name(),
        report.processors
    )?;
    writeln!(page, "\n{}", report.run)?;
    for note in &report.notes {
        write!(page, "\n{note}\n")?;
    }
    if !report.targets.is_empty() {
        write!(
            page,
            "\n| target | bound | measured | |\n|---|---|---|---|\n"
        )?;
    }
    for target in &report.targets {
        let word = if target.is_reached() {
            "reached"
        } else {
            "**missed**"
        };
        writeln!(
            page,
            "| {} | {} | {} | {word} |",
            target.name,
            target.bound,
            figure(target.value)
        )?;
    }
    tables(page, report)?;
    Ok(())
}

/// A line for each case and contender, a column for each quantity; cases in a row of which the same
/// was measured share a table.
fn tables(page: &mut String, report: &Report) -> Result<()> {
    let mut before: Vec<&str> = Vec::new();
    for case in distinct(report.series.iter().map(|series| &*series.case)) {
        let of_case = || report.series.iter().filter(|series| series.case == case);
        let quantities = distinct(of_case().map(|series| &*series.quantity));
        if quantities != before {
            write!(page, "\n| case | who |")?;
            for quantity in &quantities {
                write!(page, " {quantity} |")?;
            }
            write!(page, "\n|---|---|{}\n", "---:|".repeat(quantities.len()))?;
        }
        let mut case_cell = case;
        for who in distinct(of_case().map(|series| &*series.who)) {
            write!(page, "| {case_cell} | {who} |")?;
            // Told once.
            case_cell = "";
            for quantity in &quantities {
                match Spread::of(report.rounds(case, who, quantity)) {
                    Some(spread) => write!(page, " {spread} |")?,
                    None => write!(page, " |")?,
                }
            }
            writeln!(page)?;
        }
        before = quantities;
    }
    Ok(())
}

/// Each of them once, in the order in which they first come.
fn distinct<'a>(words: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut all = Vec::new();
    for word in words {
        if !all.contains(&word) {
            all.push(word);
        }
    }
    all
}

#[cfg(test)]
mod tests;
