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
  # Show the page of `medialift`
  medialift man | man -l -

  # Write all pages
  medialift man /usr/local/share/man/man1")]
pub struct ManArgs {
    /// Directory to write the pages to
    pub directory: Option<PathBuf>,
}

/// Runs `man` for the whole command line, `command`.
pub async fn run(args: ManArgs, command: Command, context: &Context) -> Result<Exit> {
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let Some(directory) = args.directory else {
        let mut page = Vec::new();
        page_of(&command)
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
    let mut pages = Vec::new();
    for command in std::iter::once(&command).chain(command.get_subcommands()) {
        let page = page_of(command);
        page.generate_to(&directory).map_err(fail)?;
        pages.push(page.get_filename());
    }
    context.ui.data(
        &serde_json::json!({ "directory": directory, "pages": pages }),
        format!("{} pages in `{}`", pages.len(), directory.display()),
    );
    Ok(Exit::Done)
}

/// The page of a command, whose last line names the program and not the command.
fn page_of(command: &Command) -> clap_mangen::Man {
    clap_mangen::Man::new(command.clone()).source(concat!("medialift ", env!("CARGO_PKG_VERSION")))
}
