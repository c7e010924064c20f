//! Changes since the last step: new local files, settings, the health of the files domain.

use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

use http::Method;
use serde::Serialize;

use super::{StatusArgs, date};
use crate::config::Target;
use crate::context::Context;
use crate::error::{self, Error, Result};
use crate::format::{counted, human_bytes};
use crate::ledger::Action;
use crate::ledger::steps::Situation;
use crate::mastodon::{Installation, Owner, Running};
use crate::swap::git::Exclusion;
use crate::swap::{MediaPaths, Phase};
use crate::tree::{self, TreeEntry};
use crate::verify::domain::{Domain, SiteUrl};

/// Longest wait for the files domain.
const TIMEOUT: Duration = Duration::from_secs(10);

/// What is reported below the table.
#[derive(Debug, Default, Serialize)]
pub(super) struct Changes {
    /// Who owns the media, as a sentence.
    owner: String,
    /// Files that were written to the media directory since the last complete sync, or the cutover.
    new_local_files: Option<NewFiles>,
    /// The response of the files domain.
    files_domain: Option<String>,
    /// What needs attention, as sentences.
    pub(super) attention: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, Serialize)]
struct NewFiles {
    /// Seconds since 1970.
    since: i64,
    files: u64,
    bytes: u64,
}

impl Changes {
    pub(super) async fn collect(
        args: &StatusArgs,
        context: &Context,
        situation: &Situation<'_>,
        installation: &Installation,
        target: Option<&Target>,
        paths: &MediaPaths,
    ) -> Result<Changes> {
        let mut changes = Changes {
            owner: owner(installation),
            ..Changes::default()
        };
        changes.settings(situation, installation, target);
        if let Some(sync) = situation.last_sync() {
            let new = new_files(paths.live(), sync.began).await?;
            if situation.phase == Some(Phase::Moved) && new.files > 0 {
                changes.attention.push(format!(
                    "Mastodon has written {} to `{}` since the cutover: a process still uses the disk; restart all processes",
                    counted(new.files, "file", "files"),
                    paths.live().display()
                ));
            }
            changes.new_local_files = Some(new);
        }
        if situation.phase == Some(Phase::Moving) {
            changes.attention.push(
                "a cutover was interrupted: complete it with `medialift cutover`, or undo it with `medialift rollback`"
                    .to_owned(),
            );
        }
        if situation.phase == Some(Phase::Returning) {
            changes.attention.push(
                "a rollback was interrupted: complete it with `medialift rollback`".to_owned(),
            );
        }
        if situation.phase.is_some()
            && let Ok(Some(exclusion)) = Exclusion::of(&paths.parent, &paths.name)
            && !exclusion.is_complete()
        {
            changes.attention.push(format!(
                "`git clean -fd` in Mastodon's checkout would delete `{}`: add it to `.git/info/exclude`",
                paths.kept().display()
            ));
        }
        let url = args.files_url.as_ref().or(context.file.files_url.as_ref());
        if let Some(url) = url {
            match health(url).await {
                Ok(answer) => changes.files_domain = Some(answer),
                Err(reason) => changes
                    .attention
                    .push(format!("the files domain `{url}` has a problem: {reason}")),
            }
        }
        Ok(changes)
    }

    fn settings(
        &mut self,
        situation: &Situation<'_>,
        installation: &Installation,
        target: Option<&Target>,
    ) {
        if let Running::Unknown(why) = &installation.running {
            self.attention.push(format!(
                "the settings that Mastodon runs with cannot be determined: {why}"
            ));
        }
        if let Some(why) = installation.differs_from_settings() {
            self.attention.push(format!(
                "Mastodon runs with older settings, restart it: {why}"
            ));
        }
        if installation.owner == Owner::Disk && situation.phase == Some(Phase::Moved) {
            self.attention.push(format!(
                "Mastodon keeps its media in `{}`, which the cutover has moved aside: it finds no media; move the directory back with `medialift rollback`, or write the settings of the bucket with `medialift env`",
                installation.media_dir.display()
            ));
        }
        if let (Owner::Bucket, Some(target)) = (&installation.owner, target)
            && !installation.owns_in(target)
        {
            let storage = installation.storage.as_ref();
            let used = storage.map_or_else(|| "another bucket".to_owned(), |s| format!("`{s}`"));
            self.attention.push(format!(
                "Mastodon keeps its media in {used}, not in `{target}`: check `bucket`, `endpoint` and `key_prefix` in medialift.toml"
            ));
        }
        let by_medialift =
            |action| matches!(action, Action::Announce | Action::Switch | Action::Undo);
        let written = situation
            .entries
            .iter()
            .rev()
            .find(|e| by_medialift(e.action));
        if let (Some(entry), Some(changed)) = (written, newest(&installation.env_files))
            && changed > entry.at
        {
            self.attention.push(format!(
                "Mastodon's settings were changed on {} UTC, after the last `medialift env`: check them with `medialift env --lint`",
                date(changed)
            ));
        }
    }

    pub(super) fn text(&self) -> String {
        let mut out = format!("{}\n", self.owner);
        if let Some(new) = &self.new_local_files {
            out.push_str(&format!(
                "{} ({}) written to the media directory since {} UTC\n",
                counted(new.files, "file", "files"),
                human_bytes(new.bytes),
                date(new.since)
            ));
        }
        if let Some(answer) = &self.files_domain {
            out.push_str(&format!("{answer}\n"));
        }
        for line in &self.attention {
            out.push_str(&format!("attention: {line}\n"));
        }
        out
    }
}

fn owner(installation: &Installation) -> String {
    match &installation.owner {
        Owner::Disk => format!(
            "Mastodon keeps its media in `{}`",
            installation.media_dir.display()
        ),
        Owner::Bucket => match &installation.storage {
            Some(storage) => format!(
                "Mastodon keeps its media in the bucket `{}`",
                storage.bucket
            ),
            None => "Mastodon keeps its media in a bucket".to_owned(),
        },
        Owner::Unknown(why) => {
            format!("where Mastodon keeps its media cannot be determined: {why}")
        }
    }
}

/// When one of `files` was last changed, seconds since 1970.
pub(super) fn newest(files: &[PathBuf]) -> Option<i64> {
    let changed = |path: &PathBuf| {
        let modified = std::fs::metadata(path).ok()?.modified().ok()?;
        let since_1970 = modified.duration_since(UNIX_EPOCH).ok()?;
        i64::try_from(since_1970.as_secs()).ok()
    };
    files.iter().filter_map(changed).max()
}

/// Counts the files below `root` that were changed since.
async fn new_files(root: PathBuf, since: i64) -> Result<NewFiles> {
    let counted = tokio::task::spawn_blocking(move || count(root, since)).await;
    counted.map_err(|e| Error::new("read the media directory").cause(e))?
}

fn count(root: PathBuf, since: i64) -> Result<NewFiles> {
    let mut new = NewFiles {
        since,
        ..NewFiles::default()
    };
    let nanoseconds = since.saturating_mul(1_000_000_000);
    let tree = tree::WalkOptions {
        root,
        prefix_length: 0,
        follow_links: false,
    };
    for entry in tree::walk(&tree)? {
        if let TreeEntry::File(file) = entry
            && file.stamp.changed >= nanoseconds
        {
            new.files += 1;
            new.bytes += file.stamp.size;
        }
    }
    Ok(new)
}

/// Requests the root of the files domain; fails where there is no response or a server error.
async fn health(url: &str) -> Result<String, String> {
    let domain = Domain::new(SiteUrl::parse(url)?);
    let root = domain.url.of("");
    let response = tokio::time::timeout(TIMEOUT, domain.send(Method::GET, &root, &[])).await;
    match response {
        Err(_) => Err(format!("no response within {} seconds", TIMEOUT.as_secs())),
        Ok(Err(e)) => Err(error::chain(&e)),
        Ok(Ok(response)) if response.status.is_server_error() => {
            Err(format!("it answers {}", response.status))
        }
        Ok(Ok(response)) => Ok(format!(
            "the files domain answers ({} in {} ms)",
            response.status.as_u16(),
            response.elapsed.as_millis()
        )),
    }
}
