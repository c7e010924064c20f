//! `docs/performance.md` and its pictures, made from the JSON that the parts have left and from
//! nothing else.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, anyhow, bail};
use plotters::prelude::*;

use super::Part;
use super::report::{Plot, Report, directory, figure};

/// Where the page stands, from the root.
const PAGE: &str = "docs/performance.md";

const HINT: &str = "hint: `cargo xtask docs`, then commit the page and `docs/performance`";

const INTRODUCTION: &str = "# Performance

Made by `cargo xtask bench` from the raw rounds in [performance/](performance); do not edit it.

Every contender was measured in the same run on the same machine, in turn, in several rounds but where
a chapter says otherwise; the tables show medians. Times are of a small shared machine and say nothing by
themselves: what of the targets has to do with time is a ratio of medians, at the edge the median of the
rounds' ratios. `cargo xtask bench --check` fails where one is missed.
";

const COLOURS: [RGBColor; 6] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(148, 103, 189),
    RGBColor(255, 127, 14),
    RGBColor(90, 90, 90),
];

/// Writes the page and its pictures; with `check`, only compares the page and looks for the
/// pictures. Where no part has been measured there is nothing to write.
///
/// # Errors
/// Fails when a file cannot be read or written, or with `check`, when the page is another or lacks
/// a picture.
pub(crate) fn write(check: bool) -> Result<()> {
    write_at(&testkit::root().join(PAGE), &directory(), check)
}

/// As [`write()`], of the page at `path` and the files in `directory`.
fn write_at(path: &Path, directory: &Path, check: bool) -> Result<()> {
    let chapters = load(directory)?;
    if chapters.is_empty() {
        return Ok(());
    }
    for plot in chapters.iter().flat_map(|(_, report)| &report.plots) {
        let picture = directory.join(format!("{}.svg", plot.name));
        if !check {
            draw(plot, &picture)?;
        } else if !picture.is_file() {
            bail!(
                "`{PAGE}` shows `{}`, which is not there\n\n{HINT}",
                picture.display()
            );
        }
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

/// What the parts have left, in the order of the page.
fn load(directory: &Path) -> Result<Vec<(Part, Report)>> {
    let mut chapters = Vec::new();
    for part in Part::ALL {
        let path = directory.join(format!("{}.json", part.name()));
        if !path.exists() {
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

fn chapter(page: &mut String, part: Part, report: &Report) -> Result<()> {
    write!(
        page,
        "\n## {}\n\n`cargo xtask bench {}`, on a machine with {} processors\n",
        part.title(),
        part.name(),
        report.processors
    )?;
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
    for plot in &report.plots {
        write!(page, "\n![{}](performance/{}.svg)\n", plot.title, plot.name)?;
    }
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
                let value = report.median(case, who, quantity);
                if value.is_nan() {
                    write!(page, " |")?;
                } else {
                    write!(page, " {} |", figure(value))?;
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

/// Draws a plot into a file of SVG.
fn draw(plot: &Plot, path: &Path) -> Result<()> {
    let points = || plot.lines.iter().flat_map(|(_, points)| points);
    let (mut from, mut to, mut top) = (f64::INFINITY, 0.0_f64, 0.0_f64);
    for (x, y) in points() {
        from = from.min(*x);
        to = to.max(*x);
        top = top.max(*y);
    }
    if !(from > 0.0 && from < to && top > 0.0) {
        bail!("the plot `{}` has too few points", plot.name);
    }
    // The lines' names stand above the highest of them.
    let above = 1.1 + 0.07 * plot.lines.len() as f64;
    draw_lines(plot, path, from..to, top * above)
        .map_err(|error| anyhow!("cannot draw `{}`: {error}", path.display()))
}

fn draw_lines(
    plot: &Plot,
    path: &Path,
    across: std::ops::Range<f64>,
    top: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, (800, 420)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(&plot.title, ("sans-serif", 18))
        .margin(14)
        // Half of the last number stands past the end of the scale.
        .margin_right(44)
        .x_label_area_size(50)
        .y_label_area_size(76)
        .build_cartesian_2d(across.log_scale(), 0.0..top)?;
    chart
        .configure_mesh()
        .bold_line_style(BLACK.mix(0.12))
        .light_line_style(TRANSPARENT)
        .label_style(("sans-serif", 13))
        .axis_desc_style(("sans-serif", 14))
        .x_desc(&plot.x)
        .y_desc(&plot.y)
        .x_label_formatter(&|x| figure(*x))
        .y_label_formatter(&|y| figure(*y))
        .draw()?;
    for ((name, points), colour) in plot.lines.iter().zip(COLOURS.iter().cycle()) {
        chart
            .draw_series(
                LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3),
            )?
            .label(name)
            .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .label_font(("sans-serif", 13))
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    area.present()?;
    Ok(())
}

#[cfg(test)]
mod tests;
