//! What every command is given.

use std::path::PathBuf;

use crate::config::{self, File};
use crate::error::Result;
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
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// What the command has to say for the ledger.
    pub facts: Facts,
}

impl Context {
    /// Where journals, backups and the ledger are.
    ///
    /// # Errors
    /// Fails where none is named and the user has no home.
    pub(crate) fn state_dir(&self) -> Result<PathBuf> {
        config::state_dir(self.state_dir.as_deref(), &self.file)
    }

    /// ` --config FILE --state-dir DIR` for another command line, as far as this one had them.
    pub(crate) fn global_flags(&self) -> String {
        [("--config", &self.config), ("--state-dir", &self.state_dir)]
            .into_iter()
            .filter_map(|(flag, path)| {
                let path = path.as_ref()?.to_string_lossy().into_owned();
                Some(format!(" {flag} {}", quoted(&path)))
            })
            .collect()
    }
}
