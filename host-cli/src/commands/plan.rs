//! `plan`: what a migration would move, cost and take, before anything is touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use super::media_dir;
use crate::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::named::NamedPaths;
use crate::tree::{self, Entry, SkipReason};
use crate::words::{counted, grouped, human_bytes, human_time};

/// Flags of `plan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
    medialift plan /home/mastodon/live/public/system
    medialift plan /home/mastodon/live/public/system --upload-mbit 40 --json

Prices are flags because they change: look at the service's price list. Exit codes: 0 everything
can be uploaded, 3 some entries cannot (each is named).")]
pub struct PlanArgs {
    /// The media directory [default: `media_dir` of the configuration]
    pub media_dir: Option<PathBuf>,
    /// What comes before every key: Mastodon's `S3_KEY_PREFIX`
    #[arg(long, value_name = "PREFIX", env = "KEY_PREFIX")]
    pub key_prefix: Option<String>,
    /// Storage, USD for a TB (10^12 bytes) a month
    #[arg(long, value_name = "USD", default_value_t = 6.0)]
    pub storage_price: f64,
    /// Reading objects, USD for 10,000 requests (class B)
    #[arg(long, value_name = "USD", default_value_t = 0.004)]
    pub read_price: f64,
    /// Requests of class B that are free each day
    #[arg(long, value_name = "N", default_value_t = 2_500)]
    pub free_reads: u64,
    /// Upload rate of this machine, Mbit a second
    #[arg(long, value_name = "MBIT", default_value_t = 100.0)]
    pub upload_mbit: f64,
    /// Files a second, which bounds many small ones
    #[arg(long, value_name = "N", default_value_t = 200.0)]
    pub files_per_second: f64,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Amount {
    files: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    media_dir: PathBuf,
    /// `accounts`, `cache/accounts`, `media_attachments` and so on.
    kinds: BTreeMap<String, Amount>,
    total: Amount,
    /// Files of which the bucket takes more than one request.
    larger_than_100_mib: u64,
    storage_usd_per_month: f64,
    /// Reading every object back once, as `prune` does.
    prune_proof_usd: f64,
    /// Seconds, at the given rates.
    upload_seconds: f64,
    /// What the bucket would refuse, or cannot hold.
    refused: NamedPaths,
    unreadable: NamedPaths,
    /// Account archives, which a public bucket shows to whoever has the URL.
    archives: Amount,
}

/// Runs `plan`.
pub async fn run(args: PlanArgs, context: &Context) -> Result<Exit> {
    let media_dir = media_dir(args.media_dir.as_deref(), context)?;
    for (value, flag) in [
        (args.storage_price, "--storage-price"),
        (args.read_price, "--read-price"),
        (args.upload_mbit, "--upload-mbit"),
        (args.files_per_second, "--files-per-second"),
    ] {
        let rate = flag == "--upload-mbit" || flag == "--files-per-second";
        if !value.is_finite() || value < 0.0 || (rate && value == 0.0) {
            return Err(Error::usage(format!("use `{flag} {value}`"))
                .cause("it must be a number above 0")
                .hint("`medialift plan --help` tells the units"));
        }
    }
    let prefix = args
        .key_prefix
        .as_ref()
        .or(context.file.key_prefix.as_ref());
    let prefix = prefix.map_or("", |p| p.trim_matches('/'));
    let prefix = if prefix.is_empty() {
        String::new()
    } else {
        format!("{prefix}/")
    };
    let report = read(&media_dir, &prefix, &args)?;
    context.ui.data(&report, report.text(&args));
    let all_fit = report.refused.count == 0 && report.unreadable.count == 0;
    Ok(if all_fit { Exit::Done } else { Exit::Problem })
}

fn read(media_dir: &Path, prefix: &str, args: &PlanArgs) -> Result<Report> {
    let mut report = Report {
        media_dir: media_dir.to_owned(),
        kinds: BTreeMap::new(),
        total: Amount::default(),
        larger_than_100_mib: 0,
        storage_usd_per_month: 0.0,
        prune_proof_usd: 0.0,
        upload_seconds: 0.0,
        refused: NamedPaths::default(),
        unreadable: NamedPaths::default(),
        archives: Amount::default(),
    };
    let options = tree::Options {
        root: media_dir.to_owned(),
        prefix_length: prefix.len(),
        follow_links: false,
    };
    for entry in tree::walk(&options)? {
        report.add(&entry);
    }
    let bytes = report.total.bytes as f64;
    let files = report.total.files as f64;
    report.storage_usd_per_month = bytes / 1e12 * args.storage_price;
    let paid_reads = report.total.files.saturating_sub(args.free_reads) as f64;
    report.prune_proof_usd = paid_reads / 10_000.0 * args.read_price;
    report.upload_seconds =
        (bytes * 8.0 / (args.upload_mbit * 1e6)).max(files / args.files_per_second);
    Ok(report)
}

impl Report {
    fn add(&mut self, entry: &Entry) {
        let file = match entry {
            Entry::File(file) => file,
            Entry::Skipped(skipped) => {
                let reason = match &skipped.detail {
                    Some(said) => format!("{}: {said}", skipped.reason),
                    None => skipped.reason.to_string(),
                };
                let list = match skipped.reason {
                    SkipReason::Unreadable | SkipReason::UnreadableDirectory => {
                        &mut self.unreadable
                    }
                    _ => &mut self.refused,
                };
                return list.add(&skipped.path, reason);
            }
        };
        let size = file.stamp.size;
        let kind = kind_of(file.path.as_bytes());
        if kind == "backups" {
            add(&mut self.archives, size);
        }
        add(self.kinds.entry(kind).or_default(), size);
        add(&mut self.total, size);
        if size > 100 << 20 {
            self.larger_than_100_mib += 1;
        }
    }

    fn text(&self, args: &PlanArgs) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_header(["kind", "files", "bytes"]);
        let mut row = |name: &str, amount: &Amount| {
            table.add_row([
                name.to_owned(),
                grouped(amount.files),
                human_bytes(amount.bytes),
            ]);
        };
        for (kind, amount) in &self.kinds {
            row(kind, amount);
        }
        row("total", &self.total);
        for index in [1, 2] {
            if let Some(column) = table.column_mut(index) {
                column.set_cell_alignment(CellAlignment::Right);
            }
        }
        let table: String = table
            .lines()
            .map(|line| format!("{}\n", line.trim_end()))
            .collect();
        let mut out = format!("{}\n\n{table}\n", self.media_dir.display());
        out.push_str(&format!(
            "storage     {:.2} USD a month at {} USD a TB; uploading is free\n",
            self.storage_usd_per_month, args.storage_price
        ));
        out.push_str(&format!(
            "upload      {} at {} Mbit a second and {} files a second\n",
            human_time(self.upload_seconds),
            args.upload_mbit,
            args.files_per_second
        ));
        out.push_str(&format!(
            "proof       {:.2} USD once, for reading every object back before `prune` deletes a file\n",
            self.prune_proof_usd
        ));
        if self.archives.files > 0 {
            out.push_str(&format!(
                "\nnote: {} in `backups/`, which a public bucket shows to whoever has the URL\n",
                counted(
                    self.archives.files,
                    "account archive lies",
                    "account archives lie"
                )
            ));
        }
        for (list, what) in [
            (&self.refused, "cannot be in the bucket and will be skipped"),
            (&self.unreadable, "cannot be read by this user"),
        ] {
            if list.count > 0 {
                out.push_str(&format!("\n{} {what}:\n{}", list.count, list.lines()));
            }
        }
        out
    }
}

fn add(amount: &mut Amount, size: u64) {
    amount.files += 1;
    amount.bytes += size;
}

/// Mastodon's class of a path: its first directory, and under `cache/` the second too.
fn kind_of(path: &[u8]) -> String {
    let text = String::from_utf8_lossy(path);
    let parts: Vec<&str> = text.split('/').collect();
    match parts.as_slice() {
        [_] => "(top level)".to_owned(),
        ["cache", class, _, ..] => format!("cache/{class}"),
        [class, ..] => (*class).to_owned(),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_mastodons_classes() {
        assert_eq!(kind_of(b"accounts/avatars/1/a.png"), "accounts");
        assert_eq!(kind_of(b"cache/accounts/avatars/1/a.png"), "cache/accounts");
        assert_eq!(kind_of(b"robots.txt"), "(top level)");
        assert_eq!(kind_of(b"cache/x"), "cache");
    }
}
