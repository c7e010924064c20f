//! A scripted bucket with an edge in front of it, for tests that are not `async`.

use std::sync::Arc;

use e2e::client::{Answer, Client};
use e2e::platform::cached::Cached;
use e2e::platform::fake::Fake;
use e2e::scripted::{self, Script, ScriptedOrigin, Side};
use tokio::runtime::Runtime;

/// The secret that lets tests purge.
pub(crate) const PURGE_SECRET: &str = "a-secret-of-the-platform-tests";

/// A scripted bucket.
pub(crate) struct Bucket {
    origin: Arc<ScriptedOrigin>,
    runtime: Runtime,
}

impl Bucket {
    /// Starts it.
    pub(crate) fn start(script: Script) -> Self {
        let runtime = Runtime::new().unwrap();
        let origin = Arc::new(runtime.block_on(ScriptedOrigin::start(script)).unwrap());
        Self { origin, runtime }
    }

    /// The worker's settings for it, with others on top.
    pub(crate) fn cached(&self, settings: &[(&str, &str)]) -> Edge {
        let url = self.origin.url(Side::Worker);
        let mut all = vec![("ORIGIN_URL", url.as_str()), ("PURGE_SECRET", PURGE_SECRET)];
        all.extend(settings);
        let cached = Cached::start(&all).unwrap();
        Edge {
            reader: Client::anonymous(&format!("http://{}", cached.address)),
            cached,
        }
    }

    /// The imitated platform in front of it, where time passes `speed` times as fast.
    pub(crate) fn fake(&self, settings: &[(&str, &str)], speed: u32) -> Fake {
        let url = self.origin.url(Side::Worker);
        let mut all = vec![("ORIGIN_URL", url.as_str()), ("PURGE_SECRET", PURGE_SECRET)];
        all.extend(settings);
        Fake::start(&all, speed).unwrap()
    }

    /// How often it was asked for a key.
    pub(crate) fn asked(&self, key: &str) -> usize {
        self.origin.asked(Side::Worker, key).len()
    }

    /// The last request for a key.
    pub(crate) fn last(&self, key: &str) -> scripted::Asked {
        self.origin.asked(Side::Worker, key).pop().unwrap()
    }

    /// Runs a future to its end, for tests that are not `async`.
    pub(crate) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Refuses connections from now on.
    pub(crate) fn stop(&self) {
        self.runtime.block_on(self.origin.stop()).unwrap();
    }
}

/// The worker with Varnish between its entries.
pub(crate) struct Edge {
    reader: Client,
    pub(crate) cached: Cached,
}

impl Edge {
    /// Sends a request.
    #[track_caller]
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.reader.send(method, path, headers, &[]).unwrap()
    }

    /// Reads a path, and checks status, cache status and the object's version.
    #[track_caller]
    pub(crate) fn check(&self, path: &str, status: u16, word: &str, version: u32) {
        let answer = self.send("GET", path, &[]);
        let seen = (answer.status, answer.header("x-cache-status"));
        assert_eq!(seen, (status, word), "{path}: {}", self.cached.log());
        assert!(
            answer.body == scripted::pattern(version, answer.body.len()) && !answer.body.is_empty(),
            "{path}: not version {version}"
        );
    }
}

/// An answer with its own lifetime, in seconds.
pub(crate) fn fresh_for(seconds: u32) -> scripted::Answer {
    scripted::Answer {
        headers: vec![format!("Cache-Control: max-age={seconds}")],
        ..scripted::Answer::default()
    }
}

/// A script of one key.
pub(crate) fn script<const COUNT: usize>(key: &str, answers: [scripted::Answer; COUNT]) -> Script {
    Script::from([(key.to_owned(), answers.to_vec())])
}

/// A refusal, or an outage.
pub(crate) fn status(status: u16) -> scripted::Answer {
    scripted::Answer {
        status,
        ..scripted::Answer::default()
    }
}
