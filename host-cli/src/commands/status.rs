//! `status`: which steps of the migration are done, which one is next, and what has changed since.

mod changes;

use std::path::PathBuf;

use clap::Args;
use comfy_table::{Table, presets};
use serde::Serialize;
use time::OffsetDateTime;
use time::macros::format_description;

use crate::config::{Deployment, TargetArgs};
use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;
use crate::format::{counted, quoted};
use crate::identity::Identity;
use crate::ledger::steps::{Situation, Step, StepState, StepStatus, next};
use crate::ledger::{self, Ledger, target_name};
use crate::mastodon::Installation;
use crate::swap::{MediaPaths, Phase, current_media_dir};
use changes::Changes;

/// Flags of `status`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Show which steps are done
  medialift status /home/mastodon/live/public/system

Reads what the other commands have recorded in the state directory, the installation, the media
directory and the files domain, and changes nothing. Run it as the user who runs the other commands,
with the same `--state-dir`.
Exit codes: 0 no problem was found, 3 something needs attention (it is named).")]
pub struct StatusArgs {
    /// The media directory [default: `media_dir` of the settings file]
    pub media_dir: Option<PathBuf>,
    /// The files domain, e.g. `https://files.example.com`
    #[arg(long, value_name = "URL", env = "FILES_URL")]
    pub files_url: Option<String>,
    /// The bucket.
    #[command(flatten)]
    pub target: TargetArgs,
}

#[derive(Debug, Serialize)]
struct StatusReport {
    media_dir: PathBuf,
    /// The directory with the media: `system_` after a cutover.
    media_at: PathBuf,
    target: Option<String>,
    installation: Installation,
    steps: Vec<StepRow>,
    next: Option<NextCommands>,
    changes: Changes,
    ledger: PathBuf,
}

#[derive(Debug, Serialize)]
struct StepRow {
    number: usize,
    #[serde(flatten)]
    status: StepStatus,
    title: &'static str,
}

#[derive(Debug, Serialize)]
struct NextCommands {
    number: usize,
    step: Step,
    /// Command lines, in the order to run them.
    commands: Vec<String>,
    /// What to consider before.
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

/// Runs `status`.
pub async fn run(args: StatusArgs, context: &Context) -> Result<Exit> {
    let mut installation = Installation::find(args.media_dir.as_deref(), &context.file)?;
    installation.query_instance().await;
    let paths = MediaPaths::of(&installation.media_dir)?;
    let media_at = current_media_dir(&paths.live());
    let state = paths.state()?;
    // For the first steps no bucket is needed.
    let target = args.target.resolve_with(&context.file).ok();
    let ledger = Ledger::in_directory(&context.state_dir()?);
    let tree = Identity::of_directory(&media_at).ok();
    let entries = ledger.read(target.as_ref().map(target_name).as_deref(), tree.as_ref())?;
    let situation = Situation {
        entries: &entries,
        owner: &installation.owner,
        settings_changed: changes::newest(&installation.env_files),
        phase: state.as_ref().map(|state| state.phase),
        now: ledger::now(),
    };
    let statuses = situation.statuses();
    let next = match state.as_ref().map(|state| state.phase) {
        Some(Phase::Returning) => Some(NextCommands {
            number: Step::Cutover.number(),
            step: Step::Cutover,
            commands: vec![command(&args, context, "rollback", false)],
            note: Some("a rollback was interrupted: complete it first".to_owned()),
        }),
        _ => next(&statuses).map(|step| NextCommands {
            number: step.number(),
            step,
            commands: commands(step, &args, context, installation.deployment),
            note: note(step, &statuses, situation.now),
        }),
    };
    let changes = Changes::collect(
        &args,
        context,
        &situation,
        &installation,
        target.as_ref(),
        &paths,
    )
    .await?;
    let report = StatusReport {
        media_dir: paths.live(),
        media_at,
        target: target.map(|target| target.to_string()),
        steps: statuses.map(StepRow::of).into(),
        next,
        changes,
        ledger: ledger.path().to_owned(),
        installation,
    };
    context.ui.data(&report, report.text());
    Ok(if report.changes.attention.is_empty() {
        Exit::Done
    } else {
        Exit::Problem
    })
}

/// A command line, with the flags that were given here.
fn command(args: &StatusArgs, context: &Context, name: &str, with_target: bool) -> String {
    let media_dir = args.media_dir.as_ref();
    let directory = media_dir.map(|path| format!(" {}", quoted(&path.to_string_lossy())));
    let target = if with_target {
        args.target.as_flags()
    } else {
        String::new()
    };
    format!(
        "medialift{} {name}{}{target}",
        context.global_flags(),
        directory.unwrap_or_default()
    )
}

/// The commands of a step.
fn commands(
    step: Step,
    args: &StatusArgs,
    context: &Context,
    deployment: Option<Deployment>,
) -> Vec<String> {
    let bare = |name: &str, flags: &str| {
        let files_url = args.files_url.as_ref();
        let domain = files_url.map(|url| format!(" --files-url {}", quoted(url)));
        format!(
            "medialift{} {name}{flags}{}",
            context.global_flags(),
            domain.unwrap_or_default()
        )
    };
    let target = args.target.as_flags();
    let restart = || match deployment {
        Some(Deployment::Docker) => "docker compose up -d --force-recreate".to_owned(),
        Some(Deployment::Systemd) | None => "systemctl restart 'mastodon-*.service'".to_owned(),
    };
    match step {
        Step::Plan => vec![command(args, context, "plan", false)],
        Step::Provision => vec![format!("medialift{} provision", context.global_flags())],
        Step::Check => vec![format!("medialift{} check{target}", context.global_flags())],
        Step::Announce => vec![bare("env", " --announce"), restart()],
        Step::Bulk | Step::LastSync | Step::Rest => vec![command(args, context, "sync", true)],
        Step::Verify => vec![bare("verify", &target)],
        Step::Switch => vec![bare("env", &target), restart()],
        Step::Cutover => vec![command(args, context, "cutover", true)],
        Step::Prune => vec![command(args, context, "prune", true)],
    }
}

/// What to consider before the next step.
fn note(step: Step, statuses: &[StepStatus], now: i64) -> Option<String> {
    const WEEK: i64 = 7 * 86_400;
    let at = |step: Step| statuses[step as usize].at;
    match step {
        Step::LastSync | Step::Switch => {
            let days = (now - at(Step::Announce)?) / 86_400;
            (days * 86_400 < WEEK).then(|| {
                format!(
                    "the files domain was announced {} ago; wait until a week has passed, so that browsers have loaded the new security policy",
                    counted(days.unsigned_abs(), "day", "days")
                )
            })
        }
        Step::Rest if statuses[Step::LastSync as usize].state == StepState::Skipped => Some(
            "nothing was uploaded within the hour before the switch: files that Mastodon wrote to the disk since the last upload are missing from the files domain until this command has run"
                .to_owned(),
        ),
        _ => None,
    }
}

/// `2026-11-29 07:40`, UTC.
fn date(at: i64) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute]");
    OffsetDateTime::from_unix_timestamp(at)
        .ok()
        .and_then(|at| at.format(format).ok())
        .unwrap_or_default()
}

impl StepRow {
    fn of(status: StepStatus) -> StepRow {
        StepRow {
            number: status.step.number(),
            status,
            title: status.step.title(),
        }
    }

    fn state(&self) -> &'static str {
        match self.status.state {
            StepState::Done => "done",
            StepState::Partly => "partly done",
            StepState::Begun => "started",
            StepState::Todo => "to do",
            StepState::Skipped => "not recorded",
        }
    }
}

impl StatusReport {
    fn text(&self) -> String {
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        for row in &self.steps {
            table.add_row([
                row.number.to_string(),
                row.title.to_owned(),
                row.state().to_owned(),
                row.status.at.map(date).unwrap_or_default(),
            ]);
        }
        let mut out = format!("{table}\n\n{}", self.changes.text());
        match &self.next {
            None => out.push_str("\nevery step is done\n"),
            Some(next) => {
                out.push_str(&format!("\nnext, step {}:\n", next.number));
                for command in &next.commands {
                    out.push_str(&format!("  {command}\n"));
                }
                if let Some(note) = &next.note {
                    out.push_str(&format!("note: {note}\n"));
                }
            }
        }
        out
    }
}
