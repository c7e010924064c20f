//! What every command receives besides its own flags.

use std::path::PathBuf;

use crate::config::{self, File};
use crate::error::Result;
use crate::format::quoted;
use crate::ledger::Facts;
use crate::ui::Ui;

/// What every command receives besides its own flags.
#[derive(Clone, Debug)]
pub struct Context {
    /// How data and messages are printed.
    pub ui: Ui,
    /// The settings file, as read.
    pub file: File,
    /// `--config`.
    pub config: Option<PathBuf>,
    /// `--state-dir`.
    pub state_dir: Option<PathBuf>,
    /// Counts that the command adds to its entry in the ledger.
    pub facts: Facts,
}

impl Context {
    /// The directory with journals, backups and the ledger.
    ///
    /// # Errors
    /// Fails where none is named and the user has no home.
    pub(crate) fn state_dir(&self) -> Result<PathBuf> {
        config::state_dir(self.state_dir.as_deref(), &self.file)
    }

    /// ` --config FILE --state-dir DIR` for another command line, as far as they were given here.
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
