//! The purge secret, which the worker and Mastodon share: flags, and where it is read from.

use std::path::{Path, PathBuf};

use clap::Args;

use super::credentials::read_owner_only;
use super::file::File;
use super::secret::Secret;
use crate::error::{Error, Result};

/// Variable of the purge secret.
const PURGE_SECRET: &str = "PURGE_SECRET";

/// Flags of the purge secret. A flag outranks the environment, which outranks the settings file.
#[derive(Clone, Debug, Args)]
pub struct PurgeSecretArgs {
    /// Header that carries the purge secret
    #[arg(
        long,
        alias = "header",
        value_name = "NAME",
        env = "PURGE_SECRET_HEADER",
        default_value = "X-Purge-Secret"
    )]
    pub purge_header: String,
    /// File that contains only the purge secret, mode 0600 [default: the variable `PURGE_SECRET`, else
    /// `purge_secret_file` of the settings file]
    #[arg(long, alias = "secret-file", value_name = "FILE")]
    pub purge_secret_file: Option<PathBuf>,
}

impl PurgeSecretArgs {
    /// The purge secret; none where none is named.
    pub fn secret(&self, file: &File) -> Result<Option<Secret>> {
        let variable = std::env::var(PURGE_SECRET).ok();
        find(
            self.purge_secret_file.as_deref(),
            variable,
            file.purge_secret_file.as_deref(),
        )
    }
}

fn find(
    flag: Option<&Path>,
    variable: Option<String>,
    configured: Option<&Path>,
) -> Result<Option<Secret>> {
    if let Some(path) = flag {
        return from_file(path).map(Some);
    }
    match variable.filter(|value| !value.trim().is_empty()) {
        Some(value) => Ok(Some(Secret::new(value.trim()))),
        None => configured.map(from_file).transpose(),
    }
}

fn from_file(path: &Path) -> Result<Secret> {
    let operation = format!("read the purge secret from `{}`", path.display());
    let text = read_owner_only(path, &operation)?;
    match text.trim() {
        "" => Err(Error::usage(operation)
            .cause("it is empty")
            .hint("it must contain the secret and nothing else")),
        secret => Ok(Secret::new(secret)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn write(path: &Path, text: &str, mode: u32) {
        fs::write(path, text).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn the_flag_outranks_the_variable_which_outranks_the_settings_file() {
        let directory = tempfile::tempdir().unwrap();
        let flag = directory.path().join("flag");
        write(&flag, "of the flag\n", 0o600);
        let configured = directory.path().join("configured");
        write(&configured, "of the file\n", 0o600);
        #[track_caller]
        fn check(
            flag: Option<&Path>,
            variable: Option<&str>,
            configured: Option<&Path>,
            expected: Option<&str>,
        ) {
            let found = find(flag, variable.map(str::to_owned), configured).unwrap();
            assert_eq!(found.as_ref().map(Secret::expose), expected);
        }
        let (flag, configured) = (Some(flag.as_path()), Some(configured.as_path()));
        let variable = Some("of the variable");
        check(flag, variable, configured, Some("of the flag"));
        check(None, variable, configured, variable);
        check(None, Some(" of the variable\n"), configured, variable);
        check(None, Some(""), configured, Some("of the file"));
        check(None, None, None, None);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_as_an_absent_or_empty_one() {
        let directory = tempfile::tempdir().unwrap();
        let check = |name: &str, cause: &str| {
            let error = from_file(&directory.path().join(name)).unwrap_err();
            assert!(error.to_string().contains(cause), "{error}");
        };
        write(&directory.path().join("shared"), "of everybody", 0o644);
        check("shared", "other users can read it: its mode is 0644");
        write(&directory.path().join("empty"), "\n", 0o600);
        check("empty", "it is empty");
        check("absent", "No such file");
    }
}
