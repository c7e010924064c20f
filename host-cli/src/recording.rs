//! Writes a run into the ledger: one line before the command and one after it, from its parsed command
//! line. The records of single files are the journal's ([`crate::journal`]).

use std::path::Path;

use crate::cli::Command;
use crate::config::TargetArgs;
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::identity::Identity;
use crate::ledger::{self, Action, Ledger, LedgerEntry, RunOutcome};
use crate::mastodon::configured_media_dir;
use crate::swap::current_media_dir;

/// A run that is to be recorded.
#[derive(Debug)]
pub(crate) struct Recording {
    ledger: Ledger,
    entry: LedgerEntry,
    /// The line of the beginning is written.
    begun: bool,
}

impl Recording {
    /// Begins to record; none for a command that is no step of a migration, and with `--dry-run`. For
    /// commands that may run for hours, a line is written at once.
    pub(crate) fn begin(command: &Command, context: &Context) -> Option<Recording> {
        let recorded = recorded_command(command)?;
        let state_dir = context.state_dir().ok()?;
        let mut entry = LedgerEntry::begun(recorded.action);
        entry.only_some = recorded.only_some;
        let target = recorded
            .target
            .and_then(|t| t.resolve_with(&context.file).ok());
        entry.target = target.as_ref().map(ledger::target_name);
        entry.media_dir = recorded
            .media_dir
            .and_then(|given| configured_media_dir(given, &context.file).ok())
            .and_then(|path| std::path::absolute(path).ok());
        entry.tree = entry
            .media_dir
            .as_deref()
            .and_then(|path| Identity::of_directory(&current_media_dir(path)).ok());
        // Where there is no directory, the command itself reports that.
        let begun = entry.tree.is_some()
            && matches!(
                recorded.action,
                Action::Sync | Action::Cutover | Action::Rollback | Action::Prune
            );
        let recording = Recording {
            ledger: Ledger::in_directory(&state_dir),
            entry,
            begun,
        };
        if begun {
            recording.write(context);
        }
        Some(recording)
    }

    /// Writes how the run ended. One that was refused for its settings did nothing.
    pub(crate) fn end(mut self, result: &Result<Exit>, context: &Context) {
        let exit = match result {
            Ok(exit) => *exit,
            Err(error) => error.exit_status(),
        };
        self.entry.outcome = match exit {
            Exit::Done => RunOutcome::Done,
            Exit::Partly => RunOutcome::Partly,
            Exit::Problem => RunOutcome::Problem,
            Exit::Interrupted => RunOutcome::Interrupted,
            Exit::Usage if !self.begun => return,
            Exit::Failed | Exit::Usage => RunOutcome::Failed,
        };
        self.entry.at = ledger::now();
        self.entry.facts = context.facts.get();
        self.write(context);
    }

    fn write(&self, context: &Context) {
        if let Err(e) = self.ledger.append(&self.entry) {
            context.ui.detail(format!(
                "note: `medialift status` will not show this run: `{}` cannot be written: {e}",
                self.ledger.path().display()
            ));
        }
    }
}

/// The values of a command line that are recorded.
struct RecordedCommand<'a> {
    action: Action,
    /// None: the command has no media directory. `Some(None)`: that of the settings file.
    media_dir: Option<Option<&'a Path>>,
    target: Option<&'a TargetArgs>,
    only_some: bool,
}

fn recorded_command(command: &Command) -> Option<RecordedCommand<'_>> {
    let of = |action| RecordedCommand {
        action,
        media_dir: None,
        target: None,
        only_some: false,
    };
    Some(match command {
        Command::Plan(args) => RecordedCommand {
            media_dir: Some(args.media_dir.as_deref()),
            ..of(Action::Plan)
        },
        Command::Provision(args) if !args.dry_run => of(Action::Provision),
        Command::Check(args) if !args.dry_run => RecordedCommand {
            target: Some(&args.target),
            ..of(Action::Check)
        },
        Command::Sync(args) if !args.dry_run => RecordedCommand {
            media_dir: Some(args.media_dir.as_deref()),
            target: Some(&args.target),
            only_some: !(args.include.is_empty()
                && args.exclude.is_empty()
                && args.files_from.is_none()),
            ..of(Action::Sync)
        },
        Command::Env(args) if !args.dry_run && !args.lint => RecordedCommand {
            target: Some(&args.target),
            ..of(match (args.announce, args.undo) {
                (true, _) => Action::Announce,
                (false, true) => Action::Undo,
                (false, false) => Action::Switch,
            })
        },
        Command::Verify(args) if !args.dry_run => RecordedCommand {
            target: Some(&args.target),
            ..of(Action::Verify)
        },
        Command::Cutover(args) if !args.dry_run => RecordedCommand {
            media_dir: Some(args.media_dir.as_deref()),
            target: Some(&args.target),
            ..of(Action::Cutover)
        },
        Command::Rollback(args) if !args.dry_run => RecordedCommand {
            media_dir: Some(args.media_dir.as_deref()),
            ..of(Action::Rollback)
        },
        Command::Prune(args) if !args.dry_run => RecordedCommand {
            // The directory that is freed, by whichever of its names.
            media_dir: Some(args.delete_from.as_deref().or(args.media_dir.as_deref())),
            target: Some(&args.target),
            only_some: args.delete_from.is_some(),
            ..of(Action::Prune)
        },
        _ => return None,
    })
}
