//! The settings of the switch and of `--announce`, and whether every reader of the file would read them so.

use super::EnvArgs;
use super::inputs;
use super::report::Edit;
use crate::context::Context;
use crate::dotenv::readers::Reader;
use crate::dotenv::settings::{CacheBuster, Switch, UNLESS_SET, with_media_host};
use crate::dotenv::values::{self, Environment, Gem, Value};
use crate::dotenv::{Document, Style};
use crate::error::Result;

/// A variable and its value.
pub(super) type Setting = (&'static str, String);

/// `EXTRA_MEDIA_HOSTS` with the files domain.
pub(super) fn announcement(
    args: &EnvArgs,
    context: &Context,
    document: &Document,
) -> Result<Vec<Setting>> {
    let url = inputs::required_files_url(args, context)?.to_string();
    let hosts = with_media_host(document.value("EXTRA_MEDIA_HOSTS").as_deref(), &url);
    Ok(vec![("EXTRA_MEDIA_HOSTS", hosts)])
}

/// The settings of the bucket, and of the cache buster if its secret is known.
pub(super) fn settings(
    args: &EnvArgs,
    context: &Context,
    document: &Document,
) -> Result<Vec<Setting>> {
    let target = args.target.resolve(&context.file)?;
    let url = inputs::required_files_url(args, context)?;
    let credentials = args.target.credentials(&context.file)?;
    credentials.refuse_master_key()?;
    let secret = args.secret.secret(&context.file)?;
    let cache_buster = secret.map(|secret| CacheBuster {
        method: args.purge_method.as_str().to_owned(),
        header: args.secret.purge_header.clone(),
        secret,
    });
    if cache_buster.is_none() && document.value("CACHE_BUSTER_SECRET").is_none() {
        context.ui.say(
            "note: there is no purge secret (`purge_secret_file` in medialift.toml, \
             `--purge-secret-file` or `PURGE_SECRET`), so the settings of the cache buster are not changed: \
             deleted files stay readable at the files domain until they expire there",
        );
    }
    let switch = Switch {
        target: &target,
        credentials: &credentials,
        files_host: url.authority(),
        visibility: inputs::required_visibility(args, context)?,
        cache_buster: cache_buster.as_ref(),
    };
    let mut settings = switch.settings();
    let unless_set = UNLESS_SET
        .into_iter()
        .filter(|(key, _)| document.get(key).is_none());
    settings.extend(unless_set.map(|(key, value)| (key, value.to_owned())));
    Ok(settings)
}

/// Fails where the gem, systemd or Docker would read another value of a setting.
pub(super) fn read_back(
    after: &Document,
    settings: &[Setting],
    style: Style,
) -> Result<(), String> {
    let readers: &[Reader] = match style {
        Style::Quoted => &[Reader::Systemd, Reader::Compose],
        Style::Literal => &[Reader::DockerRun],
    };
    let text = String::from_utf8_lossy(&after.to_bytes()).into_owned();
    for reader in readers {
        let values = reader.read(&text);
        for (key, value) in settings {
            let reference = after.get(key).is_some_and(|a| a.written().contains(&b'$'));
            // Some readers ignore lines with `export`, which were in the file before.
            if !reference && values.get(*key).is_some_and(|read| read != value) {
                return Err(format!(
                    "{} would read another value of `{key}`",
                    reader.name()
                ));
            }
        }
    }
    for gem in Gem::ALL {
        let values = values::read(after, gem, &Environment::default()).unwrap_or_default();
        let differs = |(key, value): &&(&str, String)| {
            let read = values.get(*key);
            read.is_some_and(|read| *read != Value::Known(value.clone()))
        };
        if let Some((key, _)) = settings.iter().find(differs) {
            return Err(format!("Mastodon would read another value of `{key}`"));
        }
    }
    Ok(())
}

/// The settings that differ between both documents.
pub(super) fn edits(before: &Document, after: &Document, settings: &[Setting]) -> Vec<Edit> {
    let differs = |key: &&str| {
        let written = |document: &Document| document.get(key).map(|a| a.written().to_vec());
        written(before) != written(after)
    };
    let mut edits: Vec<Edit> = settings
        .iter()
        .map(|(key, _)| *key)
        .filter(differs)
        .map(|key| Edit::new(before, after, key))
        .collect();
    // Lines are numbered as in the new file.
    edits.sort_by_key(|edit| edit.line);
    edits
}
