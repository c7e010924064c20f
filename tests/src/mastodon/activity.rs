//! What users and scheduled tasks do all day, one thing after another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};

use super::{Deletion, Shared, State};

/// Between two of them.
const PAUSE: Duration = Duration::from_millis(4);
/// The instance grows to so many pictures and stays about there.
const PICTURES: usize = 600;

/// Users who write and delete, until they are stopped.
#[derive(Debug)]
pub struct Activity {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Result<u64>>,
}

impl Activity {
    pub(super) fn begin(shared: Arc<Shared>, replaces: bool) -> Activity {
        let ended = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let mut count = 0;
            while !over.load(Ordering::Relaxed) {
                shared.lock().act(replaces)?;
                count += 1;
                std::thread::sleep(PAUSE);
            }
            Ok(count)
        });
        Activity { ended, thread }
    }

    /// Ends it.
    ///
    /// # Errors
    /// Fails when Mastodon could not write or delete something, or was not asked to even once.
    pub fn stop(self) -> Result<()> {
        self.ended.store(true, Ordering::Relaxed);
        let done = self.thread.join().map_err(|_| anyhow!("it panicked"))??;
        ensure!(done > 0, "Mastodon did nothing meanwhile");
        Ok(())
    }
}

impl State {
    /// One action of a user; `replaces`: also what Mastodon does rarely, since it gives a file
    /// that it fetches again another name.
    fn act(&mut self, replaces: bool) -> Result<()> {
        let process = self.random.usize(..self.processes.len());
        let full = self.pictures.len() >= PICTURES;
        match self.random.u8(..100) {
            0..50 if !full => {
                self.upload_by(process)?;
            }
            // An avatar is fetched again and has other bytes. One that the storage in use does not have is
            // not: B2 takes no conditional write, so that between the check before an upload and the upload
            // itself anything may happen; and on the way back a process that was not restarted yet does not
            // know what is in the bucket only.
            50..56 if replaces => {
                if let Some(key) = self.any("cache/accounts/")
                    && self.processes[process].storage.has(&key)?
                {
                    let content = format!("fetched again {}", self.random.u64(..));
                    self.write(process, &key, content.as_bytes())?;
                }
            }
            56..62 => {
                if let Some(key) = self.any("media_attachments/") {
                    let hidden = self.pictures[&key].hidden;
                    // The bucket does not have it: an administrator must upload it first.
                    let lost = self
                        .processes
                        .iter()
                        .any(|process| process.storage.is_bucket())
                        && self.history.hidden_on_disk.contains(&key);
                    if !(hidden && lost) {
                        self.set_hidden(process, &[key], !hidden)?;
                    }
                }
            }
            62..70 => self.delete_old_remote_media(process, 3)?,
            _ => {
                let key = self.any("").filter(|key| !self.is_unseen(key));
                let keys: Vec<String> = key.into_iter().collect();
                self.delete(process, &keys, Deletion::Single)?;
            }
        }
        Ok(())
    }

    /// A random picture whose key begins so.
    fn any(&mut self, prefix: &str) -> Option<String> {
        let keys: Vec<&String> = self
            .pictures
            .keys()
            .filter(|key| key.starts_with(prefix))
            .collect();
        let chosen = self.random.usize(..keys.len().max(1));
        keys.get(chosen).map(|key| (*key).clone())
    }
}
