//! `verify`: the files domain, end to end, as a reader sees it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::config::{Secret, TargetArgs, settings_error};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::findings::{self, Finding, chain};
use crate::interrupt::Interrupt;
use crate::mastodon::Installation;
use crate::s3::Client;
use crate::verify::purge::{Patience, PurgeHeader};
use crate::verify::samples::{self, Read, SampleCount};
use crate::verify::{Domain, FilesUrl, Probes, checks, health, page, purge, redirect};

const EXAMPLE: &str = "\
Examples:
  medialift verify --files-url https://files.example.com --key-file medialift.key

  # With the worker's purge secret in PURGE_SECRET, and a page to open in a browser
  medialift verify --files-url https://files.example.com --html verify.html

Four small probes are put into the bucket, read through the files domain and removed again, also
when a check fails. Exit code 3 says that a check failed.";

/// Checks the files domain end to end: a probe, every rule, and samples of your media
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct VerifyArgs {
    /// The files domain, such as `https://files.example.com`
    #[arg(long, value_name = "URL", env = "FILES_URL")]
    files_url: Option<String>,
    /// The site whose old addresses of media must still work [default: that of Mastodon's settings]
    #[arg(long, value_name = "URL", env = "SITE_URL")]
    site_url: Option<String>,
    /// Take samples from this media directory and compare byte by byte, not from the bucket
    #[arg(long, value_name = "DIR")]
    media_dir: Option<PathBuf>,
    /// How many files of yours are read; `all` reads every file of `--media-dir`
    #[arg(long, value_name = "N", default_value_t = SampleCount::UpTo(20))]
    samples: SampleCount,
    /// Write a page that shows in a browser what a browser sees
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Header that carries the worker's purge secret; the secret itself is read from `PURGE_SECRET`
    #[arg(
        long,
        value_name = "NAME",
        env = "PURGE_SECRET_HEADER",
        default_value = "X-Purge-Secret"
    )]
    purge_header: String,
    /// How long a queued purge may take until it has arrived, in seconds
    #[arg(long, value_name = "N", default_value_t = 120)]
    purge_wait: u64,
    /// Name the checks, and upload and read nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

#[derive(Debug, Serialize)]
struct Report {
    files_url: String,
    bucket: String,
    passed: bool,
    findings: Vec<Finding>,
    /// What `env` should write as `CACHE_BUSTER_HTTP_METHOD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    purge_method: Option<String>,
    samples: Vec<Read>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<PathBuf>,
}

/// Where the files that are read come from.
enum SampleSource<'a> {
    /// Every file of this media directory.
    WholeTree(&'a Path),
    /// So many files of this media directory.
    Tree(&'a Path, usize),
    /// So many objects of the bucket.
    Bucket(usize),
}

impl<'a> SampleSource<'a> {
    fn new(directory: Option<&'a Path>, count: SampleCount) -> Result<Self> {
        match (directory, count) {
            (Some(directory), SampleCount::All) => Ok(Self::WholeTree(directory)),
            (Some(directory), SampleCount::UpTo(count)) => Ok(Self::Tree(directory, count)),
            (None, SampleCount::UpTo(count)) => Ok(Self::Bucket(count)),
            (None, SampleCount::All) => Err(Error::usage("read all files")
                .cause("`--samples all` reads those of a media directory, and none is named")
                .hint("add `--media-dir DIR`")),
        }
    }
}

/// What is known of the instance that uses the bucket.
struct Mastodon {
    /// The site's address.
    site: Option<FilesUrl>,
    /// It writes and deletes in this bucket.
    owns_bucket: bool,
}

/// Runs every check and reports all of them.
pub async fn run(args: VerifyArgs, context: &Context) -> Result<Exit> {
    let target = args.target.resolve_with(&context.file);
    let files_url = files_url(&args, context);
    let installation = Installation::find(args.media_dir.as_deref(), &context.file).ok();
    let site = site_url(&args, installation.as_ref());
    let (target, files_url, site) = match (target, files_url, site) {
        (Ok(target), Ok(files_url), Ok(site)) => (target, files_url, site),
        (target, files_url, site) => {
            let mut faults = target.err().unwrap_or_default();
            faults.extend(files_url.err());
            faults.extend(site.err());
            return Err(settings_error(&faults));
        }
    };
    let source = SampleSource::new(args.media_dir.as_deref(), args.samples)?;
    if args.dry_run {
        let key = Probes::new(&target.key_prefix).plain;
        context.ui.data(
            &serde_json::json!({ "files_url": files_url.to_string(), "probe": key, "samples": args.samples }),
            format!("would put probes such as `{key}` into `{}`, read them through {files_url}, remove them, and read {} files of yours", target.bucket, args.samples),
        );
        return Ok(Exit::Done);
    }
    let purge_header = purge_header(&args)?;
    let credentials = args.target.credentials(&context.file)?;
    let mastodon = Mastodon {
        site,
        owns_bucket: installation.is_some_and(|installation| installation.owns_in(&target)),
    };
    let bucket_name = target.bucket.clone();
    let bucket = Client::new(target, &credentials)
        .map_err(|error| error.into_error(format!("reach the bucket `{bucket_name}`")))?;
    let domain = Domain::new(files_url);
    let mut probes = Probes::new(&bucket.target().key_prefix);

    let mut interrupt = Interrupt::watch(context.ui, "removing the probes")?;
    let checked = tokio::select! {
        checked = check(&args, &source, context, &bucket, &domain, &mut probes, purge_header.as_ref(), &mastodon) => Some(checked),
        () = interrupt.requested() => None,
    };
    let left = probes.remove(&bucket).await;
    if !left.is_empty() {
        context.ui.say(format!(
            "warning: these probes could not be removed: `{}`",
            left.join("`, `")
        ));
    }
    let Some(checked) = checked else {
        return Ok(Exit::Interrupted);
    };
    let mut report = checked?;
    report.findings.push(removed(&left));
    report.passed = findings::exit(&report.findings) == Exit::Done;
    write_page(&args, &mut report, &domain)?;

    let mut text = findings::table(&report.findings);
    text.push_str(&format!("\n{}\n", findings::summary(&report.findings)));
    context.ui.data(&report, text);
    if let Some(path) = &report.page {
        context.ui.say(format!(
            "\nOpen `{}` in a browser: it loads your media as another site's page would.",
            path.display()
        ));
    }
    Ok(findings::exit(&report.findings))
}

fn removed(left: &[String]) -> Finding {
    let check = "probes-removed";
    if left.is_empty() {
        Finding::passed(check, "nothing of this run is left in the bucket")
    } else {
        Finding::warned(
            check,
            format!("{} probes are left in the bucket", left.len()),
            "the key may lack `deleteFiles`: `medialift check` tells",
        )
    }
}

#[expect(clippy::too_many_arguments, reason = "one place calls it")]
async fn check(
    args: &VerifyArgs,
    source: &SampleSource<'_>,
    context: &Context,
    bucket: &Client,
    domain: &Domain,
    probes: &mut Probes,
    purge_header: Option<&PurgeHeader>,
    mastodon: &Mastodon,
) -> Result<Report> {
    context
        .ui
        .detail(format!("putting probes into `{}`", bucket.target().bucket));
    probes.upload(bucket).await.map_err(|error| {
        error.into_error(format!("upload a probe to `{}`", bucket.target().bucket))
    })?;
    context
        .ui
        .detail(format!("reading them through {}", domain.url));
    let mut findings = checks::run(domain, probes).await;
    let readable = findings.len() > checks::FIRST_CHECKS;
    let health = health::ask(domain, purge_header).await;
    if readable || health.is_some() {
        findings.push(health::finding(health.as_ref()));
    }
    let mut purge_method = None;
    let mut reads = Vec::new();
    if readable {
        let cache = health.and_then(|health| health.cache);
        let queued = Duration::from_secs(args.purge_wait);
        let patience = Patience::new(cache, queued, context.ui);
        let (found, method) = purge::check(domain, probes, purge_header, patience).await;
        findings.extend(found);
        purge_method = method;
        // Not that of the configuration: before the last sync it has files the bucket lacks, and
        // after the cutover it is empty.
        let prefix = &bucket.target().key_prefix;
        let mut skipped = 0;
        let samples = match *source {
            SampleSource::WholeTree(directory) => {
                let (samples, number) = samples::every_file(directory, prefix)?;
                skipped = number;
                Ok(samples)
            }
            SampleSource::Tree(directory, count) => {
                Ok(samples::from_directory(directory, prefix, count))
            }
            SampleSource::Bucket(count) => samples::from_bucket(bucket, count).await,
        };
        match samples {
            Ok(samples) => {
                let (mut finding, read) =
                    samples::read(domain, bucket, mastodon.owns_bucket, &samples).await;
                if skipped > 0 {
                    finding.detail.push_str(&format!(
                        "; {skipped} entries can be neither read nor uploaded: `medialift sync --dry-run` names them"
                    ));
                }
                findings.push(finding);
                findings.push(old_addresses(mastodon.site.as_ref(), bucket, domain, &read).await);
                reads = read;
            }
            Err(error) => findings.push(Finding::failed("samples", chain(&error), error.hint())),
        }
    }
    Ok(Report {
        files_url: domain.url.to_string(),
        bucket: bucket.target().bucket.clone(),
        passed: false,
        findings,
        purge_method,
        samples: reads,
        page: None,
    })
}

/// The site's address, where it is named or Mastodon's settings tell it.
fn site_url(
    args: &VerifyArgs,
    installation: Option<&Installation>,
) -> Result<Option<FilesUrl>, String> {
    args.site_url
        .clone()
        .or_else(|| installation?.site_url())
        .filter(|text| !text.is_empty())
        .map(|text| FilesUrl::parse(&text))
        .transpose()
}

async fn old_addresses(
    site: Option<&FilesUrl>,
    bucket: &Client,
    domain: &Domain,
    reads: &[Read],
) -> Finding {
    let check = "old-addresses";
    let Some(site) = site else {
        return Finding::skipped(check, "the site is not known: give `--site-url`");
    };
    let prefix = &bucket.target().key_prefix;
    redirect::check(domain, &site.to_string(), reads, prefix).await
}

fn files_url(args: &VerifyArgs, context: &Context) -> Result<FilesUrl, String> {
    let text = args
        .files_url
        .as_ref()
        .or(context.file.files_url.as_ref())
        .filter(|text| !text.is_empty())
        .ok_or("no files domain is named: give `--files-url`, set `FILES_URL`, or put `files_url = \"…\"` in medialift.toml")?;
    FilesUrl::parse(text)
}

/// The cache buster's secret, where the environment has it.
fn purge_header(args: &VerifyArgs) -> Result<Option<PurgeHeader>> {
    let Some(secret) = std::env::var("PURGE_SECRET")
        .ok()
        .filter(|value| !value.is_empty())
    else {
        return Ok(None);
    };
    let name = args.purge_header.clone();
    let fits = http::HeaderName::from_bytes(name.as_bytes()).is_ok()
        && http::HeaderValue::from_str(&secret).is_ok();
    if !fits {
        return Err(Error::usage("use the purge secret")
            .cause("the header's name, or `PURGE_SECRET`, has a letter that no header takes")
            .hint("use letters, digits and `-`, as in the worker's settings"));
    }
    Ok(Some(PurgeHeader {
        name,
        secret: Secret::new(secret),
    }))
}

fn write_page(args: &VerifyArgs, report: &mut Report, domain: &Domain) -> Result<()> {
    let Some(path) = &args.html else {
        return Ok(());
    };
    let text = page::render(
        &domain.url,
        &report.bucket,
        &report.findings,
        &report.samples,
    );
    std::fs::write(path, text).map_err(|error| {
        Error::new(format!("write the page `{}`", path.display()))
            .cause(error)
            .hint("name a file in a directory you may write to")
    })?;
    report.page = Some(path.clone());
    Ok(())
}
