//! What every command is given.

use std::path::PathBuf;

use crate::config::File;
use crate::ledger::Facts;
use crate::report::Ui;
use crate::words::quoted;

/// What every command is given.
#[derive(Clone, Debug)]
pub struct Context {
    /// Where talk and data go.
    pub ui: Ui,
    /// The settings file, as read.
    pub file: File,
    /// Where it is, if it was named.
    pub config: Option<PathBuf>,
    /// What the command has to say for the ledger.
    pub facts: Facts,
}

impl Context {
    /// ` --config FILE` for another command line, where this one had it.
    pub(crate) fn config_flag(&self) -> String {
        let flag = |path: &PathBuf| format!(" --config {}", quoted(&path.to_string_lossy()));
        self.config.as_ref().map(flag).unwrap_or_default()
    }
}
