//! The error a person sees: operation, object, cause, and what to do next.

use std::fmt;

use crate::exit::Exit;

/// Any error that may be the cause of an [`Error`].
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A command's failure, in the words its user needs.
///
/// Printed as `error: cannot OPERATION`, then the chain of causes, then after a blank line
/// `hint: …`. Secrets never enter one.
#[derive(Debug)]
pub struct Error {
    /// What was tried, with its object in backticks: ``read the media directory `/srv/media` ``.
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

    /// Sets how the process ends.
    #[must_use]
    pub fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// How the process ends because of this.
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
        let mut cause = self
            .cause
            .as_ref()
            .map(|c| c.as_ref() as &dyn std::error::Error);
        while let Some(e) = cause {
            write!(f, ": {e}")?;
            cause = e.source();
        }
        Ok(())
    }
}

impl std::error::Error for Error {}
