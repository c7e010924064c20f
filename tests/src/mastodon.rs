//! A simulated Mastodon: an installation on disk, and processes that read its settings when they
//! start, write and delete media where these say, and answer as the instance does.
//!
//! Leaves to others: the commands under test, the bucket, and the files domain. `installation` lays
//! out the directories, `settings` reads the environment, `storage` writes and deletes,
//! `container` is the bind mount of a Docker deployment, `instance` answers over HTTP, `activity`
//! is what users do all day, `reader` is who looks at the pictures, `ruby` is the bucket in the hands
//! of Mastodon's own gems.

mod activity;
mod container;
mod installation;
mod instance;
mod invariants;
mod reader;
mod ruby;
mod settings;
mod storage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context as _, Result};

use crate::media::files;

pub use self::activity::Activity;
use self::container::Container;
pub use self::installation::{Deployment, ENV_FILE, Installation};
use self::instance::Instance;
pub use self::invariants::Invariants;
pub use self::reader::{Reader, Seen};
use self::ruby::Ruby;
pub use self::settings::Settings;
use self::storage::Storage;

/// The host of the instance in its own settings.
pub const DOMAIN: &str = "example.com";

/// A picture in the instance's database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Every content that it has had, the present one last: what is cached may be older.
    pub versions: Vec<Vec<u8>>,
    /// Its account is suspended: nobody may see it.
    pub hidden: bool,
}

impl Picture {
    /// What it is now.
    #[must_use]
    pub fn content(&self) -> &[u8] {
        self.versions.last().map_or(&[], Vec::as_slice)
    }
}

/// What Mastodon did to media, for tests to compare with.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Its own last word on each key of the bucket: the content that it wrote, `None` where it
    /// deleted an object.
    pub in_bucket: BTreeMap<String, Option<Vec<u8>>>,
    /// What it deleted, on the disk or in the bucket, whether it was there or not.
    pub deleted: BTreeSet<String>,
    /// What it deleted on the disk: the bucket may have it, from an upload before that or after.
    pub deleted_on_disk: BTreeSet<String>,
    /// What it deleted when it used the bucket, which did not have it: its file was not uploaded yet.
    pub deleted_before_upload: BTreeSet<String>,
    /// What scheduled tasks deleted: the cache is not told, and may have it for a while.
    pub deleted_in_batches: BTreeSet<String>,
    /// What it wrote to the bucket beside a file that was not uploaded yet.
    pub written_before_upload: BTreeSet<String>,
    /// Pictures that were hidden on the disk at some time, and may be missing from the bucket.
    pub hidden_on_disk: BTreeSet<String>,
}

/// A process of the instance, with what it read when it started.
#[derive(Debug)]
struct Process {
    settings: Settings,
    storage: Storage,
}

/// Everything that changes, behind one lock: who holds it sees the instance between two requests.
#[derive(Debug)]
pub struct State {
    /// The database.
    pub pictures: BTreeMap<String, Picture>,
    /// What was done to media.
    pub history: History,
    /// Web and Sidekiq: both write media, and they restart one after the other.
    processes: Vec<Process>,
    /// The mount of a Docker deployment, since the containers were created.
    container: Option<Arc<Container>>,
    /// Where a host of the settings is on this machine: `https://files.example.com`.
    routes: BTreeMap<String, String>,
    next_id: u64,
    random: fastrand::Rng,
}

/// A running instance.
#[derive(Debug)]
pub struct Mastodon {
    shared: Arc<Shared>,
    instance: Instance,
}

#[derive(Debug)]
struct Shared {
    installation: Installation,
    state: Mutex<State>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Mastodon {
    /// Starts the processes of an installation. Media that are there become its pictures.
    ///
    /// # Errors
    /// Fails when the settings cannot be read, or a container cannot be created.
    pub fn start(installation: Installation, seed: u64) -> Result<Mastodon> {
        let pictures = files(&installation.media())?
            .into_iter()
            .map(|(key, content)| {
                let picture = Picture {
                    versions: vec![content],
                    hidden: false,
                };
                (key, picture)
            })
            .collect();
        let shared = Arc::new(Shared {
            installation,
            state: Mutex::new(State {
                pictures,
                history: History::default(),
                processes: Vec::new(),
                container: None,
                routes: BTreeMap::new(),
                next_id: 113_000_000_000_000_000,
                random: fastrand::Rng::with_seed(seed),
            }),
        });
        let instance = Instance::start(Arc::clone(&shared))?;
        let mastodon = Mastodon { shared, instance };
        mastodon.recreate()?;
        Ok(mastodon)
    }

    /// Its files and directories.
    #[must_use]
    pub fn installation(&self) -> &Installation {
        &self.shared.installation
    }

    /// Where the instance answers on this machine, without a slash at its end.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.instance.url
    }

    /// Says where a host of the settings (`https://files.example.com`) is on this machine.
    pub fn route(&self, host: &str, url: &str) {
        let url = url.trim_end_matches('/').to_owned();
        self.lock().routes.insert(host.to_owned(), url);
    }

    /// Everything that changes; nothing is written or deleted while this is held.
    pub fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }

    /// `systemctl restart mastodon-*.service`, or `docker compose restart`: the processes restart one
    /// after the other, and each writes once while the other has not.
    ///
    /// # Errors
    /// Fails when the settings cannot be read or a write fails.
    pub fn restart(&self) -> Result<()> {
        self.shared.restart()
    }

    /// `docker compose up -d --force-recreate`: new containers, which mount the directory that has the
    /// name now, and read their env file again. Without Docker this is a start.
    ///
    /// # Errors
    /// As [`Mastodon::restart`], and when a container cannot be created.
    pub fn recreate(&self) -> Result<()> {
        self.shared.recreate()
    }

    /// Writes a new picture, and returns its key.
    ///
    /// # Errors
    /// Fails when it cannot be written.
    pub fn upload(&self) -> Result<String> {
        self.lock().upload_by(0)
    }

    /// Writes a picture under this key.
    ///
    /// # Errors
    /// Fails when it cannot be written.
    pub fn write(&self, key: &str, content: &[u8]) -> Result<()> {
        self.lock().write(0, key, content)
    }

    /// Deletes a picture.
    ///
    /// # Errors
    /// Fails when it cannot be deleted.
    pub fn delete(&self, key: &str) -> Result<()> {
        self.lock().delete(0, &[key.to_owned()], Deletion::Single)
    }

    /// The daily deletion of remote media past the retention period.
    ///
    /// # Errors
    /// Fails when one cannot be deleted.
    pub fn delete_old_remote_media(&self, count: usize) -> Result<()> {
        self.lock().delete_old_remote_media(1, count)
    }

    /// Suspends the account that these pictures are of.
    ///
    /// # Errors
    /// Fails when the storage refuses.
    pub fn suspend(&self, keys: &[String]) -> Result<()> {
        self.lock().set_hidden(1, keys, true)
    }

    /// Takes a suspension back.
    ///
    /// # Errors
    /// Fails when the storage refuses.
    pub fn unsuspend(&self, keys: &[String]) -> Result<()> {
        self.lock().set_hidden(1, keys, false)
    }

    /// Users write and delete until the activity is stopped.
    #[must_use]
    pub fn begin_activity(&self) -> Activity {
        Activity::begin(Arc::clone(&self.shared), false)
    }

    /// The same, and media are also replaced under their own names.
    #[must_use]
    pub fn begin_activity_with_replacements(&self) -> Activity {
        Activity::begin(Arc::clone(&self.shared), true)
    }

    /// Somebody looks at random pictures until they are stopped.
    #[must_use]
    pub fn begin_reading(&self) -> Reader {
        Reader::begin(Arc::clone(&self.shared))
    }
}

impl Shared {
    fn restart(&self) -> Result<()> {
        let count = self.lock().processes.len();
        for index in 0..count {
            let mut state = self.lock();
            let settings = match self.installation.deployment {
                Deployment::Systemd => self.installation.settings()?,
                // A container keeps the environment that it was created with.
                Deployment::Docker => state.processes[index].settings.clone(),
            };
            state.processes[index] = state.process(&self.installation, settings)?;
            for process in 0..count {
                state.upload_by(process)?;
            }
        }
        Ok(())
    }

    fn recreate(&self) -> Result<()> {
        let installation = &self.installation;
        let container = match installation.deployment {
            Deployment::Systemd => None,
            Deployment::Docker => Some(Arc::new(Container::start(
                &installation.media(),
                &installation.mount_point(),
            )?)),
        };
        let mut state = self.lock();
        state.container = container;
        state.processes.clear();
        for _ in ["web", "sidekiq"] {
            let settings = installation.settings()?;
            let process = state.process(installation, settings)?;
            state.processes.push(process);
        }
        Ok(())
    }
}

/// How Mastodon deletes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deletion {
    /// One attachment, by a user; the cache buster is told.
    Single,
    /// Many, by a scheduled task; the cache buster is not told.
    Batch,
}

impl State {
    fn process(&self, installation: &Installation, settings: Settings) -> Result<Process> {
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

    /// Where `https://host/path` is on this machine.
    fn routed(&self, url: &str) -> Result<String> {
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

    /// The address that the instance hands out for a picture.
    fn address(&self, key: &str) -> Option<String> {
        self.processes
            .first()
            .map(|process| process.settings.address(key))
    }

    fn upload_by(&mut self, process: usize) -> Result<String> {
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
    fn any_visible(&mut self) -> Option<String> {
        let visible: Vec<&String> = self
            .pictures
            .iter()
            .filter(|(_, picture)| !picture.hidden)
            .map(|(key, _)| key)
            .collect();
        let chosen = self.random.usize(..visible.len().max(1));
        visible.get(chosen).map(|key| (*key).clone())
    }

    fn write(&mut self, process: usize, key: &str, content: &[u8]) -> Result<()> {
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

    fn delete(&mut self, process: usize, keys: &[String], how: Deletion) -> Result<()> {
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

    /// Nobody could tell its deletion from a file that never was in the bucket.
    fn is_unseen(&self, key: &str) -> bool {
        self.history.written_before_upload.contains(key)
    }

    fn delete_old_remote_media(&mut self, process: usize, count: usize) -> Result<()> {
        let old: Vec<String> = self
            .pictures
            .keys()
            .filter(|key| key.starts_with("cache/") && !self.is_unseen(key))
            .take(count)
            .cloned()
            .collect();
        self.delete(process, &old, Deletion::Batch)
    }

    fn set_hidden(&mut self, process: usize, keys: &[String], hidden: bool) -> Result<()> {
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
