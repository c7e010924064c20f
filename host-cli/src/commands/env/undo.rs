//! `env --undo`: restores the file from its newest backup.

use super::EnvArgs;
use super::finish;
use super::report::{Edit, EnvReport, Stage};
use crate::context::Context;
use crate::dotenv::Document;
use crate::dotenv::lint::LintContext;
use crate::dotenv::store::{Backups, EnvFile};
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::guards::may_undo;
use crate::mastodon::{self, environment};

/// Restores the newest backup, unless the file was edited since.
pub(super) fn run(
    args: &EnvArgs,
    context: &Context,
    stored: &EnvFile,
    backups: &Backups,
    lint_context: &LintContext,
) -> Result<Exit> {
    let operation = || format!("undo the last change of `{}`", stored.given.display());
    let backup = backups.newest(&stored.path).ok_or_else(|| {
        Error::usage(operation())
            .cause("there is no backup of it")
            .hint("`medialift env` writes a backup to the state directory with each change: name the directory with `--state-dir`")
    })?;
    let bytes = std::fs::read(&backup).map_err(|e| Error::new(operation()).cause(e))?;
    let (now, then) = (Document::parse(&stored.bytes), Document::parse(&bytes));
    let moved_aside = mastodon::moved_aside_of(&stored.given, &context.file);
    may_undo(
        moved_aside.as_deref(),
        environment::turns_bucket_off(&now, &then),
    )
    .or_refuse(operation())?;
    let mut report = EnvReport::new(&stored.given, Stage::Undo, args.dry_run, lint_context);
    report.edits = Edit::all(&now, &then);
    let edited = match backups.is_unedited(stored, &backup) {
        Some(true) => None,
        Some(false) => {
            Some("it was edited since `medialift env` wrote it, and the edits would be lost")
        }
        None => Some("what `medialift env` wrote is not known, so later edits could be lost"),
    };
    if let Some(cause) = edited.filter(|_| !args.discard_edits) {
        if args.dry_run {
            context.ui.data(&report, report.text());
        }
        return Err(Error::new(operation()).exit(Exit::Problem).cause(cause).hint(format!(
            "`--undo --dry-run` lists every setting that would change, without secrets; then correct the file by hand, or add `--discard-edits`, which restores `{}` and keeps a copy of the file; nothing was changed",
            backup.display()
        )));
    }
    if !args.dry_run {
        report.backup = backups.undo(stored)?;
    }
    Ok(finish(context, report))
}
