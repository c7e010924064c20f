//! `man`: writes the man pages.

use std::path::PathBuf;

use clap::{Args, Command};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;

/// Flags of `man`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
    medialift man | man -l -
    medialift man /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Directory to write the pages to
    pub directory: Option<PathBuf>,
}

/// Runs `man` for the whole command line, `command`.
pub async fn run(args: ManArgs, command: Command, context: &Context) -> Result<Exit> {
    let Some(directory) = args.directory else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut page)
            .map_err(|e| Error::new("write the man page").cause(e))?;
        let page = String::from_utf8_lossy(&page).into_owned();
        context.ui.data(&serde_json::json!({ "page": page }), &page);
        return Ok(Exit::Done);
    };
    let fail = |e: std::io::Error| {
        Error::new(format!("write man pages into `{}`", directory.display()))
            .cause(e)
            .hint("name an existing, writable directory")
    };
    clap_mangen::generate_to(command, &directory).map_err(fail)?;
    let mut pages: Vec<String> = std::fs::read_dir(&directory)
        .map_err(fail)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("medialift") && name.ends_with(".1"))
        .collect();
    pages.sort();
    context.ui.data(
        &serde_json::json!({ "directory": directory, "pages": pages }),
        format!("{} pages in `{}`", pages.len(), directory.display()),
    );
    Ok(Exit::Done)
}
