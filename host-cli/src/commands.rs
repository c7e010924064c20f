//! One module a command. Each has its `Args` and `run(args, context) -> Result<Exit>`.

pub mod check;
pub mod completions;
pub mod cutover;
pub mod env;
pub mod man;
pub mod plan;
pub mod provision;
pub mod prune;
pub mod purge;
pub mod rollback;
pub mod status;
pub mod sync;
pub mod verify;
pub mod version;

use std::path::{Path, PathBuf};

use crate::Context;
use crate::error::{Error, Result};

/// The media directory of the flags or the configuration.
pub(crate) fn media_dir(flag: Option<&Path>, context: &Context) -> Result<PathBuf> {
    flag.map(Path::to_owned)
        .or_else(|| context.file.media_dir.clone())
        .ok_or_else(|| {
            Error::usage("find the media directory")
                .cause("none is named")
                .hint("give it, e.g. `/home/mastodon/live/public/system`, or put `media_dir = \"…\"` in medialift.toml")
        })
}
