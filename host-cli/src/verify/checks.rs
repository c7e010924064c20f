//! What is right for a reader of the files domain: one function a check, in the order they run.
//!
//! Order matters: the first read of a probe fills the cache that later checks look at.

mod headers;
mod parts;
mod refusals;

use http::{Method, StatusCode};

use super::{Domain, Probes};
use crate::findings::{Finding, chain};
use crate::web::{Answer, WebError};

pub(super) const UNREACHABLE: &str =
    "check the domain's DNS record and that the worker (or nginx) behind it is running";
const CACHE_STATE: &str = "x-cache-status";
/// Edges have many machines: the second read may meet one that has not seen the object yet.
const READS_UNTIL_HIT: usize = 4;
/// A media file never changes, so a day is the least that a browser should keep it.
const A_DAY: u64 = 86_400;

type Seen = Result<Answer, WebError>;

/// How many findings there are when the domain cannot be read: no further check makes sense then.
pub const FIRST_CHECKS: usize = 2;

/// All checks on the probes. Stops after the first read when the domain is not reachable at all.
pub async fn run(domain: &Domain, probes: &Probes) -> Vec<Finding> {
    let mut findings = vec![encryption(domain)];
    let first = domain.get(&probes.plain).await;
    findings.push(first_read(&first, probes));
    let Ok(first) = first else {
        return findings;
    };
    if first.status != StatusCode::OK {
        return findings;
    }
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
    findings
}

fn unreachable(check: &'static str, error: &WebError) -> Finding {
    Finding::failed(check, chain(error), UNREACHABLE)
}

fn encryption(domain: &Domain) -> Finding {
    let check = "encryption";
    if domain.url.is_encrypted() {
        // A bad certificate shows as a failed first read: nothing here accepts one.
        Finding::passed(check, format!("`{}` is read over TLS", domain.url))
    } else {
        Finding::skipped(
            check,
            format!("`{}` is this machine, without TLS", domain.url),
        )
    }
}

fn first_read(first: &Seen, probes: &Probes) -> Finding {
    let check = "first-read";
    let answer = match first {
        Ok(answer) => answer,
        Err(error) => return unreachable(check, error),
    };
    if answer.status == StatusCode::NOT_FOUND {
        return Finding::failed(
            check,
            format!(
                "`{}` is in the bucket, and the domain answers 404",
                probes.plain
            ),
            "the domain reads another bucket or prefix: compare the worker's `B2_BUCKET`, `B2_ENDPOINT` and `KEY_PREFIX` with the settings used here",
        );
    }
    if answer.status != StatusCode::OK {
        return Finding::failed(
            check,
            format!(
                "the domain answers {} for an object that is there",
                answer.status
            ),
            "on a private bucket the worker needs `ORIGIN_AUTH = \"sigv4\"` and its two secrets; otherwise see the worker's log",
        );
    }
    if answer.body != probes.body {
        return Finding::failed(
            check,
            format!(
                "{} bytes were uploaded, {} other bytes came back",
                probes.body.len(),
                answer.body.len()
            ),
            "something on the way changes files: switch off optimisation and rewriting for the domain",
        );
    }
    match answer.header(CACHE_STATE).as_deref() {
        Some("MISS") => Finding::passed(check, format!("MISS, {}", took(answer))),
        state => Finding::failed(
            check,
            format!(
                "a new object is {} on its first read, not MISS",
                state.unwrap_or("without `X-Cache-Status`")
            ),
            "the domain does not go through the worker: check its route or custom domain",
        ),
    }
}

/// How the cache came by the answer, for a detail: `, HIT`.
fn state(answer: &Answer) -> String {
    answer
        .header(CACHE_STATE)
        .map_or_else(String::new, |state| format!(", {state}"))
}

fn took(answer: &Answer) -> String {
    format!(
        "{} bytes in {} ms",
        answer.body.len(),
        answer.elapsed.as_millis()
    )
}

async fn second_read(domain: &Domain, probes: &Probes) -> Finding {
    let check = "second-read";
    let mut states = Vec::new();
    for _ in 0..READS_UNTIL_HIT {
        match domain.get(&probes.plain).await {
            Ok(answer) if answer.body != probes.body => {
                return Finding::failed(
                    check,
                    "the cached copy has other bytes",
                    "purge the cache and look at the worker's log",
                );
            }
            Ok(answer) => match answer.header(CACHE_STATE) {
                Some(state) if state == "HIT" => {
                    return Finding::passed(check, format!("HIT, {}", took(&answer)));
                }
                state => states.push(state.unwrap_or_else(|| "no state".to_owned())),
            },
            Err(error) => return unreachable(check, &error),
        }
    }
    let hint = if domain.url.is_workers_dev() {
        "the Cache API keeps nothing on `workers.dev`: give the worker a route or a custom domain of yours"
    } else {
        "every read would go to the bucket: check the worker's `CACHE_MODE` and `FRESH_SECONDS`, and that no rule of the zone bypasses the cache"
    };
    Finding::failed(
        check,
        format!("nothing is kept: {}", states.join(", ")),
        hint,
    )
}

async fn query_is_dropped(domain: &Domain, probes: &Probes) -> Finding {
    let check = "query";
    let url = format!("{}?x=1", domain.url.of(&probes.plain));
    match domain.send(Method::GET, &url, &[]).await {
        Err(error) => unreachable(check, &error),
        Ok(answer) if answer.header(CACHE_STATE).as_deref() == Some("HIT") => {
            Finding::passed(check, "a query string makes no second copy")
        }
        Ok(answer) => Finding::failed(
            check,
            format!(
                "with a query string the same object is read anew ({})",
                answer.status
            ),
            "anybody could drive reads of the bucket: the cache key must not hold the query",
        ),
    }
}

async fn odd_name(domain: &Domain, probes: &Probes) -> Finding {
    let check = "names";
    match domain.get(&probes.odd_name).await {
        Err(error) => unreachable(check, &error),
        Ok(answer) if answer.status == StatusCode::OK && answer.body == probes.body => {
            Finding::passed(check, "a name with a space, `ä`, `+` and `%` is found")
        }
        Ok(answer) => Finding::failed(
            check,
            format!(
                "a name with a space, `ä`, `+` and `%` is answered {}",
                answer.status
            ),
            "the proxy passes names on decoded: harmless for Mastodon's own names, not for others'",
        ),
    }
}
