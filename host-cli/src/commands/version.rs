//! `version`: prints the version.

use clap::Args;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;

/// Flags of `version`: none.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
    medialift version --json")]
pub struct VersionArgs {}

/// Runs `version`.
pub async fn run(_args: VersionArgs, context: &Context) -> Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    context
        .ui
        .data(&serde_json::json!({ "version": version }), version);
    Ok(Exit::Done)
}
