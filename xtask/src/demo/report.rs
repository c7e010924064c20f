//! The demonstration's result, for people and for programs.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::client::Client;
use super::readback::Readback;
use testkit::build::Size;
use testkit::progress;
use testkit::upload::Upload;

/// How many problems are shown one by one.
const SHOWN_PROBLEMS: usize = 20;

/// All that the demonstration found. Times are in seconds.
#[derive(Serialize)]
pub(crate) struct Report {
    ok: bool,
    seconds: f64,
    seconds_to_prepare: f64,
    worker_bytes: u64,
    worker_bytes_gzipped: u64,
    upload: UploadReport,
    read: ReadReport,
    /// The path of the file that the client looked at.
    pub(crate) example: Option<String>,
    client: Vec<SightReport>,
    headers_stripped: Vec<String>,
    headers_set: Vec<String>,
    pub(crate) problems: Vec<String>,
}

#[derive(Serialize)]
struct UploadReport {
    seconds: f64,
    put_requests: u64,
    some_skipped: bool,
    summary: serde_json::Value,
}

#[derive(Serialize)]
struct ReadReport {
    good: bool,
    seconds: f64,
    files: usize,
    denied: usize,
    bytes: u64,
    first_read: BTreeMap<String, u64>,
    second_read: BTreeMap<String, u64>,
    content_types: BTreeMap<String, u64>,
    not_uploadable: BTreeMap<&'static str, u64>,
}

#[derive(Serialize)]
struct SightReport {
    request: &'static str,
    status: u16,
    cache_status: String,
    milliseconds: f64,
    note: String,
    ok: bool,
}

impl Report {
    pub(crate) fn new(
        time: Duration,
        prepared: Duration,
        size: Size,
        upload: Upload,
        readback: &Readback,
        client: Client,
    ) -> Self {
        let mut problems = readback.problems.clone();
        let read: usize = readback.files.iter().filter(|file| !file.denied).count();
        let misses = readback.first.get("MISS").copied().unwrap_or(0);
        let hits = readback.second.get("HIT").copied().unwrap_or(0);
        let warm = client.warmed;
        if problems.is_empty() && (misses + warm != read as u64 || hits != read as u64) {
            problems.push(format!(
                "of {read} files, {warm} of them read before, {misses} were MISS on the first read and {hits} \
                 were HIT on the second"
            ));
        }
        let bytes_and_types_good = problems.is_empty();
        let skipped = readback.not_uploadable.values().sum::<u64>();
        if upload.partly != (skipped > 0) {
            problems.push(format!(
                "`medialift sync` {} files, but {skipped} of the tree cannot be uploaded",
                if upload.partly {
                    "skipped"
                } else {
                    "skipped no"
                }
            ));
        }
        problems.extend(client.problems);
        Self {
            ok: problems.is_empty(),
            seconds: time.as_secs_f64(),
            seconds_to_prepare: prepared.as_secs_f64(),
            worker_bytes: size.plain,
            worker_bytes_gzipped: size.gzipped,
            upload: UploadReport {
                seconds: upload.time.as_secs_f64(),
                put_requests: upload.put_requests,
                some_skipped: upload.partly,
                summary: upload.summary,
            },
            read: ReadReport {
                good: bytes_and_types_good,
                seconds: readback.time.as_secs_f64(),
                files: read,
                denied: readback.files.len() - read,
                bytes: readback.bytes,
                first_read: readback.first.clone(),
                second_read: readback.second.clone(),
                content_types: readback.types.clone(),
                not_uploadable: readback.not_uploadable.clone(),
            },
            example: client.url_path,
            client: client
                .sights
                .into_iter()
                .map(|sight| SightReport {
                    request: sight.what,
                    status: sight.status,
                    cache_status: sight.cache,
                    milliseconds: sight.time.as_secs_f64() * 1000.0,
                    note: sight.note,
                    ok: sight.problem.is_none(),
                })
                .collect(),
            headers_stripped: client.stripped,
            headers_set: client.added,
            problems,
        }
    }
}

/// Prints the report as one JSON document.
pub(crate) fn print_json(report: &Report) -> Result<()> {
    let mut output = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut output, report)?;
    writeln!(output)?;
    Ok(())
}

/// Prints the report for a person.
pub(crate) fn print_text(report: &Report) -> Result<()> {
    let mut output = std::io::stdout().lock();
    let read = &report.read;
    let seconds = |value: f64| progress::duration(Duration::from_secs_f64(value));

    writeln!(
        output,
        "\nThe way of {} files, {} kB\n",
        read.files,
        read.bytes.div_ceil(1000)
    )?;
    let mut table = table(&["step", "result", "time"]);
    table.add_row(vec![
        "medialift sync".to_owned(),
        format!(
            "{} uploads counted by the origin",
            report.upload.put_requests
        ),
        seconds(report.upload.seconds),
    ]);
    table.add_row(vec![
        "read back, twice".to_owned(),
        format!(
            "first {}; second {}; bytes and types {}",
            counts(&read.first_read),
            counts(&read.second_read),
            if read.good {
                "as uploaded"
            } else {
                "see the problems below"
            }
        ),
        seconds(read.seconds),
    ]);
    if read.denied > 0 {
        table.add_row(vec![
            "account archives".to_owned(),
            format!("{} refused with 403", read.denied),
            String::new(),
        ]);
    }
    if !read.not_uploadable.is_empty() {
        let reasons: Vec<String> = read
            .not_uploadable
            .iter()
            .map(|(reason, n)| format!("{n} {reason}"))
            .collect();
        table.add_row(vec![
            "left out".to_owned(),
            reasons.join(", "),
            String::new(),
        ]);
    }
    table.add_row(vec![
        "edge worker".to_owned(),
        format!(
            "{} kB, {} kB gzipped",
            report.worker_bytes.div_ceil(1000),
            report.worker_bytes_gzipped.div_ceil(1000)
        ),
        String::new(),
    ]);
    writeln!(output, "{table}")?;

    let types: Vec<String> = read
        .content_types
        .iter()
        .map(|(name, n)| format!("{n} {name}"))
        .collect();
    writeln!(output, "types: {}\n", types.join(", "))?;

    if let Some(example) = &report.example {
        writeln!(output, "What a client sees of {example}\n")?;
        let mut table = self::table(&["request", "status", "cache", "ms", ""]);
        for sight in &report.client {
            table.add_row(vec![
                sight.request.to_owned(),
                sight.status.to_string(),
                if sight.cache_status.is_empty() {
                    "-".to_owned()
                } else {
                    sight.cache_status.clone()
                },
                format!("{:.1}", sight.milliseconds),
                if sight.ok {
                    sight.note.clone()
                } else {
                    format!("WRONG: {}", sight.note)
                },
            ]);
        }
        for number in [1, 3] {
            if let Some(column) = table.column_mut(number) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        writeln!(output, "{table}")?;
        writeln!(
            output,
            "headers of the bucket that were stripped: {}",
            report.headers_stripped.join(", ")
        )?;
        writeln!(output, "headers that the edge set:")?;
        for header in &report.headers_set {
            writeln!(output, "  {header}")?;
        }
    }
    if report.ok {
        writeln!(
            output,
            "\nAll is as it should be: every object came back through the edge with its own bytes and type."
        )?;
        return Ok(());
    }
    writeln!(output, "\nNot as it should be ({}):", report.problems.len())?;
    for problem in report.problems.iter().take(SHOWN_PROBLEMS) {
        writeln!(output, "  {problem}")?;
    }
    if report.problems.len() > SHOWN_PROBLEMS {
        writeln!(
            output,
            "  and {} more; `--json` lists them all",
            report.problems.len() - SHOWN_PROBLEMS
        )?;
    }
    Ok(())
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_FULL_CONDENSED)
        .set_header(header);
    table
}

fn counts(states: &BTreeMap<String, u64>) -> String {
    let parts: Vec<String> = states
        .iter()
        .map(|(state, n)| {
            format!(
                "{n} {}",
                if state.is_empty() {
                    "without a cache status"
                } else {
                    state
                }
            )
        })
        .collect();
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    }
}
