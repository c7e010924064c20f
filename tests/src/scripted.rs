//! The scripted origin: an HTTP server that answers each request for a key as the script of a scenario says,
//! valid or not.
//!
//! It listens on two ports, one for nginx and one for the worker, with a count of requests and a place in the
//! script for each, so that both can be asked the same at the same time. It writes its answers to the socket
//! itself (`connection.rs`): no server library resets connections, sends wrong headers or half an answer.
//! Heads of requests are parsed by `httparse` (`request.rs`).

mod answer;
mod connection;
mod request;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

pub use answer::{Answer, Fault, Framing, pattern};

/// Which of the two proxies a connection comes from: each has a port of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Side {
    /// Debian's nginx.
    Nginx,
    /// The edge worker.
    Worker,
}

/// The answers for each key, in order; the last one is repeated. Keys have no
/// leading slash and are not percent-encoded.
pub type Script = BTreeMap<String, Vec<Answer>>;

/// One request as the origin saw it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The request line as it was received.
    pub line: String,
    /// The key it asks for, decoded; `None` for a request that is not HTTP.
    pub key: Option<String>,
    /// The header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    /// When it came.
    pub at: Instant,
    /// Whether the answer has status 200 or 304, and a whole head.
    pub is_good: bool,
    /// Whether that answer is complete, so that it may replace a stored copy.
    pub is_whole: bool,
}

impl Asked {
    /// The value of the first header line of that name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }
}

/// The path under which both proxies see the keys, as a bucket in path style.
pub const BUCKET_PATH: &str = "/media";

#[derive(Default)]
struct Ledger {
    given: HashMap<(Side, String), usize>,
    asked: Vec<(Side, Asked)>,
}

struct Shared {
    script: Script,
    ledger: Mutex<Ledger>,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the request and picks its answer.
    fn answer(&self, side: Side, mut asked: Asked) -> Answer {
        let mut ledger = self.ledger();
        let answer = match &asked.key {
            None => Answer::bad_request(),
            Some(key) => {
                let place = ledger.given.entry((side, key.clone())).or_default();
                let answers = self.script.get(key);
                let answer = answers.and_then(|answers| answers.get(*place).or(answers.last()));
                *place += 1;
                answer.cloned().unwrap_or_else(Answer::no_such_key)
            }
        };
        let is_whole_head = !matches!(
            answer.fault,
            Some(Fault::Reset | Fault::Close | Fault::Hang | Fault::Garbage)
        );
        asked.is_good = answer.status == 200 && is_whole_head;
        asked.is_whole = answer.status == 200 && answer.fault.is_none();
        ledger.asked.push((side, asked));
        answer
    }
}

/// A running scripted origin. Dropping it stops it.
pub struct ScriptedOrigin {
    nginx: SocketAddr,
    worker: SocketAddr,
    shared: Arc<Shared>,
    running: watch::Sender<bool>,
    listeners: Mutex<Vec<JoinHandle<()>>>,
}

impl ScriptedOrigin {
    /// Listens on two free loopback ports.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(script: Script) -> Result<Self> {
        let script = script
            .into_iter()
            .map(|(key, answers)| {
                let prepared = answers
                    .into_iter()
                    .zip(1..)
                    .map(|(answer, place)| answer.prepared(place));
                (key, prepared.collect())
            })
            .collect();
        let shared = Arc::new(Shared {
            script,
            ledger: Mutex::default(),
        });
        let (running, _) = watch::channel(true);
        let (mut addresses, mut listeners) = (Vec::new(), Vec::new());
        for side in [Side::Nginx, Side::Worker] {
            let listener = TcpListener::bind(("127.0.0.1", 0))
                .await
                .context("scripted origin: no free port")?;
            addresses.push(listener.local_addr()?);
            let task = accept(listener, side, Arc::clone(&shared), running.subscribe());
            listeners.push(tokio::spawn(task));
        }
        Ok(Self {
            nginx: addresses[0],
            worker: addresses[1],
            shared,
            running,
            listeners: Mutex::new(listeners),
        })
    }

    /// Where that side finds the bucket, without a slash at the end.
    pub fn url(&self, side: Side) -> String {
        let address = match side {
            Side::Nginx => self.nginx,
            Side::Worker => self.worker,
        };
        format!("http://{address}{BUCKET_PATH}")
    }

    /// Every body that it has to send for these keys.
    pub fn bodies<'a>(&self, keys: impl Iterator<Item = &'a String>) -> Vec<Bytes> {
        keys.filter_map(|key| self.shared.script.get(key))
            .flatten()
            .map(|answer| answer.body.clone())
            .collect()
    }

    /// Closes both ports: from now on connecting is refused. Idle connections are closed with them;
    /// one on which an answer is due is closed after it.
    ///
    /// # Errors
    /// When a listener had failed before.
    pub async fn stop(&self) -> Result<()> {
        self.running.send_replace(false);
        let listeners = std::mem::take(
            &mut *self
                .listeners
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for listener in listeners {
            listener
                .await
                .context("scripted origin: a listener failed")?;
        }
        Ok(())
    }

    /// The requests of that side whose line contains `part`, in the order they came.
    pub fn asked(&self, side: Side, part: &str) -> Vec<Asked> {
        let ledger = self.shared.ledger();
        let of_side = ledger
            .asked
            .iter()
            .filter(|(of, asked)| *of == side && asked.line.contains(part));
        of_side.map(|(_, asked)| asked.clone()).collect()
    }
}

impl Drop for ScriptedOrigin {
    fn drop(&mut self) {
        self.running.send_replace(false);
    }
}

async fn accept(
    listener: TcpListener,
    side: Side,
    shared: Arc<Shared>,
    mut running: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = running.wait_for(|running| !running) => return,
        };
        let Ok((stream, _)) = accepted else {
            // Out of file descriptors, for example: some may be free soon.
            tokio::time::sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (shared, running) = (Arc::clone(&shared), running.clone());
        tokio::spawn(async move {
            // A client that goes away ends its own connection and nothing else.
            connection::serve(stream, side, &shared, running).await.ok();
        });
    }
}
