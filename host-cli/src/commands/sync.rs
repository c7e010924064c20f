//! `sync`: one-way copy of the media directory into the bucket.

use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;

use crate::config::{Target, TargetArgs};
use crate::context::Context;
use crate::decide::{Compare, DecisionOptions};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::filter::Filter;
use crate::guards::{may_delete_after, may_overwrite, may_sync, may_sync_delete};
use crate::identity::Identity;
use crate::interrupt::Interrupt;
use crate::journal::Journal;
use crate::ledger::{self, Ledger};
use crate::mastodon::{Owner, configured_media_dir};
use crate::s3::{Client, Retry};
use crate::sync::{self, Guard, Ownership, OwnershipCheck, SyncOptions};
use crate::upload::MultipartOptions;
use crate::{pairs, tree};

/// A little below the limit of a new account, 500 requests a second.
const BACKBLAZE_RATE: f64 = 450.0;

/// Headings of the help.
const SELECTION: &str = "Selection";
const DELETION: &str = "Deletion";
const REQUESTS: &str = "Requests";

/// Flags of `sync`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Upload all files while the instance runs; the same command uploads new files later
  medialift sync /home/mastodon/live/public/system --bucket example-social-media \\
      --endpoint s3.us-west-004.backblazeb2.com --key-file b2.key

Once Mastodon keeps its media in the bucket, an object that differs from its local file is not
overwritten, and a file whose object Mastodon has deleted is not uploaded again.

Exit codes: 0 every file is in the bucket, 1 the run failed, 2 wrong usage, 4 some files failed,
were skipped or left (each is named), 130 interrupted: run the command again to continue.")]
pub struct SyncArgs {
    /// The media directory: Mastodon's `public/system` [default: `media_dir` of the settings file]
    pub media_dir: Option<PathBuf>,
    /// Report what would be done, and change nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Compare only the sizes of file and object
    #[arg(long, conflicts_with = "checksum")]
    pub size_only: bool,
    /// Read every file and compare its digest, instead of using the digests in the journal
    #[arg(long)]
    pub checksum: bool,
    /// Only paths that match this glob (`**/*.png`); may be repeated
    #[arg(long, value_name = "GLOB", help_heading = SELECTION)]
    pub include: Vec<String>,
    /// No paths that match this glob (`cache/**`); may be repeated
    #[arg(long, value_name = "GLOB", help_heading = SELECTION)]
    pub exclude: Vec<String>,
    /// Only the paths in this file, one per line, relative to the media directory; `-` is standard input
    #[arg(long, value_name = "FILE", help_heading = SELECTION)]
    pub files_from: Option<PathBuf>,
    /// Follow links to directories, also out of the media directory
    #[arg(long, help_heading = SELECTION)]
    pub follow_links: bool,
    /// Upload files that Mastodon has hidden (mode 0600, suspended accounts), which are not hidden in the
    /// bucket; needs `--include` or `--files-from`
    #[arg(long, help_heading = SELECTION)]
    pub include_hidden: bool,
    /// Replace objects that differ and were not uploaded by medialift
    #[arg(long)]
    pub replace: bool,
    /// Upload files that the bucket lacks although no journal shows whether Mastodon deleted them there
    #[arg(long)]
    pub send_unrecorded: bool,
    /// No Mastodon uses this directory: upload whatever the bucket lacks
    #[arg(long)]
    pub not_mastodon: bool,
    /// Delete objects whose local file was deleted, if the journal has a record of the file (the bucket
    /// keeps old versions)
    #[arg(long, conflicts_with = "files_from", help_heading = DELETION)]
    pub delete: bool,
    /// Delete nothing if more objects than this would be deleted [default: 1000, and at most a tenth of
    /// all objects]
    #[arg(long, value_name = "N", help_heading = DELETION)]
    pub max_delete: Option<u64>,
    /// Maximum number of concurrent uploads; the number is lower while the service refuses requests
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least_one, help_heading = REQUESTS)]
    pub concurrency: usize,
    /// Maximum number of requests per second [default: 450 at Backblaze, no limit elsewhere]
    #[arg(long, value_name = "N", value_parser = positive, help_heading = REQUESTS)]
    pub max_rate: Option<f64>,
    /// Maximum number of bytes per second: `10MB`, `512KiB`
    #[arg(long, value_name = "SIZE", value_parser = size, help_heading = REQUESTS)]
    pub bwlimit: Option<ByteSize>,
    /// Least size of files that are uploaded in parts; such an upload is resumed after an interruption
    #[arg(long, value_name = "SIZE", default_value = "100MiB", value_parser = size, help_heading = REQUESTS)]
    pub multipart_from: ByteSize,
    /// Size of a part, from 5 MiB to 5 GiB
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = part_size, help_heading = REQUESTS)]
    pub part_size: ByteSize,
    /// How long to retry a failing request, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 180, help_heading = REQUESTS)]
    pub retry_for: u64,
    /// How long to wait for the network during an outage, in seconds [default: no limit]
    #[arg(long, value_name = "SECONDS", help_heading = REQUESTS)]
    pub give_up_after: Option<u64>,
    /// Read the whole listing into memory and sort it, for services that do not list in key order
    #[arg(long, help_heading = REQUESTS)]
    pub sort_listing: bool,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for help")]
    pub target: TargetArgs,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("expected a whole number of at least 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("expected a number above 0".to_owned()),
    }
}

fn size(text: &str) -> Result<ByteSize, String> {
    match text.parse::<ByteSize>() {
        Ok(ByteSize(0)) => Err("expected a size above 0".to_owned()),
        Ok(size) => Ok(size),
        Err(_) => Err("expected a size such as `10MB` or `512KiB`".to_owned()),
    }
}

fn part_size(text: &str) -> Result<ByteSize, String> {
    let size = size(text)?;
    let allowed = ByteSize::mib(5)..=ByteSize::gib(5);
    if allowed.contains(&size) {
        Ok(size)
    } else {
        Err("expected a size from 5 MiB to 5 GiB".to_owned())
    }
}

/// Runs `sync`.
pub async fn run(args: SyncArgs, context: &Context) -> Result<Exit> {
    if args.include_hidden && args.include.is_empty() && args.files_from.is_none() {
        return Err(would_publish_all_hidden());
    }
    let target = args.target.resolve(&context.file)?;
    let directory = configured_media_dir(args.media_dir.as_deref(), &context.file)?;
    let join = join_options(&args, &directory, &target)?;
    // Before anything is written: a wrong path must leave no journal behind.
    tree::walk(&join.walk)?;
    let ownership_check = OwnershipCheck {
        directory: directory.clone(),
        target: target.clone(),
        settings: context.file.clone(),
        not_mastodon: args.not_mastodon,
        guards: guards(&args, &directory, &target),
    };
    let ownership = Ownership::examine(&ownership_check).await?;
    if let (Owner::Unknown(why), false) = (&ownership.owner, ownership.no_mastodon) {
        context.ui.say(format!(
            "note: where Mastodon keeps its media cannot be determined: {why}; no file is uploaded whose object Mastodon may have deleted"
        ));
    }
    let credentials = args.target.credentials(&context.file)?;
    credentials.refuse_master_key()?;
    let state_dir = context.state_dir()?;
    let identity = Identity::of_directory(&directory).map_err(|e| {
        let operation = format!("read the media directory `{}`", directory.display());
        Error::usage(operation)
            .cause(e)
            .hint("check the path and its permissions")
    })?;
    if args.delete {
        let name = ledger::target_name(&target);
        let entries = Ledger::in_directory(&state_dir).read(Some(&name), Some(&identity))?;
        may_delete_after(ledger::has_pruned(&entries))
            .or_refuse(format!("delete objects of `{target}`"))?;
    }
    let path = ledger::journal_path(&state_dir, &target, &identity);
    let (journal, note) = if args.dry_run {
        Journal::read_only(&path)?
    } else {
        Journal::open(&path, &target.to_string())?
    };
    if let Some(note) = note {
        context.ui.say(format!("note: {note}"));
    }
    let decision = DecisionOptions {
        compare: match (args.size_only, args.checksum) {
            (true, _) => Compare::SizeOnly,
            (false, true) => Compare::Read,
            (false, false) => Compare::Digest,
        },
        replace: args.replace,
        delete: args.delete,
        include_hidden: args.include_hidden,
        unrecorded_is_new: journal.is_complete() || ownership.no_mastodon,
        send_unrecorded: args.send_unrecorded,
    };
    let options = SyncOptions {
        join,
        ownership,
        ownership_check,
        decision,
        dry_run: args.dry_run,
        max_deletions: args.max_delete,
        concurrency: args.concurrency,
        max_rate: args
            .max_rate
            .or_else(|| target.endpoint.is_backblaze().then_some(BACKBLAZE_RATE)),
        bandwidth: args.bwlimit.map(|size| size.as_u64() as f64),
        multipart: MultipartOptions {
            from: args.multipart_from.as_u64(),
            part_size: args.part_size.as_u64(),
        },
    };
    context
        .ui
        .detail(format!("copying `{}` to {target}", directory.display()));
    let retry = Retry {
        time_limit: Duration::from_secs(args.retry_for),
        outage_timeout: args.give_up_after.map(Duration::from_secs),
        ..Retry::default()
    };
    let operation = format!("prepare requests to `{target}`");
    let client =
        Client::with_retry(target, &credentials, retry).map_err(|e| e.into_error(operation))?;
    let interrupt = Interrupt::watch(context.ui, "waiting for the uploads in progress")?;
    let finished = sync::run(client, journal, options, context.ui, interrupt).await?;
    report(&finished, context);
    let exit = finished.summary.exit();
    finished.stopped.map_or(Ok(exit), Err)
}

/// The guards that depend on the installation, in order. [`may_delete_after`] depends on the ledger.
fn guards(args: &SyncArgs, directory: &Path, target: &Target) -> Vec<Guard> {
    let mut guards = vec![Guard {
        operation: format!("copy `{}` to `{target}`", directory.display()),
        allows: |installation, _| may_sync(installation),
    }];
    if args.delete {
        guards.push(Guard {
            operation: format!("delete objects of `{target}`"),
            allows: may_sync_delete,
        });
    }
    if args.replace {
        guards.push(Guard {
            operation: format!("replace objects of `{target}`"),
            allows: may_overwrite,
        });
    }
    guards
}

/// Prints the summary; `--quiet` prints only what went wrong.
fn report(finished: &sync::Finished, context: &Context) {
    let summary = &finished.summary;
    if context.ui.json {
        context.ui.data(summary, "");
    } else if context.ui.quiet {
        let problems = summary.problem_lines();
        if !problems.is_empty() {
            context.ui.data(summary, problems);
        }
    } else if finished.stopped.is_none() || !summary.is_empty() {
        // Where nothing was done, the error is all there is to report.
        context.ui.data(summary, summary.text());
    }
}

fn join_options(args: &SyncArgs, directory: &Path, target: &Target) -> Result<pairs::JoinOptions> {
    Ok(pairs::JoinOptions {
        walk: tree::WalkOptions {
            root: directory.to_owned(),
            prefix_length: target.key_prefix.len(),
            follow_links: args.follow_links,
        },
        files_from: args.files_from.as_deref().map(read_list).transpose()?,
        filter: Filter::new(&args.include, &args.exclude)?,
        sort_listing: args.sort_listing,
    })
}

/// Where the suspension of one account is lifted, files of the others must stay hidden.
fn would_publish_all_hidden() -> Error {
    Error::usage("upload every hidden file")
        .cause("hidden files are those of suspended accounts, and anybody who knows an address can read them in the bucket")
        .hint("give the files of the account whose suspension was lifted, with `--include 'accounts/avatars/000/000/042/**'` for each directory, or with their paths in a file for `--files-from`")
}

fn read_list(path: &Path) -> Result<Vec<OsString>> {
    let mut bytes = Vec::new();
    let outcome = if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(path).map(|read| bytes = read)
    };
    outcome.map_err(|e| {
        Error::usage(format!("read the list of files `{}`", path.display()))
            .cause(e)
            .hint("it must have one path per line, relative to the media directory")
    })?;
    Ok(bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .map(|line| OsString::from_vec(line.to_owned()))
        .collect())
}
