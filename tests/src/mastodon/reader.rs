//! A reader who requests pictures all the time, at the URLs that the instance hands out and at
//! those that it handed out before.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use anyhow::{Result, anyhow, bail, ensure};

use super::{DOMAIN, Shared};
use crate::client::Client;

/// How many redirects are followed.
const REDIRECTS: usize = 3;

/// How often pictures were read, by the host that gave them.
pub type Seen = BTreeMap<String, u64>;

/// A reader, until it is stopped.
#[derive(Debug)]
pub struct Reader {
    ended: Arc<AtomicBool>,
    thread: JoinHandle<Result<Seen>>,
}

impl Reader {
    pub(super) fn begin(shared: Arc<Shared>) -> Reader {
        let ended = Arc::new(AtomicBool::new(false));
        let over = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let mut seen = Seen::new();
            while !over.load(Ordering::Relaxed) {
                read_one(&shared, &mut seen)?;
            }
            Ok(seen)
        });
        Reader { ended, thread }
    }

    /// Ends it, and says what was read.
    ///
    /// # Errors
    /// Fails when a picture that exists was not given, or with bytes that it never had.
    pub fn stop(self) -> Result<Seen> {
        self.ended.store(true, Ordering::Relaxed);
        let seen = self.thread.join().map_err(|_| anyhow!("it panicked"))??;
        ensure!(!seen.is_empty(), "nothing was read meanwhile");
        Ok(seen)
    }
}

/// Reads a random picture. One that is deleted or hidden while it is read may be missing.
fn read_one(shared: &Shared, seen: &mut Seen) -> Result<()> {
    let (key, address) = {
        let mut state = shared.lock();
        let Some(key) = state.any_visible() else {
            return Ok(());
        };
        let old = format!("https://{DOMAIN}/system/{}", Client::encoded(&key));
        let present = state.address(&key).unwrap_or_else(|| old.clone());
        // Other servers keep addresses as they were.
        let address = if state.random.bool() { present } else { old };
        (key, address)
    };
    let (host, status, body) = fetch(shared, &address)?;
    let state = shared.lock();
    let Some(picture) = state.pictures.get(&key).filter(|picture| !picture.hidden) else {
        return Ok(());
    };
    ensure!(
        status == 200,
        "`{key}` exists, and `{address}` is answered {status} by {host}"
    );
    ensure!(
        picture.versions.contains(&body),
        "`{key}` has other bytes at `{address}`"
    );
    *seen.entry(host).or_default() += 1;
    Ok(())
}

/// The host that gave the last answer, its status and its body.
fn fetch(shared: &Shared, address: &str) -> Result<(String, u16, Vec<u8>)> {
    let mut address = address.to_owned();
    for _ in 0..=REDIRECTS {
        let local = shared.lock().routed(&address)?;
        let answer = Client::anonymous(&local).send("GET", "", &[], &[])?;
        if !matches!(answer.status, 301 | 302 | 307 | 308) {
            let host = address.split('/').nth(2).unwrap_or_default().to_owned();
            return Ok((host, answer.status, answer.body));
        }
        address = answer.header("location").to_owned();
    }
    bail!("`{address}` is redirected more than {REDIRECTS} times")
}
