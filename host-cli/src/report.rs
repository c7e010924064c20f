//! What a command says: data on stdout, talk on stderr, no colour when nobody sees it.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::error::Error;
use crate::exit::Exit;

/// Where talk and data go, decided once from the global flags.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    /// Data is JSON on stdout.
    pub json: bool,
    /// No talk on stderr but errors.
    pub quiet: bool,
    /// More talk on stderr.
    pub verbose: bool,
    /// stderr is a terminal and colour is welcome.
    pub colour: bool,
    /// stderr is a terminal: progress bars may be drawn.
    pub interactive: bool,
}

impl Ui {
    /// Settles the flags against the environment (`NO_COLOR`) and the terminal.
    pub fn new(json: bool, quiet: bool, verbose: bool) -> Self {
        let interactive = io::stderr().is_terminal();
        let no_colour = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        Ui {
            json,
            quiet,
            verbose,
            colour: interactive && !no_colour,
            interactive,
        }
    }

    /// A line of talk, for the person at the keyboard.
    pub fn say(&self, line: impl AsRef<str>) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{}", line.as_ref());
        }
    }

    /// A line of talk shown only with `--verbose`.
    pub fn detail(&self, line: impl AsRef<str>) {
        if self.verbose {
            self.say(line);
        }
    }

    /// The command's result: `data` as JSON with `--json`, else `text` as it stands.
    ///
    /// A closed pipe is not an error: whoever read us has seen enough.
    pub fn data<T: Serialize>(&self, data: &T, text: impl AsRef<str>) {
        let line = if self.json {
            serde_json::to_string(data).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"))
        } else {
            text.as_ref().trim_end().to_owned()
        };
        let _ = writeln!(io::stdout(), "{line}");
    }

    /// As [`Ui::data`], but with `--quiet` nothing where all is done.
    pub fn outcome<T: Serialize>(&self, exit: Exit, data: &T, text: impl AsRef<str>) {
        if self.json || !self.quiet || exit != Exit::Done {
            self.data(data, text);
        }
    }

    /// The error, and after a blank line its hint.
    pub fn error(&self, error: &Error) {
        let label = if self.colour {
            "\x1b[31;1merror:\x1b[0m"
        } else {
            "error:"
        };
        let mut stderr = io::stderr();
        let _ = writeln!(stderr, "{label} {error}");
        if let Some(hint) = error.hint_text() {
            let label = if self.colour {
                "\x1b[36;1mhint:\x1b[0m"
            } else {
                "hint:"
            };
            let _ = writeln!(stderr, "\n{label} {hint}");
        }
    }
}
