//! Which secrets there are, by name, and how that is known.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

/// The secrets that are known of.
#[derive(Clone, Serialize)]
pub(super) struct Secrets {
    /// By name: where it was seen, and its text, which is never shown.
    known: BTreeMap<String, (&'static str, Option<String>)>,
    /// Whether there are no others: one that is needed and not among them is missing.
    is_complete: bool,
}

impl Secrets {
    /// Those that are listed, and those in the file of `--secrets-file`. An empty text is none:
    /// the worker takes it for not set.
    pub(super) fn new(
        listed: Option<(&'static str, Vec<String>)>,
        file: Option<&Path>,
    ) -> Result<Self> {
        let is_complete = listed.is_some();
        let (source, names) = listed.unwrap_or_default();
        let mut known: BTreeMap<_, _> = names
            .into_iter()
            .map(|name| (name, (source, None)))
            .collect();
        for (name, text) in file.map(read).transpose()?.unwrap_or_default() {
            if !text.trim().is_empty() {
                known.insert(name, ("in `--secrets-file`", Some(text)));
            }
        }
        Ok(Self { known, is_complete })
    }

    /// Its text, where it was seen and not only named.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.known.get(name)?.1.as_deref()
    }
}

/// A file of secrets in either form that wrangler takes. Errors are without their cause: it would quote what
/// is in the file.
fn read(file: &Path) -> Result<BTreeMap<String, String>> {
    let unreadable = || format!("cannot read the secrets in `{}`", file.display());
    let text = std::fs::read_to_string(file).with_context(unreadable)?;
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(&text).ok().with_context(unreadable);
    }
    let lines = dotenvy::from_read_iter(text.as_bytes());
    lines
        .collect::<Result<_, _>>()
        .ok()
        .with_context(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_secrets_is_read_in_both_forms_and_an_empty_text_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("secrets");
        for text in [
            "# A comment\nPURGE_SECRET=\"a b\"\nB2_APPLICATION_KEY=\n",
            r#"{ "PURGE_SECRET": "a b", "B2_APPLICATION_KEY": "" }"#,
        ] {
            std::fs::write(&file, text).unwrap();
            let secrets = Secrets::new(None, Some(&file)).unwrap();
            assert_eq!(secrets.text("PURGE_SECRET"), Some("a b"));
            assert!(!secrets.known.contains_key("B2_APPLICATION_KEY"));
        }
        std::fs::write(&file, "{ \"PURGE_SECRET\": hush }").unwrap();
        let error = Secrets::new(None, Some(&file)).err().unwrap();
        assert!(!format!("{error:#}").contains("hush"));
    }
}
