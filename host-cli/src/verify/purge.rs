//! Whether Mastodon's cache buster works, and with which method.
//!
//! Mastodon sends one request per media URL with a secret header. Not every edge lets the method
//! PURGE through, so each is tried, and the first that works is what `env` should write.
//!
//! On the platform's cache a purge is queued, and arrives seconds to minutes later: the probe is read
//! until it has.

use std::time::{Duration, Instant};

use http::Method;
use indicatif::ProgressBar;

use super::health::Cache;
use super::{Domain, Probes};
use crate::config::Secret;
use crate::findings::{Finding, chain};
use crate::report::Ui;

const CHECK: &str = "purge";

/// How long a purge may take that nothing has put into a queue.
const AT_ONCE: Duration = Duration::from_secs(5);

/// Between two reads, at first and at most: each asks for the whole probe.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// The cache buster's header, as both the worker and Mastodon have it.
#[derive(Clone, Debug)]
pub struct PurgeHeader {
    /// `PURGE_SECRET_HEADER` of the worker, `CACHE_BUSTER_SECRET_HEADER` of Mastodon.
    pub name: String,
    /// `PURGE_SECRET` of the worker, `CACHE_BUSTER_SECRET` of Mastodon.
    pub secret: Secret,
}

/// For how long to wait until a purge has arrived, and who is told meanwhile.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// The longest wait.
    limit: Duration,
    ui: Ui,
}

impl Patience {
    /// `queued` is the longest wait for a purge that is queued; by a cache of the worker's own it is
    /// done at once.
    pub fn new(cache: Option<Cache>, queued: Duration, ui: Ui) -> Patience {
        let limit = match cache {
            Some(Cache::Platform) => queued,
            Some(Cache::Engine) | None => queued.min(AT_ONCE),
        };
        Patience { limit, ui }
    }
}

/// Tries each method on the plain probe. Returns the one that works, for `env`.
pub async fn check(
    domain: &Domain,
    probes: &Probes,
    header: Option<&PurgeHeader>,
    patience: Patience,
) -> (Vec<Finding>, Option<String>) {
    let Some(header) = header else {
        let finding = Finding::skipped(
            CHECK,
            "no secret is known here: set `PURGE_SECRET` (and `--purge-header`) as in the worker to have it tried",
        );
        return (vec![finding], None);
    };
    let url = domain.url.of(&probes.plain);
    let mut findings = vec![wrong_secret(domain, &url, header).await];
    let mut seen = Vec::new();
    let mut accepted = false;
    for method in ["PURGE", "POST", "DELETE"] {
        match attempt(domain, probes, &url, method, header, patience).await {
            Ok(took) => {
                let when = match took {
                    took if took < Duration::from_secs(1) => "at once".to_owned(),
                    took => format!("after {} s", took.as_secs()),
                };
                findings.push(Finding::passed(
                    CHECK,
                    format!("`{method}` with the secret drops an object, {when}: `CACHE_BUSTER_HTTP_METHOD={method}`"),
                ));
                return (findings, Some(method.to_owned()));
            }
            Err(Fault::Refused(why)) => seen.push(format!("`{method}`: {why}")),
            Err(Fault::NotArrived(why)) => {
                accepted = true;
                seen.push(format!("`{method}`: {why}"));
            }
        }
    }
    let remedy = match accepted {
        true => {
            "deleted media would stay readable for days: look into the worker's log for `purge_failed`, at the queue `PURGES` and its dead letters, and give a long queue more time with `--purge-wait`"
        }
        false => {
            "deleted media would stay readable for days: set the worker's secrets `PURGE_SECRET_HEADER` and `PURGE_SECRET` to the same values as here"
        }
    };
    findings.push(Finding::failed(CHECK, seen.join("; "), remedy));
    (findings, None)
}

async fn wrong_secret(domain: &Domain, url: &str, header: &PurgeHeader) -> Finding {
    let check = "purge-secret";
    let headers = [(header.name.as_str(), "wrong-on-purpose")];
    match domain.send(Method::POST, url, &headers).await {
        Ok(answer) if answer.status == 403 => {
            Finding::passed(check, "a purge with a wrong secret is refused")
        }
        Ok(answer) => Finding::failed(
            check,
            format!("a purge with a wrong secret is answered {}", answer.status),
            "anybody could empty the cache: check the worker's `PURGE_SECRET`",
        ),
        Err(error) => Finding::failed(check, chain(&error), super::checks::UNREACHABLE),
    }
}

/// Why a purge did not work.
enum Fault {
    /// It was not accepted.
    Refused(String),
    /// It was, and the object stayed.
    NotArrived(String),
}

/// Fills the cache, purges, and reads until the object is gone from it: only a MISS proves that.
/// Returns how long that took.
async fn attempt(
    domain: &Domain,
    probes: &Probes,
    url: &str,
    method: &str,
    header: &PurgeHeader,
    patience: Patience,
) -> Result<Duration, Fault> {
    let method =
        Method::from_bytes(method.as_bytes()).map_err(|e| Fault::Refused(e.to_string()))?;
    let read = || async {
        domain
            .get(&probes.plain)
            .await
            .map_err(|error| Fault::Refused(chain(&error)))
    };
    read().await?;
    let headers = [(header.name.as_str(), header.secret.expose())];
    let answer = domain
        .send(method, url, &headers)
        .await
        .map_err(|error| Fault::Refused(chain(&error)))?;
    if answer.status != 200 {
        return Err(Fault::Refused(format!("answered {}", answer.status)));
    }
    let sent = Instant::now();
    let waiting = Waiting::new(patience);
    let mut pause = PAUSES.0;
    loop {
        let state = read().await?.header("x-cache-status");
        let passed = sent.elapsed();
        match state.as_deref() {
            Some("MISS") => return Ok(passed),
            state if passed >= patience.limit => {
                return Err(Fault::NotArrived(format!(
                    "answered 200, and {} s later the object is still {}",
                    passed.as_secs(),
                    state.unwrap_or("without a cache state")
                )));
            }
            _ => waiting.show(passed),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Shows that a purge is waited for: a line that is drawn anew on a terminal, one line elsewhere.
struct Waiting {
    patience: Patience,
    bar: Option<ProgressBar>,
}

impl Waiting {
    fn new(patience: Patience) -> Waiting {
        let long = patience.limit > AT_ONCE;
        let bar =
            (long && patience.ui.interactive && !patience.ui.quiet).then(ProgressBar::new_spinner);
        if long && bar.is_none() {
            patience.ui.say(format!(
                "waiting until the purge has arrived, for {} s at most",
                patience.limit.as_secs()
            ));
        }
        Waiting { patience, bar }
    }

    fn show(&self, passed: Duration) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!(
                "waiting until the purge has arrived: {} s of at most {}",
                passed.as_secs(),
                self.patience.limit.as_secs()
            ));
            bar.tick();
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
