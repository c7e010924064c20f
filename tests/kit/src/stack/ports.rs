//! Ports for servers that take one as a setting, and listen on it only seconds later.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

/// Below the ports that a system gives out by itself, to listeners at port 0 and to clients.
const FIRST: u32 = 20_000;
const COUNT: u32 = 10_000;

/// The locks of the ports that this process was given. Another process is not given them until it has ended.
static LOCKED_PORTS: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Free loopback addresses, which no other process of these tests has been given.
///
/// # Errors
/// There are none, or the temporary directory cannot be written to.
pub fn free_addresses<const WANTED: usize>() -> Result<[SocketAddr; WANTED]> {
    let user = rustix::process::getuid().as_raw();
    let folder = std::env::temp_dir().join(format!("medialift-ports-{user}"));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create `{}`", folder.display()))?;
    let mut locked = LOCKED_PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let mut found = Vec::new();
    // Each process begins somewhere else.
    let start = std::process::id().wrapping_mul(61);
    for offset in 0..COUNT {
        if found.len() == WANTED {
            break;
        }
        let port = FIRST + start.wrapping_add(offset) % COUNT;
        let lock = File::create(folder.join(port.to_string())).context("cannot lock a port")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, u16::try_from(port)?));
        if lock.try_lock().is_ok() && TcpListener::bind(address).is_ok() {
            locked.push(lock);
            found.push(address);
        }
    }
    found.try_into().ok().context("there is no free port")
}

/// One of [`free_addresses`].
///
/// # Errors
/// As there.
pub fn free_address() -> Result<SocketAddr> {
    free_addresses::<1>().map(|[address]| address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_given_once_though_nobody_listens_there_yet() {
        let [first, second] = free_addresses().unwrap();
        let third = free_address().unwrap();
        assert!(first != second && first != third && second != third);
        // As in another process: the lock is taken.
        let user = rustix::process::getuid().as_raw();
        let folder = std::env::temp_dir().join(format!("medialift-ports-{user}"));
        let lock = File::open(folder.join(first.port().to_string())).unwrap();
        assert!(lock.try_lock().is_err());
    }
}
