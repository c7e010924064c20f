//! `env`: announces the files domain, switches Mastodon to the bucket, or checks `.env.production`.

mod inputs;
mod report;
mod switch;
mod undo;

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::config::{PurgeSecretArgs, TargetArgs, Visibility};
use crate::context::Context;
use crate::dotenv::lint::{LintFinding, Severity, lint};
use crate::dotenv::store::{self, Backups, EnvFile};
use crate::dotenv::{Document, Style};
use crate::error::{Cause, Error, Result};
use crate::exit::Exit;
use report::{EnvReport, Stage};

/// Flags of `env`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # A week before the switch, so that browsers know the new domain
  medialift env --announce --files-url https://files.example.com

  # Show what the switch would change, then make the change
  medialift env --visibility private --dry-run
  medialift env --visibility private

  # Check a file that was edited by hand
  medialift env --lint --env-file /home/mastodon/live/.env.production

  # Show what undoing the last change would change, then undo it
  medialift env --undo --dry-run --env-file /home/mastodon/live/.env.production
  medialift env --undo --env-file /home/mastodon/live/.env.production

Secrets are read from the environment or a file and never shown: the application key from
B2_APPLICATION_KEY_ID and B2_APPLICATION_KEY (or --key-file), the cache buster's from
PURGE_SECRET (or --purge-secret-file, or purge_secret_file in medialift.toml).
Restart Mastodon after a change: systemctl restart 'mastodon-*.service', or
docker compose up -d --force-recreate")]
pub struct EnvArgs {
    /// The file with Mastodon's settings [default: `env_file` of the settings file, else `.env.production`]
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Only add the files domain to `EXTRA_MEDIA_HOSTS`, before the switch
    #[arg(long, conflicts_with_all = ["lint", "undo"])]
    pub announce: bool,
    /// Only report mistakes; change nothing; exit 3 if uploads or media would fail
    #[arg(long)]
    pub lint: bool,
    /// Undo the last change, or the one before if repeated; exit 3 if the file was edited since
    #[arg(long, conflicts_with = "lint")]
    pub undo: bool,
    /// With `--undo`: discard edits that were made by hand since (a copy is kept)
    #[arg(long, requires = "undo")]
    pub discard_edits: bool,
    /// Show the changes and make none
    #[arg(long, short = 'n', conflicts_with = "lint")]
    pub dry_run: bool,
    /// The files domain, e.g. `https://files.example.com`
    #[arg(long, value_name = "URL", env = "FILES_URL")]
    pub files_url: Option<String>,
    /// Whether the bucket is public or private [default: `visibility` of the settings file]
    #[arg(long, value_enum)]
    pub visibility: Option<Visibility>,
    /// Method of the cache buster: the one that `medialift verify` reports as working
    #[arg(long, value_enum, default_value_t = PurgeMethod::Purge)]
    pub purge_method: PurgeMethod,
    /// The cache buster's secret.
    #[command(flatten)]
    pub secret: PurgeSecretArgs,
    /// Write no quotes: for `docker run --env-file`, which includes them in the value
    #[arg(long, conflicts_with_all = ["lint", "undo"])]
    pub no_quotes: bool,
    /// The bucket.
    #[command(flatten)]
    pub target: TargetArgs,
}

/// Methods of a purge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PurgeMethod {
    /// The usual method.
    Purge,
    /// For proxies that do not pass `PURGE` on.
    Post,
    /// For proxies that do not pass `PURGE` on.
    Delete,
}

impl PurgeMethod {
    /// The method of the request.
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
    let lint_context = inputs::lint_context(&args, context, &stored)?;
    if args.lint {
        let mut report = EnvReport::new(&stored.given, Stage::Lint, true, &lint_context);
        report.findings = lint(&before, &lint_context);
        return Ok(finish(context, report));
    }
    let backups = Backups::below(&context.state_dir()?, time::OffsetDateTime::now_utc());
    if args.undo {
        return undo::run(&args, context, &stored, &backups, &lint_context);
    }
    let stage = if args.announce {
        Stage::Announce
    } else {
        Stage::Switch
    };
    let mut report = EnvReport::new(&stored.given, stage, args.dry_run, &lint_context);
    // Errors without a variable are lines that are parsed otherwise than they seem to be meant.
    let broken =
        |finding: &LintFinding| finding.severity == Severity::Error && finding.key.is_none();
    report.findings = lint(&before, &lint_context);
    report.findings.retain(broken);
    if !report.findings.is_empty() {
        report.refused = true;
        return Ok(finish(context, report));
    }
    let settings = if args.announce {
        switch::announcement(&args, context, &before)?
    } else {
        switch::settings(&args, context, &before)?
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
        let cause = "a quote before the media settings is not closed";
        return Err(cannot_change(&stored, cause));
    }
    report.edits = switch::edits(&before, &after, &settings);
    // The new file is checked before it is written.
    report.findings = lint(&after, &lint_context);
    report.refused = report.findings.iter().any(|finding| {
        let written = |key: &String| settings.iter().any(|(name, _)| name == key);
        finding.severity == Severity::Error && finding.key.as_ref().is_none_or(written)
    });
    if !report.refused {
        switch::read_back(&after, &settings, style)
            .map_err(|cause| cannot_change(&stored, cause))?;
    }
    if !report.edits.is_empty() && !args.dry_run && !report.refused {
        report.backup = Some(backups.replace(&stored, &after.to_bytes())?);
    }
    Ok(finish(context, report))
}

fn cannot_change(stored: &EnvFile, cause: impl Into<Cause>) -> Error {
    Error::new(format!("change `{}`", stored.given.display()))
        .cause(cause)
        .hint("run `medialift env --lint`; nothing was changed")
}

/// Prints the report. An error in the file is a problem where the file was checked or not changed.
fn finish(context: &Context, report: EnvReport) -> Exit {
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
