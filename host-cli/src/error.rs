//! The error of a command: operation, object, cause, and what to do next.

use std::fmt;

use crate::exit::Exit;

/// Any error that may be the cause of an [`Error`].
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// The failure of a command.
///
/// Printed as `error: cannot OPERATION`, then the chain of causes, then after a blank line
/// `hint: …`. It never contains a secret.
#[derive(Debug)]
pub struct Error {
    /// The operation that failed, with its object in backticks: ``read the media directory `/srv/media` ``.
    operation: String,
    cause: Option<Cause>,
    hint: Option<String>,
    exit: Exit,
}

/// Shorthand for results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A failure of `operation`, exit code 1 unless changed.
    pub fn new(operation: impl Into<String>) -> Self {
        Error {
            operation: operation.into(),
            cause: None,
            hint: None,
            exit: Exit::Failed,
        }
    }

    /// A wrong flag, setting or configuration: exit code 2.
    pub fn usage(operation: impl Into<String>) -> Self {
        Error::new(operation).exit(Exit::Usage)
    }

    /// Adds what caused it.
    #[must_use]
    pub fn cause(mut self, cause: impl Into<Cause>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Sets the exit code.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// The exit code.
    pub fn exit_status(&self) -> Exit {
        self.exit
    }

    /// What to do next, where known.
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.operation)?;
        match &self.cause {
            Some(cause) => write!(f, ": {}", chain(cause.as_ref())),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

/// An error and its causes on one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let texts: Vec<String> = causes.map(ToString::to_string).collect();
    texts.join(": ")
}
