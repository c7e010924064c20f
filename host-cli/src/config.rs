//! Settings: flags outrank the environment, which outranks `medialift.toml`.
//!
//! They are parsed into types here. Secrets come from the environment, a file or a prompt, never from a
//! flag.

mod credentials;
mod file;
mod purge_secret;
mod secret;
mod target;
mod version;

use std::path::{Path, PathBuf};

pub use self::credentials::{Credentials, KEY, KEY_ID, KeyKind, find as find_credentials};
pub use self::file::{
    Deployment, File, Mastodon, MediaOwner, Nginx, OriginCacheControl, Visibility,
};
pub use self::purge_secret::PurgeSecretArgs;
pub use self::secret::Secret;
pub use self::target::{Endpoint, LONGEST_KEY, Target, TargetArgs, settings_error, with_slash};
pub use self::version::Version;
use crate::error::{Error, Result};

/// The state directory: that of the flag, else of the settings file, else of the user.
///
/// # Errors
/// Fails where none is named and the user has no home directory.
pub fn state_dir(flag: Option<&Path>, file: &File) -> Result<PathBuf> {
    if let Some(path) = flag.or(file.state_dir.as_deref()) {
        return Ok(path.to_owned());
    }
    let variable = |name: &str| {
        std::env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    variable("XDG_STATE_HOME")
        .or_else(|| variable("HOME").map(|home| home.join(".local/state")))
        .map(|state| state.join("medialift"))
        .ok_or_else(|| {
            Error::usage("find the state directory")
                .cause("neither `XDG_STATE_HOME` nor `HOME` is set")
                .hint("give a directory with `--state-dir`, or as `state_dir` in medialift.toml")
        })
}
