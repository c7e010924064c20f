//! What is right for a reader of the files domain: one function a check, in the order they run.
//!
//! Order matters: the first read of a probe fills the cache that later checks look at.

use http::{Method, StatusCode};

use super::probe::CONTENT_TYPE;
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
    findings.push(content_type(&first));
    findings.push(cors(&first));
    findings.push(caching(&first));
    findings.push(stripped_headers(&first));
    findings.push(hardening(&first));
    findings.push(head(domain, probes).await);
    findings.push(range(domain, probes).await);
    findings.push(range_of_a_cold_object(domain, probes).await);
    findings.push(range_past_the_end(domain, probes).await);
    findings.push(conditional(domain, probes, &first).await);
    findings.push(odd_name(domain, probes).await);
    findings.push(refused_methods(domain, probes).await);
    findings.push(missing(domain, probes).await);
    findings.push(listing(domain).await);
    findings.push(archives(domain, probes).await);
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
    Finding::failed(
        check,
        format!("nothing is kept: {}", states.join(", ")),
        "every read would go to the bucket: check the worker's `CACHE_MODE` and `FRESH_SECONDS`, and that no rule of the zone bypasses the cache",
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

fn content_type(first: &Answer) -> Finding {
    let check = "content-type";
    match first.header("content-type").as_deref() {
        Some(CONTENT_TYPE) => Finding::passed(check, "passed on as it is in the bucket"),
        other => Finding::failed(
            check,
            format!("`{CONTENT_TYPE}` became `{}`", other.unwrap_or("nothing")),
            "browsers would not show media: nothing on the way may set a type of its own",
        ),
    }
}

fn cors(first: &Answer) -> Finding {
    let check = "cors";
    match first.header("access-control-allow-origin").as_deref() {
        Some("*") => Finding::passed(check, "pages of any site may read media"),
        other => Finding::failed(
            check,
            format!(
                "`Access-Control-Allow-Origin` is {}, not `*`",
                quoted(other)
            ),
            "the web client could not read media: exactly one `*` must be sent, once",
        ),
    }
}

fn quoted(value: Option<&str>) -> String {
    value.map_or("missing".to_owned(), |v| format!("`{v}`"))
}

fn max_age(answer: &Answer) -> Option<u64> {
    answer
        .header("cache-control")?
        .split(',')
        .filter_map(|part| part.trim().strip_prefix("max-age="))
        .find_map(|seconds| seconds.parse().ok())
}

fn caching(first: &Answer) -> Finding {
    let check = "caching";
    let said = first.header("cache-control");
    let refuses = said
        .as_deref()
        .is_some_and(|s| s.contains("no-store") || s.contains("no-cache") || s.contains("private"));
    match max_age(first) {
        Some(seconds) if seconds >= A_DAY && !refuses => Finding::passed(
            check,
            format!("browsers keep media for {} days", seconds / A_DAY),
        ),
        _ => Finding::failed(
            check,
            format!("`Cache-Control` is {}", quoted(said.as_deref())),
            "browsers would load every picture again: `public, max-age=31536000` must be sent",
        ),
    }
}

fn stripped_headers(first: &Answer) -> Finding {
    let check = "stripped-headers";
    let tells = |name: &str| {
        name.starts_with("x-amz-")
            || name.starts_with("x-amzn-")
            || name.starts_with("x-bz-")
            || name == "set-cookie"
            || (name.starts_with("access-control-") && name != "access-control-allow-origin")
    };
    let mut left: Vec<&str> = first
        .headers
        .keys()
        .map(|name| name.as_str())
        .filter(|name| tells(name))
        .collect();
    left.sort_unstable();
    if left.is_empty() {
        Finding::passed(check, "the bucket's own headers do not show")
    } else {
        Finding::failed(
            check,
            format!("the bucket's headers show: `{}`", left.join("`, `")),
            "they name the service and its versions: the proxy must remove them",
        )
    }
}

fn hardening(first: &Answer) -> Finding {
    let check = "hardening";
    let nosniff = first.header("x-content-type-options").as_deref() == Some("nosniff");
    let policy = first
        .header("content-security-policy")
        .is_some_and(|policy| policy.contains("default-src 'none'"));
    if nosniff && policy {
        return Finding::passed(check, "an uploaded file cannot act as a page");
    }
    let mut lacks = Vec::new();
    if !nosniff {
        lacks.push("`X-Content-Type-Options: nosniff`");
    }
    if !policy {
        lacks.push("`Content-Security-Policy: default-src 'none'`");
    }
    Finding::warned(
        check,
        format!("{} not sent", lacks.join(" and ")),
        "Mastodon's documentation asks for both, so that an uploaded file cannot act as a page",
    )
}

async fn head(domain: &Domain, probes: &Probes) -> Finding {
    let check = "head";
    let url = domain.url.of(&probes.plain);
    match domain.send(Method::HEAD, &url, &[]).await {
        Err(error) => unreachable(check, &error),
        Ok(answer) => {
            let length = answer.header("content-length");
            let right = length.as_deref() == Some(probes.body.len().to_string().as_str());
            if answer.status == StatusCode::OK && right {
                Finding::passed(check, "HEAD tells the length")
            } else {
                Finding::failed(
                    check,
                    format!(
                        "HEAD is answered {}, length {}",
                        answer.status,
                        quoted(length.as_deref())
                    ),
                    "other servers ask with HEAD before they fetch: it must be answered like GET",
                )
            }
        }
    }
}

async fn range(domain: &Domain, probes: &Probes) -> Finding {
    part("range", domain, probes, &probes.plain, 1_000, 1_999).await
}

async fn range_of_a_cold_object(domain: &Domain, probes: &Probes) -> Finding {
    part(
        "range-cold",
        domain,
        probes,
        &probes.cold_range,
        15_000,
        15_099,
    )
    .await
}

async fn part(
    check: &'static str,
    domain: &Domain,
    probes: &Probes,
    key: &str,
    first: usize,
    last: usize,
) -> Finding {
    let asked = format!("bytes={first}-{last}");
    let told = format!("bytes {first}-{last}/{}", probes.body.len());
    match domain
        .send(Method::GET, &domain.url.of(key), &[("range", &asked)])
        .await
    {
        Err(error) => unreachable(check, &error),
        Ok(answer) => {
            let right = answer.status == StatusCode::PARTIAL_CONTENT
                && answer.header("content-range").as_deref() == Some(&told)
                && answer.body == probes.body[first..=last];
            if right {
                Finding::passed(
                    check,
                    format!("206 with the {} bytes asked for", answer.body.len()),
                )
            } else {
                Finding::failed(
                    check,
                    format!(
                        "`{asked}` is answered {} with {} bytes",
                        answer.status,
                        answer.body.len()
                    ),
                    "Safari plays no video without 206: ranges must be passed on",
                )
            }
        }
    }
}

async fn range_past_the_end(domain: &Domain, probes: &Probes) -> Finding {
    let check = "range-end";
    let length = probes.body.len();
    let asked = format!("bytes={}-", length + 10);
    let url = domain.url.of(&probes.plain);
    match domain.send(Method::GET, &url, &[("range", &asked)]).await {
        Err(error) => unreachable(check, &error),
        Ok(answer)
            if answer.status == StatusCode::RANGE_NOT_SATISFIABLE
                && answer.header("content-range") == Some(format!("bytes */{length}")) =>
        {
            Finding::passed(check, "416 past the end, with the length")
        }
        Ok(answer) => Finding::warned(
            check,
            format!("a range past the end is answered {}", answer.status),
            "416 with `Content-Range: bytes */LENGTH` lets a player find the end",
        ),
    }
}

async fn conditional(domain: &Domain, probes: &Probes, first: &Answer) -> Finding {
    let check = "conditional";
    let Some(etag) = first.header("etag") else {
        return Finding::failed(
            check,
            "no `ETag` is sent",
            "a browser could never ask whether its copy is still good: pass the bucket's ETag on",
        );
    };
    if etag.starts_with("W/") {
        return Finding::failed(
            check,
            format!("the ETag `{etag}` is weak"),
            "Safari plays no video with a weak ETag: switch off compression and rewriting for the domain",
        );
    }
    let url = domain.url.of(&probes.plain);
    match domain
        .send(Method::GET, &url, &[("if-none-match", &etag)])
        .await
    {
        Err(error) => unreachable(check, &error),
        Ok(answer) if answer.status == StatusCode::NOT_MODIFIED => {
            Finding::passed(check, "304 for a copy that is still good")
        }
        Ok(answer) => Finding::failed(
            check,
            format!(
                "`If-None-Match` with the right ETag is answered {}",
                answer.status
            ),
            "browsers would load unchanged media again",
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

/// These go to a key that does not exist, so that a proxy which lets them through harms nothing.
async fn refused_methods(domain: &Domain, probes: &Probes) -> Finding {
    let check = "refused-methods";
    let url = domain.url.of(&probes.missing);
    let mut passed_on = Vec::new();
    for method in [
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::PATCH,
        Method::OPTIONS,
    ] {
        match domain.send(method.clone(), &url, &[]).await {
            Err(error) => return unreachable(check, &error),
            Ok(answer)
                if matches!(
                    answer.status,
                    StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED
                ) => {}
            Ok(answer) => passed_on.push(format!("{method} ({})", answer.status)),
        }
    }
    if passed_on.is_empty() {
        Finding::passed(check, "POST, PUT, DELETE, PATCH and OPTIONS are refused")
    } else {
        Finding::failed(
            check,
            format!("not refused: {}", passed_on.join(", ")),
            "only GET and HEAD may reach the bucket",
        )
    }
}

async fn missing(domain: &Domain, probes: &Probes) -> Finding {
    let check = "missing";
    match domain.get(&probes.missing).await {
        Err(error) => unreachable(check, &error),
        Ok(answer) if !matches!(answer.status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN) => {
            Finding::failed(
                check,
                format!("an object that is not there is answered {}", answer.status),
                "it should be 404: see the worker's log",
            )
        }
        Ok(answer) if max_age(&answer).is_some_and(|seconds| seconds >= A_DAY) => Finding::failed(
            check,
            format!(
                "{} is to be kept by browsers for {} days",
                answer.status,
                max_age(&answer).unwrap_or(0) / A_DAY
            ),
            "media that is fetched a moment later would stay missing: long caching is for answers that are media",
        ),
        Ok(answer) => Finding::passed(check, format!("{}, and not kept", answer.status)),
    }
}

async fn listing(domain: &Domain) -> Finding {
    let check = "listing";
    for path in ["/", "/?list-type=2", "/?prefix=accounts/"] {
        match domain
            .send(Method::GET, &format!("{}{path}", domain.url), &[])
            .await
        {
            Err(error) => return unreachable(check, &error),
            Ok(answer) => {
                let text = String::from_utf8_lossy(&answer.body);
                if text.contains("<ListBucketResult") {
                    return Finding::failed(
                        check,
                        format!("`{path}` lists the bucket"),
                        "anybody can see every file, account archives included: the query must not reach the bucket",
                    );
                }
            }
        }
    }
    Finding::passed(check, "the bucket cannot be listed")
}

async fn archives(domain: &Domain, probes: &Probes) -> Finding {
    let check = "archives";
    match domain.get(&probes.archive).await {
        Err(error) => unreachable(check, &error),
        Ok(answer) if answer.status.is_success() => Finding::warned(
            check,
            "whoever knows its address can read an account archive under `backups/`",
            "the worker refuses them with `DENY_PREFIXES = \"backups/\"`; Mastodon hands archives out by signed addresses of the bucket instead",
        ),
        Ok(answer) => Finding::passed(
            check,
            format!("account archives are refused ({})", answer.status),
        ),
    }
}
