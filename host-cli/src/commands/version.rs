//! `version`.

use clap::Args;

use crate::context::Context;
use crate::error::Result;
use crate::exit::Exit;

/// `version` takes no flags.
#[derive(Debug, Args)]
pub struct VersionArgs {}

/// Prints the version.
pub async fn run(_args: VersionArgs, context: &Context) -> Result<Exit> {
    let version = env!("CARGO_PKG_VERSION");
    context
        .ui
        .data(&serde_json::json!({ "version": version }), version);
    Ok(Exit::Done)
}
