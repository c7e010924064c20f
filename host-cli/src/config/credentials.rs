//! The application key: from the environment, a file or a prompt, never from a flag.

use std::io::{self, IsTerminal};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::secret::Secret;
use crate::error::{Error, Result};

/// Variable of the key's id, as the `b2` command names it.
pub const KEY_ID: &str = "B2_APPLICATION_KEY_ID";
/// Variable of the key itself, as the `b2` command names it.
pub const KEY: &str = "B2_APPLICATION_KEY";

/// An application key and its id.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// 25 characters; a master key's id has 12 hex digits.
    pub key_id: String,
    /// The key.
    pub key: Secret,
}

/// The kind of a key, by the form of its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// 12 hex digits, the account's id: the S3 endpoint refuses it.
    Master,
    /// 25 hex digits: an application key.
    Application,
    /// Of another service, or mistyped.
    Unknown,
}

impl Credentials {
    /// The kind of the key, by its id.
    pub fn kind(&self) -> KeyKind {
        let hex = self.key_id.bytes().all(|b| b.is_ascii_hexdigit());
        match self.key_id.len() {
            12 if hex => KeyKind::Master,
            25 if hex => KeyKind::Application,
            _ => KeyKind::Unknown,
        }
    }

    /// Fails for the master key, before any request is sent with it.
    ///
    /// # Errors
    /// Where [`Credentials::kind`] is [`KeyKind::Master`].
    pub fn refuse_master_key(&self) -> Result<()> {
        if self.kind() != KeyKind::Master {
            return Ok(());
        }
        Err(Error::usage(format!("use the key `{}`", self.key_id))
            .cause("it is the account's master key, which the S3 endpoint refuses")
            .hint(
                "create an application key for this bucket with `medialift provision`, and use it",
            ))
    }
}

/// The key from the file of the flag, else from the environment, else from the key file of the settings,
/// else from a prompt.
pub fn find(flag: Option<&Path>, configured: Option<&Path>) -> Result<Credentials> {
    if let Some(path) = flag {
        return from_file(path);
    }
    let id = variable(KEY_ID);
    let key = variable(KEY);
    match (id, key) {
        (Some(key_id), Some(key)) => return checked(key_id, key, "the environment"),
        (Some(_), None) => return Err(only_one_set(KEY_ID, KEY)),
        (None, Some(_)) => return Err(only_one_set(KEY, KEY_ID)),
        (None, None) => {}
    }
    if let Some(path) = configured {
        return from_file(path);
    }
    if io::stdin().is_terminal() && io::stderr().is_terminal() {
        return prompt();
    }
    Err(Error::usage("find the application key")
        .cause(format!("neither `{KEY_ID}` nor `{KEY}` is set"))
        .hint(format!(
            "export both, or put them as `{KEY_ID}=…` and `{KEY}=…` lines in a file of mode 0600 and give it with `--key-file`"
        )))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name)
        .ok()
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

fn only_one_set(set: &str, unset: &str) -> Error {
    Error::usage("find the application key")
        .cause(format!("`{set}` is set and `{unset}` is not"))
        .hint("set both: the id and the key are shown together when a key is created")
}

/// Reads `NAME=value` lines; quotes and `export` are allowed, other names are ignored.
fn from_file(path: &Path) -> Result<Credentials> {
    let operation = format!("read the key file `{}`", path.display());
    let text = read_owner_only(path, &operation)?;
    let value = |name: &str| {
        text.lines()
            .filter_map(|line| {
                let line = line.trim();
                let line = line.strip_prefix("export ").unwrap_or(line);
                let (key, value) = line.split_once('=')?;
                (key.trim() == name).then(|| value.trim().trim_matches(['"', '\'']).to_owned())
            })
            .next_back()
            .filter(|value| !value.is_empty())
    };
    match (value(KEY_ID), value(KEY)) {
        (Some(key_id), Some(key)) => checked(key_id, key, "the key file"),
        (id, _) => Err(Error::usage(operation)
            .cause(format!(
                "it has no `{}=` line",
                if id.is_none() { KEY_ID } else { KEY }
            ))
            .hint(format!("it needs two lines, `{KEY_ID}=…` and `{KEY}=…`"))),
    }
}

/// Reads a file with a secret; fails where other users can read it.
pub(super) fn read_owner_only(path: &Path, operation: &str) -> Result<String> {
    let text = std::fs::read_to_string(path).map_err(|e| {
        Error::usage(operation)
            .cause(e)
            .hint("check the path and its permissions")
    })?;
    let mode = std::fs::metadata(path)
        .map_err(|e| Error::usage(operation).cause(e))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        return Err(Error::usage(operation)
            .cause(format!(
                "other users can read it: its mode is {:04o}",
                mode & 0o7777
            ))
            .hint(format!("run `chmod 600 {}`", path.display())));
    }
    Ok(text)
}

fn prompt() -> Result<Credentials> {
    let failed = |e: io::Error| Error::usage("read the application key from the terminal").cause(e);
    let mut id = String::new();
    eprint!("keyID: ");
    io::stdin().read_line(&mut id).map_err(failed)?;
    let key = rpassword::prompt_password("applicationKey (not shown): ").map_err(failed)?;
    checked(id.trim().to_owned(), key.trim().to_owned(), "the terminal")
}

/// Rejects an id or a key that was pasted wrongly, before it leads to a signature that does not match.
fn checked(key_id: String, key: String, source: &str) -> Result<Credentials> {
    let fault = if key_id.is_empty() || key.is_empty() {
        Some("the id or the key is empty")
    } else if [&key_id, &key].iter().any(|v| v.starts_with(['"', '\''])) {
        Some("it has quotes around it")
    } else if [&key_id, &key].iter().any(|v| {
        v.chars()
            .any(|c| c.is_whitespace() || c.is_control() || !c.is_ascii())
    }) {
        Some("it has a space, a line break or another character that no key has")
    } else {
        None
    };
    match fault {
        Some(fault) => Err(Error::usage(format!("use the application key of {source}"))
            .cause(fault)
            .hint("copy the id and the key again, each without quotes and spaces")),
        None => Ok(Credentials {
            key_id,
            key: Secret::new(key),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_kind(key_id: &str, expected: KeyKind) {
        let credentials = checked(key_id.to_owned(), "k".to_owned(), "a test").unwrap();
        assert_eq!(credentials.kind(), expected);
    }

    #[test]
    fn the_id_shows_a_master_key() {
        check_kind("00161f959a5f87b0000000005", KeyKind::Application);
        check_kind("161f959a5f87", KeyKind::Master);
        check_kind("AKIDEXAMPLE", KeyKind::Unknown);
    }

    #[test]
    fn a_key_pasted_with_quotes_or_spaces_is_refused_and_never_shown() {
        for key in ["\"K001zqx\"", "K001 zqx", "", "K001zqxé"] {
            let error = checked("id".to_owned(), key.to_owned(), "a test").unwrap_err();
            assert!(!format!("{error}{error:?}").contains("zqx"), "{error}");
        }
        let fine = checked("id".to_owned(), "K001zqx".to_owned(), "a test").unwrap();
        assert!(!format!("{fine:?}").contains("zqx"), "{fine:?}");
    }
}
