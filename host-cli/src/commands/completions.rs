//! `completions`: prints a shell's completion script.

use clap::{Args, Command};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// Flags of `completions`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Complete commands and flags in bash
  medialift completions bash > /etc/bash_completion.d/medialift")]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Runs `completions` for the whole command line, `command`.
pub async fn run(args: CompletionsArgs, mut command: Command, context: &Context) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "medialift", &mut script);
    let script = String::from_utf8(script)
        .map_err(|e| Error::new("write the completion script").cause(e))?;
    context.ui.data(
        &serde_json::json!({ "shell": args.shell.to_string(), "script": script }),
        &script,
    );
    Ok(Exit::Done)
}
