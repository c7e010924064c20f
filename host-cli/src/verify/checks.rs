//! The checks on the probes, a function each, in the order in which they run.
//!
//! The order matters: the first read of a probe fills the cache for later checks.

mod headers;
mod parts;
mod refusals;

use http::{Method, StatusCode};

use super::{Domain, Probes};
use crate::error::chain;
use crate::findings::Finding;
use crate::web::{HttpResponse, WebError};

pub(super) const UNREACHABLE: &str =
    "check the domain's DNS record and that the worker (or nginx) behind it is running";
const CACHE_STATUS: &str = "x-cache-status";
/// Reads until one is a hit: each may reach another machine of the edge.
const READS_UNTIL_HIT: usize = 4;
/// The least `max-age` in seconds: media never change under a name.
const A_DAY: u64 = 86_400;

type ReadResult = Result<HttpResponse, WebError>;

/// The results of [`run`].
#[derive(Debug)]
pub struct ProbeFindings {
    /// A finding for each check that was run.
    pub findings: Vec<Finding>,
    /// Whether the domain can be read: otherwise no check after the first read was run.
    pub is_readable: bool,
}

/// Runs all checks on the probes; only the first ones if the first read fails.
pub async fn run(domain: &Domain, probes: &Probes) -> ProbeFindings {
    let mut findings = vec![encryption(domain)];
    let first = domain.get(&probes.plain).await;
    findings.push(first_read(&first, probes));
    let first = match first {
        Ok(first) if first.status == StatusCode::OK => first,
        Ok(_) | Err(_) => {
            return ProbeFindings {
                findings,
                is_readable: false,
            };
        }
    };
    findings.push(second_read(domain, probes).await);
    findings.push(query_is_dropped(domain, probes).await);
    findings.push(headers::content_type(&first));
    findings.push(headers::cors(&first));
    findings.push(headers::caching(&first));
    findings.push(headers::stripped_headers(&first));
    findings.push(headers::hardening(&first));
    findings.push(parts::head(domain, probes).await);
    findings.push(parts::range(domain, probes).await);
    findings.push(parts::range_of_a_cold_object(domain, probes).await);
    findings.push(parts::range_past_the_end(domain, probes).await);
    findings.push(parts::conditional(domain, probes, &first).await);
    findings.push(odd_name(domain, probes).await);
    findings.push(refusals::refused_methods(domain, probes).await);
    findings.push(refusals::missing(domain, probes).await);
    findings.push(refusals::listing(domain).await);
    findings.push(refusals::archives(domain, probes).await);
    ProbeFindings {
        findings,
        is_readable: true,
    }
}

fn unreachable(check: &'static str, error: &WebError) -> Finding {
    Finding::failed(check, chain(error), UNREACHABLE)
}

fn encryption(domain: &Domain) -> Finding {
    let check = "encryption";
    if domain.url.is_encrypted() {
        // An invalid certificate makes the first read fail.
        Finding::passed(check, format!("`{}` is read over TLS", domain.url))
    } else {
        Finding::skipped(
            check,
            format!("`{}` is a loopback address without TLS", domain.url),
        )
    }
}

fn first_read(first: &ReadResult, probes: &Probes) -> Finding {
    let check = "first-read";
    let response = match first {
        Ok(response) => response,
        Err(error) => return unreachable(check, error),
    };
    if response.status == StatusCode::NOT_FOUND {
        return Finding::failed(
            check,
            format!(
                "`{}` is in the bucket, and the domain answers 404",
                probes.plain
            ),
            "the domain serves another bucket or prefix: compare the worker's `B2_BUCKET`, `B2_ENDPOINT` and `KEY_PREFIX` with the settings used here",
        );
    }
    if response.status != StatusCode::OK {
        return Finding::failed(
            check,
            format!(
                "the domain answers {} for an existing object",
                response.status
            ),
            "on a private bucket the worker needs `ORIGIN_AUTH = \"sigv4\"` and its two secrets; otherwise see the worker's log",
        );
    }
    if response.body != probes.body {
        return Finding::failed(
            check,
            format!(
                "{} bytes were uploaded, and {} different bytes were read",
                probes.body.len(),
                response.body.len()
            ),
            "a proxy changes files: turn optimization and rewriting off for the domain",
        );
    }
    match response.header(CACHE_STATUS).as_deref() {
        Some("MISS") => Finding::passed(check, format!("MISS, {}", size_and_time(response))),
        state => Finding::failed(
            check,
            format!(
                "the first read of a new object is {}, not MISS",
                state.unwrap_or("without `X-Cache-Status`")
            ),
            "requests do not reach the worker: check its route or custom domain",
        ),
    }
}

/// The cache state for a detail: `, HIT`.
fn state(response: &HttpResponse) -> String {
    response
        .header(CACHE_STATUS)
        .map_or_else(String::new, |state| format!(", {state}"))
}

fn size_and_time(response: &HttpResponse) -> String {
    format!(
        "{} bytes in {} ms",
        response.body.len(),
        response.elapsed.as_millis()
    )
}

async fn second_read(domain: &Domain, probes: &Probes) -> Finding {
    let check = "second-read";
    let mut states = Vec::new();
    for _ in 0..READS_UNTIL_HIT {
        match domain.get(&probes.plain).await {
            Ok(response) if response.body != probes.body => {
                return Finding::failed(
                    check,
                    "the cached copy has different bytes",
                    "purge the cache, and see the worker's log",
                );
            }
            Ok(response) => match response.header(CACHE_STATUS) {
                Some(state) if state == "HIT" => {
                    return Finding::passed(check, format!("HIT, {}", size_and_time(&response)));
                }
                state => states.push(state.unwrap_or_else(|| "no state".to_owned())),
            },
            Err(error) => return unreachable(check, &error),
        }
    }
    let hint = if domain.url.is_workers_dev() {
        "the Cache API stores nothing on `workers.dev`: give the worker a route or a custom domain of yours"
    } else {
        "every read goes to the bucket: check the worker's `CACHE_MODE` and `FRESH_SECONDS`, and that no rule of the zone bypasses the cache"
    };
    Finding::failed(
        check,
        format!("nothing is stored: {}", states.join(", ")),
        hint,
    )
}

async fn query_is_dropped(domain: &Domain, probes: &Probes) -> Finding {
    let check = "query";
    let url = format!("{}?x=1", domain.url.of(&probes.plain));
    match domain.send(Method::GET, &url, &[]).await {
        Err(error) => unreachable(check, &error),
        Ok(response) if response.header(CACHE_STATUS).as_deref() == Some("HIT") => {
            Finding::passed(check, "a query string does not change the cache key")
        }
        Ok(response) => Finding::failed(
            check,
            format!(
                "with a query string the same object is not a HIT ({})",
                response.status
            ),
            "anybody could cause reads of the bucket: the cache key must not contain the query",
        ),
    }
}

async fn odd_name(domain: &Domain, probes: &Probes) -> Finding {
    let check = "names";
    match domain.get(&probes.odd_name).await {
        Err(error) => unreachable(check, &error),
        Ok(response) if response.status == StatusCode::OK && response.body == probes.body => {
            Finding::passed(check, "a name with a space, `ä`, `+` and `%` is found")
        }
        Ok(response) => Finding::failed(
            check,
            format!(
                "a name with a space, `ä`, `+` and `%` is answered {}",
                response.status
            ),
            "the proxy decodes names before it passes them on: this does not matter for Mastodon's own names",
        ),
    }
}
