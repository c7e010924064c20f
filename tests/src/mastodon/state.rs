//! The instance's database and history, and what its processes do to media.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use anyhow::{Context as _, Result};

use super::container::Container;
use super::installation::Installation;
use super::ruby::Ruby;
use super::settings::Settings;
use super::storage::Storage;

/// A picture in the instance's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Every content that it has had, the present one last: what is cached may be older.
    pub versions: Vec<Vec<u8>>,
    /// Its account is suspended: nobody may see it.
    pub hidden: bool,
}

impl Picture {
    /// The present content.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        self.versions.last().map_or(&[], Vec::as_slice)
    }
}

/// What Mastodon did to media, for tests to compare with.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Its last change of each key in the bucket: the content that it wrote, `None` where it deleted the
    /// object.
    pub in_bucket: BTreeMap<String, Option<Vec<u8>>>,
    /// What it deleted, on the disk or in the bucket, whether it was there or not.
    pub deleted: BTreeSet<String>,
    /// What it deleted on the disk: the bucket may have it, from an upload before that or after.
    pub deleted_on_disk: BTreeSet<String>,
    /// What it deleted when it used the bucket, which did not have it: its file was not uploaded yet.
    pub deleted_before_upload: BTreeSet<String>,
    /// What scheduled tasks deleted: it is not purged, and the cache may have it for a while.
    pub deleted_in_batches: BTreeSet<String>,
    /// What it wrote to the bucket beside a file that was not uploaded yet.
    pub written_before_upload: BTreeSet<String>,
    /// Pictures that were hidden on the disk at some time, and may be missing from the bucket.
    pub hidden_on_disk: BTreeSet<String>,
}

/// A process of the instance, with what it read when it started.
#[derive(Debug)]
pub(super) struct Process {
    pub(super) settings: Settings,
    pub(super) storage: Storage,
}

/// Everything that changes, behind one lock: its holder sees the instance between two requests.
#[derive(Debug)]
pub struct State {
    /// The database.
    pub pictures: BTreeMap<String, Picture>,
    /// What was done to media.
    pub history: History,
    /// Web and Sidekiq: both write media, and they restart one after the other.
    pub(super) processes: Vec<Process>,
    /// The mount of a Docker deployment, since the containers were created.
    pub(super) container: Option<Arc<Container>>,
    /// URLs on this machine, by the host in the settings: `https://files.example.com`.
    pub(super) routes: BTreeMap<String, String>,
    pub(super) next_id: u64,
    pub(super) random: fastrand::Rng,
}

/// How Mastodon deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deletion {
    /// One attachment, by a user; it is purged from the cache.
    Single,
    /// Many, by a scheduled task; they are not purged.
    Batch,
}

impl State {
    pub(super) fn process(
        &self,
        installation: &Installation,
        settings: Settings,
    ) -> Result<Process> {
        let directory = match &self.container {
            Some(container) => container.view(),
            None => settings.media_directory(&installation.live),
        };
        let storage = if !settings.uses_bucket() {
            Storage::Disk(directory)
        } else if installation.ruby {
            let endpoint = settings.get("S3_ENDPOINT").context("no `S3_ENDPOINT`")?;
            Storage::Ruby(Ruby::start(&installation.live, &self.routed(endpoint)?)?)
        } else {
            Storage::bucket(&settings, &|host| self.routed(host))?
        };
        Ok(Process { settings, storage })
    }

    /// The URL on this machine for `https://host/path`.
    pub(super) fn routed(&self, url: &str) -> Result<String> {
        if url.starts_with("http://127.0.0.1:") {
            return Ok(url.to_owned());
        }
        let (host, local) = self
            .routes
            .iter()
            .find(|(host, _)| url.starts_with(host.as_str()))
            .with_context(|| format!("no route to `{url}`"))?;
        Ok(url.replacen(host.as_str(), local, 1))
    }

    /// The public URL of a picture.
    pub(super) fn address(&self, key: &str) -> Option<String> {
        self.processes
            .first()
            .map(|process| process.settings.address(key))
    }

    pub(super) fn upload_by(&mut self, process: usize) -> Result<String> {
        let key = self.new_key();
        let content = format!("picture {} {}", self.next_id, self.random.u64(..)).into_bytes();
        self.write(process, &key, &content)?;
        Ok(key)
    }

    /// As Mastodon names attachments: class, attachment, id in parts, style, file name.
    fn new_key(&mut self) -> String {
        const KINDS: [&str; 5] = [
            "media_attachments/files",
            "accounts/avatars",
            "cache/media_attachments/files",
            "cache/accounts/avatars",
            "cache/preview_cards/images",
        ];
        self.next_id += self.random.u64(1..5_000);
        let digits = self.next_id.to_string();
        let parts: Vec<&str> = (0..digits.len())
            .step_by(3)
            .map(|start| &digits[start..start + 3])
            .collect();
        let kind = KINDS[self.random.usize(..KINDS.len())];
        let name = self.random.u64(..);
        format!("{kind}/{}/original/{name:016x}.png", parts.join("/"))
    }

    /// A random picture that everybody may see.
    pub(super) fn any_visible(&mut self) -> Option<String> {
        let visible: Vec<&String> = self
            .pictures
            .iter()
            .filter(|(_, picture)| !picture.hidden)
            .map(|(key, _)| key)
            .collect();
        let chosen = self.random.usize(..visible.len().max(1));
        visible.get(chosen).map(|key| (*key).clone())
    }

    pub(super) fn write(&mut self, process: usize, key: &str, content: &[u8]) -> Result<()> {
        let storage = &self.processes[process].storage;
        let was_elsewhere = self.pictures.contains_key(key) && !storage.has(key)?;
        storage.write(key, content)?;
        if storage.is_bucket() {
            if was_elsewhere {
                self.history.written_before_upload.insert(key.to_owned());
            }
            let written = Some(content.to_vec());
            self.history.in_bucket.insert(key.to_owned(), written);
        }
        self.history.deleted.remove(key);
        self.pictures
            .entry(key.to_owned())
            .or_insert(Picture {
                versions: Vec::new(),
                hidden: false,
            })
            .versions
            .push(content.to_vec());
        Ok(())
    }

    pub(super) fn delete(&mut self, process: usize, keys: &[String], how: Deletion) -> Result<()> {
        for key in keys {
            self.pictures.remove(key);
        }
        let Process { settings, storage } = &self.processes[process];
        let deleted = storage.delete(keys, how == Deletion::Batch)?;
        if how == Deletion::Single {
            for key in keys {
                settings.purge(key, &|host| self.routed(host))?;
            }
        }
        let History {
            deleted_on_disk,
            deleted_before_upload,
            deleted_in_batches,
            ..
        } = &mut self.history;
        if how == Deletion::Batch {
            deleted_in_batches.extend(keys.iter().cloned());
        }
        if storage.is_bucket() {
            let missing = keys.iter().filter(|key| !deleted.contains(key));
            deleted_before_upload.extend(missing.cloned());
            let deleted = deleted.into_iter().map(|key| (key, None));
            self.history.in_bucket.extend(deleted);
        } else {
            deleted_on_disk.extend(keys.iter().cloned());
        }
        self.history.deleted.extend(keys.iter().cloned());
        Ok(())
    }

    /// Whether it was never in the bucket as a file of the disk: its deletion would not be recognised.
    pub(super) fn is_unseen(&self, key: &str) -> bool {
        self.history.written_before_upload.contains(key)
    }

    pub(super) fn delete_old_remote_media(&mut self, process: usize, count: usize) -> Result<()> {
        let old: Vec<String> = self
            .pictures
            .keys()
            .filter(|key| key.starts_with("cache/") && !self.is_unseen(key))
            .take(count)
            .cloned()
            .collect();
        self.delete(process, &old, Deletion::Batch)
    }

    pub(super) fn set_hidden(
        &mut self,
        process: usize,
        keys: &[String],
        hidden: bool,
    ) -> Result<()> {
        let Process { settings, storage } = &self.processes[process];
        for key in keys {
            storage.set_hidden(key, hidden, settings)?;
            settings.purge(key, &|host| self.routed(host))?;
            if let Some(picture) = self.pictures.get_mut(key) {
                picture.hidden = hidden;
            }
            if !storage.is_bucket() {
                self.history.hidden_on_disk.insert(key.clone());
            }
        }
        Ok(())
    }
}
