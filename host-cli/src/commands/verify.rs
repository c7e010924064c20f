//! `verify`: checks the files domain end to end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde::Serialize;

use crate::config::{File, PurgeSecretArgs, TargetArgs, settings_error};
use crate::context::Context;
use crate::error::{Error, Result, chain};
use crate::exit::Exit;
use crate::findings::{self, Finding};
use crate::format::counted;
use crate::interrupt::Interrupt;
use crate::mastodon::Installation;
use crate::s3::Client;
use crate::ui::Ui;
use crate::verify::purge::{PurgeHeader, PurgeWait};
use crate::verify::samples::{self, SampleCount, SampleRead};
use crate::verify::{Domain, Probes, SiteUrl, checks, health, page, purge, redirect};

const EXAMPLE: &str = "\
Examples:
  # Check the files domain, and write a page to open in a browser
  medialift verify --files-url https://files.example.com --key-file b2.key --html verify.html

  # Also check purges, with the worker's purge secret
  medialift verify --files-url https://files.example.com --key-file b2.key \\
      --purge-secret-file purge.secret

Five small probes are uploaded to the bucket, read through the files domain and removed again, also
when a check fails. Exit codes: 0 no check failed, 3 a check failed.";

/// Flags of `verify`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct VerifyArgs {
    /// The files domain, such as `https://files.example.com`
    #[arg(long, value_name = "URL", env = "FILES_URL")]
    files_url: Option<String>,
    /// The site whose old media addresses must still work [default: that of Mastodon's settings]
    #[arg(long, value_name = "URL", env = "SITE_URL")]
    site_url: Option<String>,
    /// Take the samples from this media directory instead of the bucket, and compare them byte by byte
    #[arg(long, value_name = "DIR")]
    media_dir: Option<PathBuf>,
    /// Number of existing files to read; `all` reads every file of `--media-dir`
    #[arg(long, value_name = "N", default_value_t = SampleCount::UpTo(20))]
    samples: SampleCount,
    /// Write a page that loads the samples in a browser
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    #[command(flatten)]
    secret: PurgeSecretArgs,
    /// How long to wait for the effect of a queued purge, in seconds
    #[arg(long, value_name = "N", default_value_t = 120)]
    purge_wait: u64,
    /// Show what would be uploaded and read, and send nothing
    #[arg(long, short = 'n')]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) target: TargetArgs,
}

#[derive(Debug, Serialize)]
struct VerifyReport {
    files_url: String,
    bucket: String,
    passed: bool,
    findings: Vec<Finding>,
    /// What `env` should write as `CACHE_BUSTER_HTTP_METHOD`.
    #[serde(skip_serializing_if = "Option::is_none")]
    purge_method: Option<String>,
    samples: Vec<SampleRead>,
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<PathBuf>,
}

/// Where samples are taken from.
enum SampleSource<'a> {
    /// Every file of this media directory.
    WholeTree(&'a Path),
    /// This many files of this media directory.
    Tree(&'a Path, usize),
    /// This many objects of the bucket.
    Bucket(usize),
}

impl<'a> SampleSource<'a> {
    /// `directory` is that of the flag. The settings file's is not used: before the last sync it has files
    /// that the bucket lacks, and after the cutover it is empty.
    fn new(directory: Option<&'a Path>, count: SampleCount) -> Result<Self> {
        match (directory, count) {
            (Some(directory), SampleCount::All) => Ok(Self::WholeTree(directory)),
            (Some(directory), SampleCount::UpTo(count)) => Ok(Self::Tree(directory, count)),
            (None, SampleCount::UpTo(count)) => Ok(Self::Bucket(count)),
            (None, SampleCount::All) => Err(Error::usage("read all files")
                .cause("`--samples all` reads the files of a media directory, and none is named")
                .hint("add `--media-dir DIR`")),
        }
    }
}

/// The instance that uses the bucket.
struct Instance {
    /// The address of the site.
    site: Option<SiteUrl>,
    /// Whether it writes to this bucket.
    owns_bucket: bool,
}

/// What the checks need.
struct Verification<'a> {
    source: SampleSource<'a>,
    ui: Ui,
    bucket: &'a Client,
    domain: &'a Domain,
    purge_header: Option<PurgeHeader>,
    purge_wait: Duration,
    instance: Instance,
}

/// Runs `verify`.
pub async fn run(args: VerifyArgs, context: &Context) -> Result<Exit> {
    let target = args.target.resolve_with(&context.file);
    let files_url = SiteUrl::resolve(args.files_url.as_ref(), &context.file);
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
            format!("would upload probes such as `{key}` to `{}`, read them through `{files_url}`, remove them, and read {} existing files", target.bucket, args.samples),
        );
        return Ok(Exit::Done);
    }
    let purge_header = purge_header(&args.secret, &context.file)?;
    let credentials = args.target.credentials(&context.file)?;
    let instance = Instance {
        site,
        owns_bucket: installation.is_some_and(|installation| installation.owns_in(&target)),
    };
    let operation = format!("prepare requests to `{target}`");
    let bucket = Client::new(target, &credentials).map_err(|error| error.into_error(operation))?;
    let domain = Domain::new(files_url);
    let mut probes = Probes::new(&bucket.target().key_prefix);
    let verification = Verification {
        source,
        ui: context.ui,
        bucket: &bucket,
        domain: &domain,
        purge_header,
        purge_wait: Duration::from_secs(args.purge_wait),
        instance,
    };

    let mut interrupt = Interrupt::watch(context.ui, "removing the probes")?;
    let checked = tokio::select! {
        checked = verification.run(&mut probes) => Some(checked),
        () = interrupt.requested() => None,
    };
    let remaining = probes.remove(&bucket).await;
    if !remaining.is_empty() {
        context.ui.say(format!(
            "warning: these probes could not be removed: `{}`",
            remaining.join("`, `")
        ));
    }
    let Some(checked) = checked else {
        return Ok(Exit::Interrupted);
    };
    let mut report = checked?;
    report.findings.push(probes_removed(&remaining));
    report.passed = findings::exit(&report.findings) == Exit::Done;
    write_page(&args, &mut report, &domain)?;

    let mut text = findings::table(&report.findings);
    text.push_str(&format!("\n{}\n", findings::summary(&report.findings)));
    context.ui.data(&report, text);
    if let Some(path) = &report.page {
        context.ui.say(format!(
            "\nnext: open `{}` in a browser; it loads the samples as a page of another site would",
            path.display()
        ));
    }
    Ok(findings::exit(&report.findings))
}

fn probes_removed(remaining: &[String]) -> Finding {
    let check = "probes-removed";
    if remaining.is_empty() {
        Finding::passed(check, "no probe is left in the bucket")
    } else {
        Finding::warned(
            check,
            format!(
                "{} left in the bucket",
                counted(remaining.len() as u64, "probe is", "probes are")
            ),
            "the key may lack the capability `deleteFiles`: run `medialift check`",
        )
    }
}

impl Verification<'_> {
    /// Uploads the probes and runs every check.
    async fn run(&self, probes: &mut Probes) -> Result<VerifyReport> {
        let bucket_name = &self.bucket.target().bucket;
        self.ui
            .detail(format!("uploading probes to `{bucket_name}`"));
        probes
            .upload(self.bucket)
            .await
            .map_err(|error| error.into_error(format!("upload a probe to `{bucket_name}`")))?;
        self.ui
            .detail(format!("reading them through `{}`", self.domain.url));
        let checks::ProbeFindings {
            mut findings,
            is_readable,
        } = checks::run(self.domain, probes).await;
        let health = health::request(self.domain, self.purge_header.as_ref()).await;
        if is_readable || health.is_some() {
            findings.push(health::finding(health.as_ref()));
        }
        let mut purge_method = None;
        let mut reads = Vec::new();
        if is_readable {
            let cache = health.and_then(|health| health.cache);
            let wait = PurgeWait::new(cache, self.purge_wait, self.ui);
            let header = self.purge_header.as_ref();
            let (found, method) = purge::check(self.domain, probes, header, wait).await;
            findings.extend(found);
            purge_method = method;
            let (found, read) = self.samples().await?;
            findings.extend(found);
            reads = read;
        }
        Ok(VerifyReport {
            files_url: self.domain.url.to_string(),
            bucket: bucket_name.clone(),
            passed: false,
            findings,
            purge_method,
            samples: reads,
            page: None,
        })
    }

    /// Reads the samples, and their old addresses.
    async fn samples(&self) -> Result<(Vec<Finding>, Vec<SampleRead>)> {
        let prefix = &self.bucket.target().key_prefix;
        let mut skipped = 0;
        let samples = match self.source {
            SampleSource::WholeTree(directory) => {
                let (samples, number) = samples::every_file(directory, prefix)?;
                skipped = number;
                Ok(samples)
            }
            SampleSource::Tree(directory, count) => {
                Ok(samples::from_directory(directory, prefix, count))
            }
            SampleSource::Bucket(count) => samples::from_bucket(self.bucket, count).await,
        };
        let samples = match samples {
            Ok(samples) => samples,
            Err(error) => {
                let finding = Finding::failed("samples", chain(&error), error.hint());
                return Ok((vec![finding], Vec::new()));
            }
        };
        let (mut finding, reads) = samples::read(
            self.domain,
            self.bucket,
            self.instance.owns_bucket,
            &samples,
        )
        .await;
        if skipped > 0 {
            finding.detail.push_str(&format!(
                "; {} cannot be uploaded: `medialift sync --dry-run` names them",
                counted(skipped, "entry", "entries")
            ));
        }
        let old_addresses = self.old_addresses(&reads).await;
        Ok((vec![finding, old_addresses], reads))
    }

    async fn old_addresses(&self, reads: &[SampleRead]) -> Finding {
        let Some(site) = &self.instance.site else {
            return Finding::skipped(
                "old-addresses",
                "the address of the site is not known: give `--site-url`",
            );
        };
        let prefix = &self.bucket.target().key_prefix;
        redirect::check(self.domain, &site.to_string(), reads, prefix).await
    }
}

/// The address of the site: that of the flag, else that of Mastodon's settings.
fn site_url(
    args: &VerifyArgs,
    installation: Option<&Installation>,
) -> Result<Option<SiteUrl>, String> {
    args.site_url
        .clone()
        .or_else(|| installation?.site_url())
        .filter(|text| !text.is_empty())
        .map(|text| SiteUrl::parse(&text))
        .transpose()
}

/// The header with the purge secret, if one is named.
fn purge_header(args: &PurgeSecretArgs, file: &File) -> Result<Option<PurgeHeader>> {
    let Some(secret) = args.secret(file)? else {
        return Ok(None);
    };
    let name = args.purge_header.clone();
    let fits = http::HeaderName::from_bytes(name.as_bytes()).is_ok()
        && http::HeaderValue::from_str(secret.expose()).is_ok();
    if !fits {
        return Err(Error::usage("use the purge secret")
            .cause(format!("the header name `{name}`, or the secret, has a character that is not allowed in a header"))
            .hint("use the values of the worker's `PURGE_SECRET_HEADER` and `PURGE_SECRET`"));
    }
    Ok(Some(PurgeHeader { name, secret }))
}

fn write_page(args: &VerifyArgs, report: &mut VerifyReport, domain: &Domain) -> Result<()> {
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
            .hint("name a file in a writable directory")
    })?;
    report.page = Some(path.clone());
    Ok(())
}
