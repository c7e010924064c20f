//! Every "may I?" of the commands that could lose something, in one place.
//!
//! A guard that cannot look refuses. Pure: reads an [`Installation`], touches nothing.

use crate::config::Target;
use crate::error::{Error, Result};
use crate::mastodon::Installation;

/// A guard's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on.
    Allow,
    /// Do not.
    Refuse {
        /// What speaks against it, without a full stop.
        why: String,
        /// What the person can do.
        what_to_do: String,
    },
}

impl Verdict {
    /// The refusal as the error of `operation`, exit code 2.
    ///
    /// # Errors
    /// Fails where it is refused.
    pub fn or_refuse(self, operation: impl Into<String>) -> Result<()> {
        match self {
            Verdict::Allow => Ok(()),
            Verdict::Refuse { why, what_to_do } => {
                Err(Error::usage(operation).cause(why).hint(what_to_do))
            }
        }
    }
}

/// `sync --delete`: may objects without a local file be deleted?
pub fn may_sync_delete(installation: &Installation, target: &Target) -> Verdict {
    let _ = (installation, target);
    not_looked()
}

/// `sync --replace`: may an object be replaced by a local file with other content?
pub fn may_overwrite(installation: &Installation, target: &Target) -> Verdict {
    let _ = (installation, target);
    not_looked()
}

/// `cutover`: may the media directory be moved aside?
pub fn may_cutover(installation: &Installation, target: &Target) -> Verdict {
    let _ = (installation, target);
    not_looked()
}

/// `prune`: may local files be deleted?
pub fn may_prune(installation: &Installation, target: &Target) -> Verdict {
    let _ = (installation, target);
    not_looked()
}

/// `rollback`: may the old media directory take its place again?
pub fn may_rollback(installation: &Installation) -> Verdict {
    let _ = installation;
    not_looked()
}

/// `--not-mastodon`: may a command do without an installation?
pub fn may_do_without(installation: &Installation) -> Verdict {
    let _ = installation;
    Verdict::Allow
}

fn not_looked() -> Verdict {
    Verdict::Refuse {
        why: "the installation has not been looked at".to_owned(),
        what_to_do: "use a later build".to_owned(),
    }
}
