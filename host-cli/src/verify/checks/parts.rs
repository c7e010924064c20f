//! Reads of less than the whole: HEAD, ranges, conditional requests.

use http::{Method, StatusCode};

use super::super::{Domain, Probes};
use super::headers::quoted;
use super::{state, unreachable};
use crate::findings::Finding;
use crate::web::Answer;

pub(super) async fn head(domain: &Domain, probes: &Probes) -> Finding {
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

pub(super) async fn range(domain: &Domain, probes: &Probes) -> Finding {
    part("range", domain, probes, &probes.plain, 1_000, 1_999).await
}

pub(super) async fn range_of_a_cold_object(domain: &Domain, probes: &Probes) -> Finding {
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

pub(super) async fn part(
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
                    format!(
                        "206 with the {} bytes asked for{}",
                        answer.body.len(),
                        state(&answer)
                    ),
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

pub(super) async fn range_past_the_end(domain: &Domain, probes: &Probes) -> Finding {
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

pub(super) async fn conditional(domain: &Domain, probes: &Probes, first: &Answer) -> Finding {
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
        Ok(answer) if answer.status == StatusCode::NOT_MODIFIED => Finding::passed(
            check,
            format!("304 for a copy that is still good{}", state(&answer)),
        ),
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
