//! A simulated Mastodon: an installation on disk, and processes that read its settings when they
//! start, write and delete media in the disk or bucket that these name, and answer as the instance does.
//!
//! Leaves to others: the commands under test, the bucket, and the files domain. `installation` lays
//! out the directories, `settings` reads the environment, `storage` writes and deletes,
//! `container` is the bind mount of a Docker deployment, `instance` answers over HTTP, `state` has the
//! database, `activity` makes the requests of users, `reader` reads pictures, `ruby` writes to the
//! bucket by Mastodon's own gems.

mod activity;
mod container;
mod installation;
mod instance;
mod invariants;
mod reader;
mod ruby;
mod settings;
mod state;
mod storage;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;

use crate::media::files;

pub use self::activity::Activity;
use self::container::Container;
pub use self::installation::{Deployment, ENV_FILE, Installation};
use self::instance::Instance;
pub use self::invariants::Invariants;
pub use self::reader::{Reader, Seen};
pub use self::settings::Settings;
use self::state::Deletion;
pub use self::state::{History, Picture, State};

/// The host of the instance in its own settings.
pub const DOMAIN: &str = "example.com";

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

    /// Sets the URL on this machine for a host of the settings (`https://files.example.com`).
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

    /// Reads random pictures until it is stopped.
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
