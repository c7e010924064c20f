//! Whether Mastodon's cache buster works, and with which method.
//!
//! Mastodon sends one request per media URL with a secret header. Not every edge lets the method
//! PURGE through, so each is tried, and the first that works is what `env` should write.

use http::Method;

use super::{Domain, Probes};
use crate::config::Secret;
use crate::findings::{Finding, chain};

const CHECK: &str = "purge";

/// The cache buster's header, as both the worker and Mastodon have it.
#[derive(Clone, Debug)]
pub struct PurgeHeader {
    /// `PURGE_SECRET_HEADER` of the worker, `CACHE_BUSTER_SECRET_HEADER` of Mastodon.
    pub name: String,
    /// `PURGE_SECRET` of the worker, `CACHE_BUSTER_SECRET` of Mastodon.
    pub secret: Secret,
}

/// Tries each method on the plain probe. Returns the one that works, for `env`.
pub async fn check(
    domain: &Domain,
    probes: &Probes,
    header: Option<&PurgeHeader>,
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
    for method in ["PURGE", "POST", "DELETE"] {
        match attempt(domain, probes, &url, method, header).await {
            Ok(()) => {
                findings.push(Finding::passed(
                    CHECK,
                    format!("`{method}` with the secret drops an object: `CACHE_BUSTER_HTTP_METHOD={method}`"),
                ));
                return (findings, Some(method.to_owned()));
            }
            Err(why) => seen.push(format!("`{method}`: {why}")),
        }
    }
    findings.push(Finding::failed(
        CHECK,
        seen.join("; "),
        "deleted media would stay readable for days: set the worker's secrets `PURGE_SECRET_HEADER` and `PURGE_SECRET` to the same values as here",
    ));
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

/// Fills the cache, purges, and reads once more: only a MISS proves that it was dropped.
async fn attempt(
    domain: &Domain,
    probes: &Probes,
    url: &str,
    method: &str,
    header: &PurgeHeader,
) -> Result<(), String> {
    let method = Method::from_bytes(method.as_bytes()).map_err(|e| e.to_string())?;
    let read = || async {
        domain
            .get(&probes.plain)
            .await
            .map_err(|error| chain(&error))
    };
    read().await?;
    let headers = [(header.name.as_str(), header.secret.expose())];
    let answer = domain
        .send(method, url, &headers)
        .await
        .map_err(|error| chain(&error))?;
    if answer.status != 200 {
        return Err(format!("answered {}", answer.status));
    }
    match read().await?.header("x-cache-status").as_deref() {
        Some("MISS") => Ok(()),
        state => Err(format!(
            "answered 200, and the next read was {}",
            state.unwrap_or("without a cache state")
        )),
    }
}
