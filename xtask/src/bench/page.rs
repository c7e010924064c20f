//! `docs/performance.md` and its pictures, made from the JSON that the parts have left and from
//! nothing else.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};
use plotters::prelude::*;

use super::Part;
use super::report::{Plot, Report, directory, figure};

/// Where the page stands, from the root.
const PAGE: &str = "docs/performance.md";

const INTRODUCTION: &str = "# Performance

Made by `cargo xtask bench` from the raw rounds in [performance/](performance); do not edit it.

Every contender was measured in the same run on the same machine, in turn, several rounds each; the
tables show medians. Times are of a small shared machine and say nothing by themselves: the targets
are ratios. `cargo xtask bench --check` fails where one is missed.
";

const COLOURS: [RGBColor; 6] = [
    RGBColor(31, 119, 180),
    RGBColor(214, 39, 40),
    RGBColor(44, 160, 44),
    RGBColor(148, 103, 189),
    RGBColor(255, 127, 14),
    RGBColor(90, 90, 90),
];

/// Writes the page and its pictures; with `check`, only compares the page.
///
/// # Errors
/// Fails when a file cannot be read or written, or with `check`, when the page is another.
pub fn write(check: bool) -> Result<()> {
    let mut page = INTRODUCTION.to_owned();
    for part in Part::ALL {
        let path = directory().join(format!("{}.json", part.name()));
        if !path.exists() {
            continue;
        }
        let text = fs::read_to_string(&path)
            .with_context(|| format!("cannot read `{}`", path.display()))?;
        let report: Report = serde_json::from_str(&text)
            .with_context(|| format!("cannot understand `{}`", path.display()))?;
        chapter(&mut page, part, &report)?;
        if !check {
            for plot in &report.plots {
                draw(plot)?;
            }
        }
    }
    let path = crate::root().join(PAGE);
    if fs::read_to_string(&path).is_ok_and(|old| old == page) {
        return Ok(());
    }
    if check {
        bail!(
            "`{PAGE}` is not what its raw rounds say\n\nhint: `cargo xtask docs`, then commit the page"
        );
    }
    fs::write(&path, page).with_context(|| format!("cannot write `{}`", path.display()))
}

fn chapter(page: &mut String, part: Part, report: &Report) -> Result<()> {
    write!(
        page,
        "\n## {}\n\n`cargo xtask bench {}`\n",
        part.title(),
        part.name()
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
    table(page, report)?;
    for plot in &report.plots {
        write!(page, "\n![{}](performance/{}.svg)\n", plot.title, plot.name)?;
    }
    Ok(())
}

/// A line for each case and contender, a column for each quantity.
fn table(page: &mut String, report: &Report) -> Result<()> {
    let mut quantities: Vec<&str> = Vec::new();
    let mut lines: Vec<(&str, &str)> = Vec::new();
    for series in &report.series {
        if !quantities.contains(&series.quantity.as_str()) {
            quantities.push(&series.quantity);
        }
        if !lines.contains(&(&series.case, &series.who)) {
            lines.push((&series.case, &series.who));
        }
    }
    if lines.is_empty() {
        return Ok(());
    }
    // Cases stay together, in the order in which they first come.
    let mut cases: Vec<&str> = Vec::new();
    for (case, _) in &lines {
        if !cases.contains(case) {
            cases.push(case);
        }
    }
    write!(page, "\n| | |")?;
    for quantity in &quantities {
        write!(page, " {quantity} |")?;
    }
    write!(page, "\n|---|---|{}\n", "---:|".repeat(quantities.len()))?;
    for case in cases {
        for (_, who) in lines.iter().filter(|(of, _)| *of == case) {
            write!(page, "| {case} | {who} |")?;
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
    }
    Ok(())
}

/// Draws a plot as `docs/performance/NAME.svg`.
fn draw(plot: &Plot) -> Result<()> {
    let path: PathBuf = directory().join(format!("{}.svg", plot.name));
    let points = || plot.lines.iter().flat_map(|(_, points)| points);
    let (mut from, mut to, mut top) = (f64::INFINITY, 0.0_f64, 0.0_f64);
    for (x, y) in points() {
        from = from.min(*x);
        to = to.max(*x);
        top = top.max(*y);
    }
    if !(from > 0.0 && from < to) {
        bail!("the plot `{}` has too few points", plot.name);
    }
    draw_lines(plot, &path, from..to, top * 1.15)
        .map_err(|error| anyhow!("cannot draw `{}`: {error}", path.display()))
}

fn draw_lines(
    plot: &Plot,
    path: &std::path::Path,
    across: std::ops::Range<f64>,
    top: f64,
) -> Result<(), Box<dyn std::error::Error>> {
    let area = SVGBackend::new(path, (800, 420)).into_drawing_area();
    area.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&area)
        .caption(&plot.title, ("sans-serif", 18))
        .margin(14)
        .x_label_area_size(44)
        .y_label_area_size(64)
        .build_cartesian_2d(across.log_scale(), 0.0..top)?;
    chart
        .configure_mesh()
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
        .border_style(BLACK.mix(0.3))
        .background_style(WHITE.mix(0.8))
        .draw()?;
    area.present()?;
    Ok(())
}
