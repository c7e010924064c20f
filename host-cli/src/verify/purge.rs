//! Checks whether Mastodon's cache buster works, and with which method.
//!
//! Mastodon sends a request with a secret header for each media URL. Not every proxy passes the method
//! PURGE on, so all methods are tried, and `env` should write the first that works.
//!
//! In platform mode a purge is queued and takes seconds to minutes: the probe is read until it is gone.

use std::time::{Duration, Instant};

use http::Method;
use indicatif::ProgressBar;

use super::health::CacheMode;
use super::{Domain, Probes};
use crate::config::Secret;
use crate::error::chain;
use crate::findings::Finding;
use crate::ui::Ui;

const CHECK: &str = "purge";

/// Longest wait for a purge that is not queued.
const UNQUEUED_LIMIT: Duration = Duration::from_secs(5);

/// First and longest pause between reads of the probe.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(2));

/// The header of a purge, with the secret that the worker and Mastodon share.
#[derive(Clone, Debug)]
pub struct PurgeHeader {
    /// `PURGE_SECRET_HEADER` of the worker, `CACHE_BUSTER_SECRET_HEADER` of Mastodon.
    pub name: String,
    /// `PURGE_SECRET` of the worker, `CACHE_BUSTER_SECRET` of Mastodon.
    pub secret: Secret,
}

/// How long to wait for the effect of a purge, and where to show the wait.
#[derive(Clone, Copy, Debug)]
pub struct PurgeWait {
    limit: Duration,
    ui: Ui,
}

impl PurgeWait {
    /// `queued` is the longest wait for a queued purge. The worker's own cache does not queue purges.
    pub fn new(cache: Option<CacheMode>, queued: Duration, ui: Ui) -> PurgeWait {
        let limit = match cache {
            Some(CacheMode::Platform) => queued,
            Some(CacheMode::Engine) | None => queued.min(UNQUEUED_LIMIT),
        };
        PurgeWait { limit, ui }
    }
}

/// Tries each method on the plain probe, and returns the first that works.
pub async fn check(
    domain: &Domain,
    probes: &Probes,
    header: Option<&PurgeHeader>,
    wait: PurgeWait,
) -> (Vec<Finding>, Option<String>) {
    let Some(header) = header else {
        let finding = Finding::skipped(
            CHECK,
            "no purge secret is given: `--purge-secret-file`, or `purge_secret_file` in medialift.toml, names a file with the worker's",
        );
        return (vec![finding], None);
    };
    let url = domain.url.of(&probes.plain);
    let mut findings = vec![wrong_secret(domain, &url, header).await];
    let mut faults = Vec::new();
    let mut accepted = false;
    for method in ["PURGE", "POST", "DELETE"] {
        match attempt(domain, probes, &url, method, header, wait).await {
            Ok(took) => {
                let time = match took {
                    took if took < Duration::from_secs(1) => "immediately".to_owned(),
                    took => format!("after {} s", took.as_secs()),
                };
                findings.push(Finding::passed(
                    CHECK,
                    format!("`{method}` with the secret drops an object {time}: set `CACHE_BUSTER_HTTP_METHOD={method}`"),
                ));
                return (findings, Some(method.to_owned()));
            }
            Err(Fault::Refused(why)) => faults.push(format!("`{method}`: {why}")),
            Err(Fault::NoEffect(why)) => {
                accepted = true;
                faults.push(format!("`{method}`: {why}"));
            }
        }
    }
    let hint = match accepted {
        true => {
            "deleted media would stay readable for days: search the worker's log for `purge_failed`, and check the queue `PURGES` and its dead-letter queue; for a long queue increase `--purge-wait`"
        }
        false => {
            "deleted media would stay readable for days: set the worker's secrets `PURGE_SECRET_HEADER` and `PURGE_SECRET` to the values used here"
        }
    };
    findings.push(Finding::failed(CHECK, faults.join("; "), hint));
    (findings, None)
}

async fn wrong_secret(domain: &Domain, url: &str, header: &PurgeHeader) -> Finding {
    let check = "purge-secret";
    let headers = [(header.name.as_str(), "wrong-on-purpose")];
    match domain.send(Method::POST, url, &headers).await {
        Ok(response) if response.status == 403 => {
            Finding::passed(check, "a purge with a wrong secret is refused")
        }
        Ok(response) => Finding::failed(
            check,
            format!(
                "a purge with a wrong secret is answered {}",
                response.status
            ),
            "anybody could empty the cache: check the worker's `PURGE_SECRET`",
        ),
        Err(error) => Finding::failed(check, chain(&error), super::checks::UNREACHABLE),
    }
}

/// Why a purge did not work.
enum Fault {
    /// The request was not accepted.
    Refused(String),
    /// The request was accepted, and the object stayed in the cache.
    NoEffect(String),
}

/// Fills the cache, purges, and reads until a MISS proves the effect. Returns how long that took.
async fn attempt(
    domain: &Domain,
    probes: &Probes,
    url: &str,
    method: &str,
    header: &PurgeHeader,
    wait: PurgeWait,
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
    let response = domain
        .send(method, url, &headers)
        .await
        .map_err(|error| Fault::Refused(chain(&error)))?;
    if response.status != 200 {
        return Err(Fault::Refused(format!("answered {}", response.status)));
    }
    let sent = Instant::now();
    let display = WaitDisplay::new(wait);
    let mut pause = PAUSES.0;
    loop {
        let state = read().await?.header("x-cache-status");
        let passed = sent.elapsed();
        match state.as_deref() {
            Some("MISS") => return Ok(passed),
            state if passed >= wait.limit => {
                return Err(Fault::NoEffect(format!(
                    "answered 200, and {} s later the object is still {}",
                    passed.as_secs(),
                    state.unwrap_or("without a cache state")
                )));
            }
            _ => display.update(passed),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Shows the wait for a purge: a spinner on a terminal, one line elsewhere.
struct WaitDisplay {
    wait: PurgeWait,
    bar: Option<ProgressBar>,
}

impl WaitDisplay {
    fn new(wait: PurgeWait) -> WaitDisplay {
        let long = wait.limit > UNQUEUED_LIMIT;
        let bar = (long && wait.ui.interactive && !wait.ui.quiet).then(ProgressBar::new_spinner);
        if long && bar.is_none() {
            wait.ui.say(format!(
                "waiting for the purge, at most {} s",
                wait.limit.as_secs()
            ));
        }
        WaitDisplay { wait, bar }
    }

    fn update(&self, passed: Duration) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!(
                "waiting for the purge: {} s of at most {}",
                passed.as_secs(),
                self.wait.limit.as_secs()
            ));
            bar.tick();
        }
    }
}

impl Drop for WaitDisplay {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
