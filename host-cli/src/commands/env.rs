//! `env`: announces the files domain, switches Mastodon to the bucket, or checks the file.

mod report;

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use crate::config::{Secret, Target, TargetArgs, Visibility};
use crate::context::Context;
use crate::dotenv::lint::{Finding, Known, Outranking, Severity, lint};
use crate::dotenv::readers::Reader;
use crate::dotenv::settings::{CacheBuster, Switch, UNLESS_SET, announced};
use crate::dotenv::store::{self, Backups, Stored};
use crate::dotenv::values::{self, Environment, Gem, Value};
use crate::dotenv::{Document, Style};
use crate::error::{Cause, Error, Result};
use crate::exit::Exit;
use crate::guards::may_undo;
use crate::mastodon::{self, environment};
use report::{Edit, Report, Stage};

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
  See what taking the last change back would change, then do it:
    medialift env --undo --dry-run --env-file /home/mastodon/live/.env.production
    medialift env --undo --env-file /home/mastodon/live/.env.production

Secrets are read from the environment or a file and never shown: the application key from
B2_APPLICATION_KEY_ID and B2_APPLICATION_KEY (or --key-file), the cache buster's from
PURGE_SECRET. Restart Mastodon after a change: systemctl restart 'mastodon-*.service', or
docker compose up -d --force-recreate")]
pub struct EnvArgs {
    /// The file [default: `env_file` of the configuration, else `.env.production`]
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Only add the files domain to `EXTRA_MEDIA_HOSTS`, ahead of the switch
    #[arg(long, conflicts_with_all = ["lint", "undo"])]
    pub announce: bool,
    /// Only look for mistakes; change nothing; exit 3 if uploads or media would fail
    #[arg(long)]
    pub lint: bool,
    /// Take the last change back; again, the one before; exit 3 if the file was edited since
    #[arg(long, conflicts_with = "lint")]
    pub undo: bool,
    /// With `--undo`: discard what was edited by hand since (a copy is kept)
    #[arg(long, requires = "undo")]
    pub discard_edits: bool,
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
    /// Write no quotes: for `docker run --env-file`, which takes them as part of the value
    #[arg(long, conflicts_with_all = ["lint", "undo"])]
    pub no_quotes: bool,
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
    let before = Document::parse(&stored.bytes);
    let known = known(&args, context, &stored)?;
    if args.lint {
        let mut report = Report::new(&stored.given, Stage::Lint, true, &known);
        report.findings = lint(&before, &known);
        return Ok(finish(context, report));
    }
    let backups = Backups::below(&context.state_dir()?, time::OffsetDateTime::now_utc());
    if args.undo {
        return undo(&args, context, &stored, &backups, &known);
    }
    let stage = if args.announce {
        Stage::Announce
    } else {
        Stage::Switch
    };
    let mut report = Report::new(&stored.given, stage, args.dry_run, &known);
    // Lines that are read as something else than they show; numbered as the file is now.
    let broken = |finding: &Finding| finding.severity == Severity::Error && finding.key.is_none();
    report.findings = lint(&before, &known);
    report.findings.retain(broken);
    if !report.findings.is_empty() {
        report.refused = true;
        return Ok(finish(context, report));
    }
    let settings = if args.announce {
        let url = files_url(&args, context)?.ok_or_else(no_files_url)?;
        let hosts = announced(before.value("EXTRA_MEDIA_HOSTS").as_deref(), &url);
        vec![("EXTRA_MEDIA_HOSTS", hosts)]
    } else {
        switch_settings(&args, context, &before)?
    };
    let style = if args.no_quotes {
        Style::Literal
    } else {
        Style::Quoted
    };
    let mut after = before.clone();
    for (key, value) in &settings {
        after.set(key, value, style);
    }
    if !after.is_stable() {
        let cause = "a quote is opened in it and not closed before the media settings";
        return Err(cannot_change(&stored, cause));
    }
    report.edits = changed(&before, &after, &settings);
    // What would be written is looked at before it is.
    report.findings = lint(&after, &known);
    report.refused = report.findings.iter().any(|finding| {
        let written = |key: &String| settings.iter().any(|(name, _)| name == key);
        finding.severity == Severity::Error && finding.key.as_ref().is_none_or(written)
    });
    if !report.refused {
        read_back(&after, &settings, style).map_err(|cause| cannot_change(&stored, cause))?;
    }
    if !report.edits.is_empty() && !args.dry_run && !report.refused {
        report.backup = Some(backups.replace(&stored, &after.to_bytes())?);
    }
    Ok(finish(context, report))
}

fn cannot_change(stored: &Stored, cause: impl Into<Cause>) -> Error {
    Error::new(format!("change `{}`", stored.given.display()))
        .cause(cause)
        .hint("`medialift env --lint` names what is wrong in it; nothing was changed")
}

/// Reads the settings as whoever reads the file does.
fn read_back(
    after: &Document,
    settings: &[(&'static str, String)],
    style: Style,
) -> Result<(), String> {
    let readers: &[Reader] = match style {
        Style::Quoted => &[Reader::Systemd, Reader::Compose],
        Style::Literal => &[Reader::DockerRun],
    };
    let text = String::from_utf8_lossy(&after.to_bytes()).into_owned();
    for reader in readers {
        let values = reader.read(&text);
        for (key, value) in settings {
            let reference = after.get(key).is_some_and(|a| a.written().contains(&b'$'));
            // Lines with `export`, which some do not know, were the file's own before.
            if !reference && values.get(*key).is_some_and(|read| read != value) {
                return Err(format!(
                    "{} would read another value of `{key}`",
                    reader.name()
                ));
            }
        }
    }
    for gem in Gem::ALL {
        let values = values::read(after, gem, &Environment::default()).unwrap_or_default();
        let differs = |(key, value): &&(&str, String)| {
            let read = values.get(*key);
            read.is_some_and(|read| *read != Value::Known(value.clone()))
        };
        if let Some((key, _)) = settings.iter().find(differs) {
            return Err(format!("Mastodon would read another value of `{key}`"));
        }
    }
    Ok(())
}

/// The settings that are not as they were.
fn changed(before: &Document, after: &Document, settings: &[(&str, String)]) -> Vec<Edit> {
    let differs = |key: &&str| {
        let written = |document: &Document| document.get(key).map(|a| a.written().to_vec());
        written(before) != written(after)
    };
    let mut edits: Vec<Edit> = settings
        .iter()
        .map(|(key, _)| *key)
        .filter(differs)
        .map(|key| Edit::new(before, after, key))
        .collect();
    // Line numbers are those of the file as it will be.
    edits.sort_by_key(|edit| edit.line);
    edits
}

/// Takes the last change back.
fn undo(
    args: &EnvArgs,
    context: &Context,
    stored: &Stored,
    backups: &Backups,
    known: &Known,
) -> Result<Exit> {
    let operation = || format!("take back the last change of `{}`", stored.given.display());
    let backup = backups.newest(&stored.path).ok_or_else(|| {
        Error::usage(operation())
            .cause("no backup of it is kept")
            .hint("each change by `medialift env` keeps one in the state directory: name that with `--state-dir`")
    })?;
    let bytes = std::fs::read(&backup).map_err(|e| Error::new(operation()).cause(e))?;
    let (now, then) = (Document::parse(&stored.bytes), Document::parse(&bytes));
    let moved_aside = mastodon::moved_aside_of(&stored.given, &context.file);
    may_undo(
        moved_aside.as_deref(),
        environment::turns_bucket_off(&now, &then),
    )
    .or_refuse(operation())?;
    let mut report = Report::new(&stored.given, Stage::Undo, args.dry_run, known);
    report.edits = Edit::all(&now, &then);
    let edited = match backups.is_as_written(stored, &backup) {
        Some(true) => None,
        Some(false) => Some("it was edited since `medialift env` wrote it, and that would be lost"),
        None => Some("what `medialift env` wrote then is not known, so edits since could be lost"),
    };
    if let Some(cause) = edited.filter(|_| !args.discard_edits) {
        if args.dry_run {
            context.ui.data(&report, report.text());
        }
        return Err(Error::new(operation()).exit(Exit::Problem).cause(cause).hint(format!(
            "`--undo --dry-run` names every setting that would change and shows no secret; then correct the file by hand, or add `--discard-edits`, which puts `{}` in its place and keeps a copy; nothing was changed",
            backup.display()
        )));
    }
    if !args.dry_run {
        report.backup = backups.undo(stored)?;
    }
    Ok(finish(context, report))
}

/// Prints the report; an error is a problem, unless the change was made all the same.
fn finish(context: &Context, report: Report) -> Exit {
    context.ui.data(&report, report.text());
    for line in report.next_steps() {
        context.ui.say(line);
    }
    let failing = report
        .findings
        .iter()
        .any(|f| f.severity == Severity::Error);
    if failing && (report.refused || report.stage == Stage::Lint) {
        Exit::Problem
    } else {
        Exit::Done
    }
}

fn switch_settings(
    args: &EnvArgs,
    context: &Context,
    document: &Document,
) -> Result<Vec<(&'static str, String)>> {
    let target = args.target.resolve(&context.file)?;
    let url = files_url(args, context)?.ok_or_else(no_files_url)?;
    let credentials = args.target.credentials(&context.file)?;
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
    let mut settings = switch.settings();
    let unless_set = UNLESS_SET
        .into_iter()
        .filter(|(key, _)| document.get(key).is_none());
    settings.extend(unless_set.map(|(key, value)| (key, value.to_owned())));
    Ok(settings)
}

/// What is known of the bucket and of Mastodon; for a lint nothing of it need be given.
fn known(args: &EnvArgs, context: &Context, stored: &Stored) -> Result<Known> {
    let target: Option<Target> = args.target.resolve_with(&context.file).ok();
    let root = context.file.mastodon.root.as_deref();
    let root = root.or(stored.path.parent()).unwrap_or(Path::new("."));
    let (version, deployment) = mastodon::of_root(root, &context.file);
    Ok(Known {
        visibility: visibility(args, context),
        region: target.as_ref().map(|t| t.region.clone()),
        bucket: target.as_ref().map(|t| t.bucket.clone()),
        key_prefix: target.map(|t| t.key_prefix.trim_end_matches('/').to_owned()),
        files_host: files_url(args, context)?.map(|url| host_of(&url).to_owned()),
        mode: Some(stored.mode),
        version,
        deployment,
        outranking: outranking(stored),
    })
}

fn outranking(stored: &Stored) -> Vec<Outranking> {
    let given = std::path::absolute(&stored.given).unwrap_or_else(|_| stored.path.clone());
    environment::outranking(&given)
        .into_iter()
        .map(|path| {
            let values = std::fs::read(&path)
                .map_err(|e| e.to_string())
                .and_then(|bytes| {
                    let document = Document::parse(&bytes);
                    values::read(&document, Gem::V3_1_5, &Environment::default())
                        .map_err(|refused| refused.to_string())
                });
            Outranking { path, values }
        })
        .collect()
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
