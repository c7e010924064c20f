//! Output of a command: data on stdout, messages on stderr, colour on a terminal only.

use std::io::{self, IsTerminal, Write};

use serde::Serialize;

use crate::error::Error;
use crate::exit::Exit;

/// How data and messages are printed, decided once from the global flags.
#[derive(Clone, Copy, Debug)]
pub struct Ui {
    /// Data is printed as JSON.
    pub json: bool,
    /// No messages but errors.
    pub quiet: bool,
    /// More messages.
    pub verbose: bool,
    /// stderr is a terminal and `NO_COLOR` is not set.
    pub colour: bool,
    /// stderr is a terminal: progress bars may be drawn.
    pub interactive: bool,
}

impl Ui {
    /// From the flags, the environment (`NO_COLOR`) and the terminal.
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

    /// Prints a message.
    pub fn say(&self, line: impl AsRef<str>) {
        if !self.quiet {
            let _ = writeln!(io::stderr(), "{}", line.as_ref());
        }
    }

    /// Prints a message with `--verbose` only.
    pub fn detail(&self, line: impl AsRef<str>) {
        if self.verbose {
            self.say(line);
        }
    }

    /// Prints the result of the command: `data` as JSON with `--json`, else `text`.
    ///
    /// A closed pipe is not an error: the reader has stopped reading.
    pub fn data<T: Serialize>(&self, data: &T, text: impl AsRef<str>) {
        let line = if self.json {
            serde_json::to_string(data).unwrap_or_else(|e| format!("{{\"error\":\"{e}\"}}"))
        } else {
            text.as_ref().trim_end().to_owned()
        };
        let _ = writeln!(io::stdout(), "{line}");
    }

    /// As [`Ui::data`], but with `--quiet` only where something is not done.
    pub fn outcome<T: Serialize>(&self, exit: Exit, data: &T, text: impl AsRef<str>) {
        if self.json || !self.quiet || exit != Exit::Done {
            self.data(data, text);
        }
    }

    /// Prints the error, and after a blank line its hint.
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
