//! `env`: announces the files domain, switches Mastodon to the bucket, or checks the file.

mod report;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::Context;
use crate::config::{Secret, Target, TargetArgs};
use crate::dotenv::lint::{Known, Severity, lint};
use crate::dotenv::settings::{CacheBuster, Switch, Visibility, announced};
use crate::dotenv::{Change, Document, store};
use crate::error::{Error, Result};
use crate::exit::Exit;
use report::{Edit, Report};

/// Flags of `env`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  A week ahead, so that browsers learn of the new domain:
    medialift env --announce --files-url https://files.example.com
  See what the switch would change, then do it:
    medialift env --visibility private --dry-run
    medialift env --visibility private
  Look for mistakes in a file made by hand:
    medialift env --lint --env-file /home/mastodon/live/.env.production

Secrets are read from the environment or a file and never shown: the application key from
B2_APPLICATION_KEY_ID and B2_APPLICATION_KEY (or --key-file), the cache buster's from
PURGE_SECRET. Restart Mastodon after a change: systemctl restart 'mastodon-*.service'")]
pub struct EnvArgs {
    /// The file [default: `env_file` of the configuration, else `.env.production`]
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Only add the files domain to `EXTRA_MEDIA_HOSTS`, ahead of the switch
    #[arg(long, conflicts_with = "lint")]
    pub announce: bool,
    /// Only look for mistakes; change nothing; exit 3 if uploads or media would fail
    #[arg(long)]
    pub lint: bool,
    /// Show the changes and make none
    #[arg(long, conflicts_with = "lint")]
    pub dry_run: bool,
    /// The files domain, e.g. `https://files.example.com`
    #[arg(long, value_name = "URL", env = "FILES_URL")]
    pub files_url: Option<String>,
    /// Whether the bucket is public or private [default: `visibility` of the configuration]
    #[arg(long, value_enum)]
    pub visibility: Option<Visibility>,
    /// Method of the cache buster: what `medialift verify` saw working
    #[arg(long, value_enum, default_value_t = PurgeMethod::Purge)]
    pub purge_method: PurgeMethod,
    /// Header that carries the cache buster's secret
    #[arg(
        long,
        value_name = "NAME",
        env = "PURGE_SECRET_HEADER",
        default_value = "X-Purge-Secret"
    )]
    pub purge_header: String,
    /// The bucket.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// Methods by which the worker takes a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PurgeMethod {
    /// The method made for it.
    Purge,
    /// Where a proxy does not let `PURGE` through.
    Post,
    /// Likewise.
    Delete,
}

impl PurgeMethod {
    /// As it stands in a request.
    pub fn as_str(self) -> &'static str {
        match self {
            PurgeMethod::Purge => "PURGE",
            PurgeMethod::Post => "POST",
            PurgeMethod::Delete => "DELETE",
        }
    }
}

/// Runs `env`.
pub async fn run(args: EnvArgs, context: &Context) -> Result<Exit> {
    let path = args
        .env_file
        .clone()
        .or_else(|| context.file.env_file.clone())
        .unwrap_or_else(|| PathBuf::from(".env.production"));
    let stored = store::read(&path)?;
    let mut document = Document::parse(&stored.bytes);
    if args.lint {
        let known = known(&args, context, stored.mode)?;
        let findings = lint(&document, &known);
        let report = Report::lint(&stored.given, findings, known.visibility.is_some());
        return Ok(finish(context, report));
    }

    let before = document.clone();
    let settings = if args.announce {
        let url = files_url(&args, context)?.ok_or_else(no_files_url)?;
        let hosts = announced(document.value("EXTRA_MEDIA_HOSTS").as_deref(), &url);
        vec![("EXTRA_MEDIA_HOSTS", hosts)]
    } else {
        switch_settings(&args, context, &document)?
    };
    let mut changed = Vec::new();
    for (key, value) in settings {
        match document.set(key, &value) {
            Change::Unchanged => {}
            Change::Replaced { .. } | Change::Added { .. } => changed.push(key),
        }
    }
    // Line numbers are those of the file as it will be.
    let mut edits: Vec<Edit> = changed
        .into_iter()
        .map(|key| Edit::new(&document, key, before.value(key).as_deref()))
        .collect();
    edits.sort_by_key(|edit| edit.line);
    if !document.is_stable() {
        return Err(Error::new(format!("change `{}`", stored.given.display()))
            .cause("a quote is opened in it and not closed before the media settings")
            .hint("`medialift env --lint` names the line; nothing was changed"));
    }
    let known = known(&args, context, stored.mode)?;
    let mut report = Report::change(&stored.given, edits, args.dry_run, args.announce);
    report.findings = lint(&document, &known);
    if !report.edits.is_empty() && !args.dry_run {
        let now = time::OffsetDateTime::now_utc();
        report.backup = Some(store::replace(&stored, &document.to_bytes(), now)?);
    }
    Ok(finish(context, report))
}

/// Prints the report; a lint that found an error is a problem, a change that was made is not.
fn finish(context: &Context, report: Report) -> Exit {
    context.ui.data(&report, report.text());
    for line in report.next_steps() {
        context.ui.say(line);
    }
    let failing = report
        .findings
        .iter()
        .any(|f| f.severity == Severity::Error);
    if failing { Exit::Problem } else { Exit::Done }
}

fn switch_settings(
    args: &EnvArgs,
    context: &Context,
    document: &Document,
) -> Result<Vec<(&'static str, String)>> {
    let target = args.target.resolve(context)?;
    let url = files_url(args, context)?.ok_or_else(no_files_url)?;
    let credentials = args.target.credentials(context)?;
    if credentials.kind() == crate::config::KeyKind::Master {
        return Err(Error::usage("give Mastodon this application key")
            .cause("its id is that of the account's master key, which the S3 endpoint refuses")
            .hint("make a key for this bucket with `medialift provision`, and use that one"));
    }
    let cache_buster = std::env::var("PURGE_SECRET")
        .ok()
        .filter(|secret| !secret.is_empty())
        .map(|secret| CacheBuster {
            method: args.purge_method.as_str().to_owned(),
            header: args.purge_header.clone(),
            secret: Secret::new(secret),
        });
    if cache_buster.is_none() && document.value("CACHE_BUSTER_SECRET").is_none() {
        context.ui.say(
            "note: PURGE_SECRET is not set, so the cache buster is left as it is: files that are \
             deleted stay readable at the files domain until they expire there",
        );
    }
    let switch = Switch {
        target: &target,
        credentials: &credentials,
        files_host: host_of(&url),
        visibility: visibility(args, context).ok_or_else(no_visibility)?,
        cache_buster: cache_buster.as_ref(),
    };
    Ok(switch.settings())
}

/// What is known of the bucket; for a lint nothing of it need be given.
fn known(args: &EnvArgs, context: &Context, mode: u32) -> Result<Known> {
    let target: Option<Target> = args.target.resolve_with(&context.file).ok();
    Ok(Known {
        visibility: visibility(args, context),
        region: target.as_ref().map(|t| t.region.clone()),
        bucket: target.as_ref().map(|t| t.bucket.clone()),
        key_prefix: target.map(|t| t.key_prefix.trim_end_matches('/').to_owned()),
        files_host: files_url(args, context)?.map(|url| host_of(&url).to_owned()),
        mode: Some(mode),
    })
}

/// The files domain as an origin: `https://files.example.com`.
fn files_url(args: &EnvArgs, context: &Context) -> Result<Option<String>> {
    let Some(given) = args.files_url.as_ref().or(context.file.files_url.as_ref()) else {
        return Ok(None);
    };
    let host = given
        .strip_prefix("https://")
        .unwrap_or(given)
        .trim_end_matches('/')
        .to_ascii_lowercase();
    let valid = host.contains('.')
        && host
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-.:".contains(&b));
    if !valid {
        return Err(Error::usage(format!("use `{given}` as the files domain"))
            .cause("it is not `https://` and a host name")
            .hint("give it like `https://files.example.com`"));
    }
    Ok(Some(format!("https://{host}")))
}

fn host_of(url: &str) -> &str {
    url.strip_prefix("https://").unwrap_or(url)
}

fn visibility(args: &EnvArgs, context: &Context) -> Option<Visibility> {
    args.visibility.or(context.file.visibility)
}

/// Never guessed: with the wrong one every upload is refused.
fn no_visibility() -> Error {
    Error::usage("write `S3_PERMISSION`")
        .cause("nothing says whether the bucket is public or private")
        .hint("give `--visibility private` or `--visibility public`, or put `visibility = \"private\"` in medialift.toml; `medialift check` tells which it is")
}

fn no_files_url() -> Error {
    Error::usage("tell Mastodon the files domain")
        .cause("no files domain is given")
        .hint("give it with `--files-url https://files.example.com`, or as `files_url` in medialift.toml")
}
