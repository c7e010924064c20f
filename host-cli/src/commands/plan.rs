//! `plan`: reports what a migration would move, cost and take, and changes nothing.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde::Serialize;

use crate::config::with_slash;
use crate::context::Context;
use crate::decide::{Decision, DecisionOptions, decide};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::format::{counted, grouped, human_bytes, human_time};
use crate::interrupt::Interrupt;
use crate::mastodon::{Owner, configured_media_dir};
use crate::pairs::Pair;
use crate::reported::ReportedPaths;
use crate::tree::{self, SkipReason, TreeEntry};

/// Flags of `plan`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Count the files, and estimate costs and time
  medialift plan /home/mastodon/live/public/system

  # The same for a slower upload, as JSON
  medialift plan /home/mastodon/live/public/system --upload-mbit 40 --json

The prices are Backblaze's of November 2026 (https://www.backblaze.com/cloud-storage/pricing); they
change: check that page, and set them with `--price-…`.
Exit codes: 0 everything can be uploaded, 3 some entries cannot (each is named).")]
pub struct PlanArgs {
    /// The media directory [default: `media_dir` of the settings file]
    pub media_dir: Option<PathBuf>,
    /// Prefix of every key: Mastodon's `S3_KEY_PREFIX`
    #[arg(long, value_name = "PREFIX", env = "KEY_PREFIX")]
    pub key_prefix: Option<String>,
    /// Price of storage, USD per TB (10^12 bytes) and 30 days
    #[arg(long, value_name = "USD", default_value_t = 6.95)]
    pub price_storage: f64,
    /// Free storage, GB (10^9 bytes)
    #[arg(long, value_name = "GB", default_value_t = 10.0)]
    pub price_free_storage: f64,
    /// Price of download beyond the free amount, USD per GB
    #[arg(long, value_name = "USD", default_value_t = 0.01)]
    pub price_download: f64,
    /// Price of reading objects, USD per 10,000 requests (class B)
    #[arg(long, value_name = "USD", default_value_t = 0.0)]
    pub price_reads: f64,
    /// Follow links to directories and count the files there, as `sync --follow-links` uploads them
    #[arg(long)]
    pub follow_links: bool,
    /// Upload rate of this machine, Mbit per second
    #[arg(long, value_name = "MBIT", default_value_t = 100.0)]
    pub upload_mbit: f64,
    /// Uploaded files per second, which limits small files
    #[arg(long, value_name = "N", default_value_t = 200.0)]
    pub files_per_second: f64,
}

/// Source and date of the default prices.
const PRICES_FROM: &str = "https://www.backblaze.com/cloud-storage/pricing";
const PRICES_OF: &str = "2026-11-29";

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct Amount {
    files: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct PlanReport {
    media_dir: PathBuf,
    /// `accounts`, `cache/accounts`, `media_attachments` and so on.
    kinds: BTreeMap<String, Amount>,
    total: Amount,
    /// Files that are uploaded in parts.
    larger_than_100_mib: u64,
    prices_from: &'static str,
    prices_of: &'static str,
    storage_usd_per_month: f64,
    /// Price of reading every object once, as `prune` does, without free downloads.
    prune_proof_usd_at_most: f64,
    /// Upload time in seconds, at the given rates.
    upload_seconds: f64,
    /// Entries that cannot be objects.
    refused: ReportedPaths,
    unreadable: ReportedPaths,
    /// Links to directories, which are neither counted nor copied.
    linked_directories: Vec<LinkedDirectory>,
    /// Files that only their owner can read, as Mastodon hides those of suspended accounts.
    hidden: Amount,
    /// Account archives, which anybody who knows the address can read in a public bucket.
    archives: Amount,
}

/// A link to a directory, and the files behind it.
#[derive(Debug, Serialize)]
struct LinkedDirectory {
    /// Path below the media directory.
    path: String,
    /// Target of the link; none where it does not exist.
    target: Option<PathBuf>,
    amount: Amount,
}

/// Runs `plan`.
pub async fn run(args: PlanArgs, context: &Context) -> Result<Exit> {
    let media_dir = configured_media_dir(args.media_dir.as_deref(), &context.file)?;
    for (value, flag) in [
        (args.price_storage, "--price-storage"),
        (args.price_free_storage, "--price-free-storage"),
        (args.price_download, "--price-download"),
        (args.price_reads, "--price-reads"),
        (args.upload_mbit, "--upload-mbit"),
        (args.files_per_second, "--files-per-second"),
    ] {
        let rate = flag == "--upload-mbit" || flag == "--files-per-second";
        if !value.is_finite() || value < 0.0 || (rate && value == 0.0) {
            let least = if rate { "above 0" } else { "of at least 0" };
            return Err(Error::usage(format!("use `{flag} {value}`"))
                .cause(format!("it must be a number {least}"))
                .hint("see `medialift plan --help` for the units"));
        }
    }
    let prefix = args
        .key_prefix
        .as_ref()
        .or(context.file.key_prefix.as_ref());
    let prefix = with_slash(prefix.map_or("", String::as_str));
    let mut interrupt = Interrupt::watch(context.ui, "nothing was changed")?;
    let reading = tokio::task::spawn_blocking(move || {
        Ok::<_, Error>((read(&media_dir, &prefix, &args)?, args))
    });
    let (report, args) = tokio::select! {
        biased;
        () = interrupt.requested() => return Ok(Exit::Interrupted),
        read = reading => read.map_err(|e| Error::new("read the media directory").cause(e))??,
    };
    context.ui.data(&report, report.text(&args));
    let all_fit = report.refused.count == 0 && report.unreadable.count == 0;
    Ok(if all_fit { Exit::Done } else { Exit::Problem })
}

fn read(media_dir: &Path, prefix: &str, args: &PlanArgs) -> Result<PlanReport> {
    let mut report = PlanReport {
        media_dir: media_dir.to_owned(),
        kinds: BTreeMap::new(),
        total: Amount::default(),
        larger_than_100_mib: 0,
        prices_from: PRICES_FROM,
        prices_of: PRICES_OF,
        storage_usd_per_month: 0.0,
        prune_proof_usd_at_most: 0.0,
        upload_seconds: 0.0,
        refused: ReportedPaths::default(),
        unreadable: ReportedPaths::default(),
        linked_directories: Vec::new(),
        hidden: Amount::default(),
        archives: Amount::default(),
    };
    let options = tree::WalkOptions {
        root: media_dir.to_owned(),
        prefix_length: prefix.len(),
        follow_links: args.follow_links,
    };
    for entry in tree::walk(&options)? {
        if let TreeEntry::Skipped(skipped) = &entry
            && skipped.reason == SkipReason::LinkedDirectory
        {
            report
                .linked_directories
                .push(linked_directory(media_dir, &skipped.path));
        }
        report.add(entry);
    }
    let bytes = report.total.bytes as f64;
    let files = report.total.files as f64;
    let paid_bytes = (bytes - args.price_free_storage * 1e9).max(0.0);
    report.storage_usd_per_month = paid_bytes / 1e12 * args.price_storage;
    report.prune_proof_usd_at_most =
        bytes / 1e9 * args.price_download + files / 10_000.0 * args.price_reads;
    report.upload_seconds =
        (bytes * 8.0 / (args.upload_mbit * 1e6)).max(files / args.files_per_second);
    Ok(report)
}

/// Counts the files behind a link to a directory.
fn linked_directory(media_dir: &Path, path: &str) -> LinkedDirectory {
    let path = path.trim_end_matches('/');
    let link = media_dir.join(path);
    let options = tree::WalkOptions {
        root: link.clone(),
        prefix_length: 0,
        follow_links: true,
    };
    let mut amount = Amount::default();
    for entry in tree::walk(&options).into_iter().flatten() {
        if let TreeEntry::File(file) = entry {
            add(&mut amount, file.stamp.size);
        }
    }
    LinkedDirectory {
        path: path.to_owned(),
        target: link.canonicalize().ok(),
        amount,
    }
}

impl PlanReport {
    /// Adds an entry by what a first `sync` to an empty bucket would do with it.
    fn add(&mut self, entry: TreeEntry) {
        let path = entry.path().to_owned();
        let pair = Pair {
            path,
            local: Some(entry),
            object: None,
            recorded: None,
        };
        let decision = decide(&pair, &Owner::Disk, DecisionOptions::default());
        let file = match &pair.local {
            Some(TreeEntry::File(file)) if decision == Decision::Hidden => {
                return add(&mut self.hidden, file.stamp.size);
            }
            Some(TreeEntry::File(file)) => file,
            None => return,
            Some(TreeEntry::Skipped(skipped)) => {
                let reason = match &skipped.detail {
                    Some(detail) => format!("{}: {detail}", skipped.reason),
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
        out.push_str(&self.costs(args));
        out.push_str(&self.links());
        if self.hidden.files > 0 {
            out.push_str(&format!(
                "\nnote: {} by their mode, as Mastodon hides those of suspended accounts; `sync` does not upload them unless `--include-hidden` and their paths are given\n",
                counted(self.hidden.files, "file is hidden", "files are hidden")
            ));
        }
        if self.archives.files > 0 {
            out.push_str(&format!(
                "\nnote: {} in `backups/`, which in a public bucket anybody who knows the address can read\n",
                counted(
                    self.archives.files,
                    "account archive is",
                    "account archives are"
                )
            ));
        }
        for (list, what) in [
            (
                &self.refused,
                "cannot be stored in a bucket and will be skipped by `sync`",
            ),
            (&self.unreadable, "cannot be read by this user"),
        ] {
            if list.count > 0 {
                let entries = counted(list.count, "entry", "entries");
                out.push_str(&format!("\n{entries} {what}:\n{}", list.lines()));
            }
        }
        out
    }

    /// Costs, time, and the caps that the account needs.
    fn costs(&self, args: &PlanArgs) -> String {
        let requests = counted(self.total.files, "request", "requests");
        let bytes = human_bytes(self.total.bytes);
        format!(
            "storage     {:.2} USD for 30 days, at {} USD per TB beyond the first {} GB; uploads are free\n\
             upload      {} at {} Mbit per second and {} files per second\n\
             proof       before `prune` deletes a file, it reads the object: {requests} of class B, {bytes};\n\
             {:12}free up to three times the stored amount per month, beyond that at most {:.2} USD, at {} USD per GB\n\
             caps        an account has daily caps for storage, download and requests (Caps & Alerts): set them\n\
             {:12}above {bytes} and {requests} before `sync`, and before `prune`\n\
             prices      of {PRICES_OF}, from {PRICES_FROM}; set others with `--price-…`\n",
            self.storage_usd_per_month,
            args.price_storage,
            args.price_free_storage,
            human_time(self.upload_seconds),
            args.upload_mbit,
            args.files_per_second,
            "",
            self.prune_proof_usd_at_most,
            args.price_download,
            "",
        )
    }

    /// The links to directories, and what to do.
    fn links(&self) -> String {
        if self.linked_directories.is_empty() {
            return String::new();
        }
        let mut out =
            "\nlinks to directories, neither counted above nor copied by `sync`:\n".to_owned();
        for link in &self.linked_directories {
            let target = match &link.target {
                None => "to a target that does not exist".to_owned(),
                Some(target) => format!(
                    "to `{}`: {}, {}",
                    target.display(),
                    counted(link.amount.files, "file", "files"),
                    human_bytes(link.amount.bytes)
                ),
            };
            out.push_str(&format!("  {} {target}\n", link.path));
        }
        out.push_str(
            "mount the directory in place of the link (`mount --bind`), or give `--follow-links` to each command\n",
        );
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
