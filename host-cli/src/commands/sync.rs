//! `sync`: one-way copy of the media directory into the bucket.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::Context;
use crate::config::{KeyKind, Target, TargetArgs};
use crate::dotenv::Document;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::migration::around::around;
use crate::s3::{Client, Retry};
use crate::sync::filter::Filter;
use crate::sync::plan::Rules;
use crate::sync::{self, Options, journal};

/// A little below what a new account is given, 500 requests a second.
const BACKBLAZE_RATE: f64 = 450.0;

/// Copies a directory into the bucket, one way.
///
/// What is in the bucket already is never sent again, so a run that was interrupted is simply
/// started again. Files that cannot be uploaded are named and passed over. Nothing in the bucket
/// is deleted unless `--delete` is given.
#[derive(Debug, Args)]
#[command(after_help = "\
Example, the bulk while the instance runs, then the rest at the switch:
  medialift sync /home/mastodon/live/public/system --bucket files-example-com \\
      --endpoint s3.us-west-004.backblazeb2.com --key-file ~/.medialift-key

Exit codes: 0 all is in the bucket; 1 the run failed; 2 wrong usage; 4 some files were passed
over, all named; 130 interrupted, run it again to go on.")]
pub struct SyncArgs {
    /// Media directory: Mastodon's `public/system` [default: `media_dir` of medialift.toml]
    #[arg(value_name = "DIR")]
    pub directory: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for help")]
    pub target: TargetArgs,
    /// Look and tell, change nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
    /// Take an equal size for equal content
    #[arg(long, conflicts_with = "checksum")]
    pub size_only: bool,
    /// Read every file and compare, whatever the journal says
    #[arg(long)]
    pub checksum: bool,
    /// Only paths that match this glob (`**/*.png`); may be given many times
    #[arg(long, value_name = "GLOB")]
    pub include: Vec<String>,
    /// No paths that match this glob (`cache/**`); may be given many times
    #[arg(long, value_name = "GLOB")]
    pub exclude: Vec<String>,
    /// Only the paths in this file, one a line, relative to DIR; `-` is stdin
    #[arg(long, value_name = "FILE")]
    pub files_from: Option<PathBuf>,
    /// Delete objects that have no local file (the bucket keeps their versions)
    #[arg(long, conflicts_with = "files_from")]
    pub delete: bool,
    /// Delete nothing where more objects than this would go [default: 1000, and a tenth of the
    /// objects that are there]
    #[arg(long, value_name = "N")]
    pub max_delete: Option<u64>,
    /// Uploads at once, at most; how many really, is found by trying
    #[arg(long, value_name = "N", default_value_t = 256, value_parser = at_least_one)]
    pub concurrency: usize,
    /// Requests a second, at most [default: 450 at Backblaze, no limit elsewhere]
    #[arg(long, value_name = "N", value_parser = positive)]
    pub max_rate: Option<f64>,
    /// Bytes a second, at most: `10MB`, `512KiB`
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub bwlimit: Option<ByteSize>,
    /// Files of this size and more are sent in parts, which a later run takes up
    #[arg(long, value_name = "SIZE", default_value = "100MiB", value_parser = size)]
    pub multipart_from: ByteSize,
    /// Size of a part
    #[arg(long, value_name = "SIZE", default_value = "16MiB", value_parser = part_size)]
    pub part_size: ByteSize,
    /// How long a request that fails is tried again, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 180)]
    pub retry_for: u64,
    /// Hold the whole listing in memory and sort it, for services that do not list in key order
    #[arg(long)]
    pub sort_listing: bool,
    /// Where the journal is kept [default: `$XDG_STATE_HOME/medialift`, `~/.local/state/medialift`]
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => Err("a number from 1".to_owned()),
        Ok(number) => Ok(number),
    }
}

fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() && number > 0.0 => Ok(number),
        _ => Err("a number above 0".to_owned()),
    }
}

fn size(text: &str) -> Result<ByteSize, String> {
    match text.parse::<ByteSize>() {
        Ok(ByteSize(0)) => Err("a size above 0".to_owned()),
        Ok(size) => Ok(size),
        Err(_) => Err("a size such as `10MB` or `512KiB`".to_owned()),
    }
}

fn part_size(text: &str) -> Result<ByteSize, String> {
    let size = size(text)?;
    let allowed = ByteSize::mib(5)..=ByteSize::gib(5);
    if allowed.contains(&size) {
        Ok(size)
    } else {
        Err("a part has from 5 MiB to 5 GiB".to_owned())
    }
}

/// Runs `sync`.
pub async fn run(args: SyncArgs, context: &Context) -> Result<Exit> {
    let target = args.target.resolve(context)?;
    let directory = directory(args.directory.as_deref(), context)?;
    if args.delete {
        still_the_source(&directory, &target, context)?;
    }
    let filter = Filter::new(&args.include, &args.exclude)?;
    let files_from = args.files_from.as_deref().map(read_list).transpose()?;
    let state_dir = match args.state_dir.or_else(|| context.file.state_dir.clone()) {
        Some(path) => path,
        None => journal::default_state_dir()?,
    };
    let credentials = args.target.credentials(context)?;
    if credentials.kind() == KeyKind::Master {
        return Err(master_key());
    }
    let highest_rate = args
        .max_rate
        .or_else(|| target.endpoint.is_backblaze().then_some(BACKBLAZE_RATE));
    let retry = Retry {
        give_up_after: Duration::from_secs(args.retry_for),
        ..Retry::default()
    };
    let shown = target.to_string();
    let client = Client::with_retry(target, &credentials, retry)
        .map_err(|e| e.into_error("set up the connection"))?;
    let options = Options {
        directory,
        files_from,
        filter,
        rules: Rules {
            size_only: args.size_only,
            delete: args.delete,
        },
        checksum: args.checksum,
        dry_run: args.dry_run,
        most_deletions: args.max_delete,
        concurrency: args.concurrency,
        highest_rate,
        bandwidth: args.bwlimit.map(|size| size.as_u64() as f64),
        part_size: args.part_size.as_u64(),
        multipart_from: args.multipart_from.as_u64(),
        sort_listing: args.sort_listing,
        state_dir,
    };
    context.ui.detail(format!(
        "copying `{}` to {shown}",
        options.directory.display()
    ));
    let finished = sync::run(client, options, context.ui, interruption()?).await?;
    let exit = finished.summary.exit();
    // A run that ended before it did anything has nothing to report but why.
    if context.ui.json || finished.stopped.is_none() || !finished.summary.is_empty() {
        let text = finished.summary.text(context.ui.quiet);
        context.ui.data(&finished.summary, text);
    }
    match finished.stopped {
        Some(error) => Err(error),
        None => Ok(exit),
    }
}

/// Fails where Mastodon keeps its media in the bucket already: what it has uploaded is there only,
/// and `--delete` would take it for gone.
fn still_the_source(directory: &Path, target: &Target, context: &Context) -> Result<()> {
    let refused = |cause: String| {
        Err(Error::usage(format!("delete what is only in `{target}`"))
            .cause(cause)
            .hint("leave `--delete` out: what Mastodon uploads from then on is in the bucket only; nothing was changed"))
    };
    for site in around(directory)? {
        if site.state()?.is_some() {
            return refused(format!(
                "`{}` has been moved aside by `medialift cutover`",
                site.live().display()
            ));
        }
    }
    let beside = std::path::absolute(directory)
        .ok()
        .and_then(|path| Some(path.parent()?.parent()?.join(".env.production")));
    for path in context.file.env_file.iter().chain(&beside) {
        let Ok(bytes) = std::fs::read(path) else {
            continue;
        };
        let document = Document::parse(&bytes);
        if document.value("S3_ENABLED").as_deref() == Some("true")
            && document.value("S3_BUCKET").as_deref() == Some(&target.bucket)
        {
            return refused(format!(
                "Mastodon writes to this bucket, as `{}` says",
                path.display()
            ));
        }
    }
    Ok(())
}

/// The media directory of the flag, else of the settings file.
pub(crate) fn directory(flag: Option<&Path>, context: &Context) -> Result<PathBuf> {
    flag.or(context.file.media_dir.as_deref())
        .map(Path::to_owned)
        .ok_or_else(|| {
            Error::usage("find the media directory")
                .cause("none is named")
                .hint("give it: `medialift sync /home/mastodon/live/public/system`, or put `media_dir` in medialift.toml")
        })
}

/// A master key is told before anything is sent: at the S3 endpoint it only ever fails.
fn master_key() -> Error {
    Error::usage("use this application key")
        .cause("its id is the account's own: this is the master key, which does not work at the S3 endpoint")
        .hint("make an application key for the bucket, with `medialift provision` or under App Keys on the bucket's site, and use that one's id and key")
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
            .hint("one path a line, relative to the media directory")
    })?;
    Ok(bytes
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .filter(|line| !line.is_empty())
        .map(|line| OsString::from_vec(line.to_owned()))
        .collect())
}

/// Turns true at the first Ctrl-C or SIGTERM; the second one ends the process at once, which
/// loses nothing either.
fn interruption() -> Result<watch::Receiver<bool>> {
    let (sender, receiver) = watch::channel(false);
    let failed = |e| Error::new("watch for Ctrl-C").cause(e);
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    tokio::spawn(async move {
        for first in [true, false] {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if first {
                let _ = writeln!(
                    std::io::stderr(),
                    "\ninterrupted: letting the uploads under way end (once more to end at once)"
                );
                let _ = sender.send(true);
            } else {
                std::process::exit(i32::from(Exit::Interrupted.code()));
            }
        }
    });
    Ok(receiver)
}
