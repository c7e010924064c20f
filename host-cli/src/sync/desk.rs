//! The desk where files are opened, read and digested, on threads of its own.
//!
//! What has come in while a thread was busy is taken up together: one wake-up for many files, and
//! their digests are made side by side. Leaves to others: what is then done with them
//! ([`super::apply`]), and how many may be in memory at a time.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::read::{Opened, open_all};

/// Enough to keep a disk busy that answers in milliseconds; more would only share the processors.
const THREADS: usize = 4;

/// Files that a thread takes up at a time: twice as many as are digested side by side.
const BATCH: usize = 16;

/// Takes orders for files. Its threads end when it is dropped.
#[derive(Debug)]
pub(super) struct Desk {
    orders: Sender<Order>,
}

/// A path below the desk's directory, and where to say what it is.
#[derive(Debug)]
struct Order {
    path: String,
    reply: oneshot::Sender<Opened>,
}

impl Desk {
    /// Opens the desk for files below `root`.
    pub(super) fn new(root: PathBuf) -> Self {
        let (orders, incoming) = channel();
        let incoming = Arc::new(Mutex::new(incoming));
        for _ in 0..THREADS {
            let (root, incoming) = (root.clone(), incoming.clone());
            std::thread::spawn(move || {
                while let Some(batch) = take(&incoming) {
                    let opened = open_all(&root, batch.iter().map(|order| order.path.as_str()));
                    for (order, opened) in batch.into_iter().zip(opened) {
                        // Nobody waits any more where the run was interrupted.
                        let _ = order.reply.send(opened);
                    }
                }
            });
        }
        Desk { orders }
    }

    /// Opens `path`, and reads and digests it where it is small; `None` where the threads are gone.
    pub(super) async fn open(&self, path: String) -> Option<Opened> {
        let (reply, opened) = oneshot::channel();
        self.orders.send(Order { path, reply }).ok()?;
        opened.await.ok()
    }
}

/// Waits for an order and takes what else is there; `None` when no more will come.
fn take(incoming: &Mutex<Receiver<Order>>) -> Option<Vec<Order>> {
    let incoming = incoming.lock().unwrap_or_else(PoisonError::into_inner);
    let mut batch = vec![incoming.recv().ok()?];
    batch.extend(incoming.try_iter().take(BATCH - 1));
    Some(batch)
}
