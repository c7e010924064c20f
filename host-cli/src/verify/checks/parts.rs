//! Checks of HEAD, ranges and conditional requests.

use http::{Method, StatusCode};

use super::super::{Domain, Probes};
use super::headers::quoted;
use super::{state, unreachable};
use crate::findings::Finding;
use crate::web::HttpResponse;

pub(super) async fn head(domain: &Domain, probes: &Probes) -> Finding {
    let check = "head";
    let url = domain.url.of(&probes.plain);
    match domain.send(Method::HEAD, &url, &[]).await {
        Err(error) => unreachable(check, &error),
        Ok(response) => {
            let length = response.header("content-length");
            let right = length.as_deref() == Some(probes.body.len().to_string().as_str());
            if response.status == StatusCode::OK && right {
                Finding::passed(check, "HEAD has the length")
            } else {
                Finding::failed(
                    check,
                    format!(
                        "HEAD is answered {}, length {}",
                        response.status,
                        quoted(length.as_deref())
                    ),
                    "other servers send HEAD before GET: it must be answered like GET",
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

async fn part(
    check: &'static str,
    domain: &Domain,
    probes: &Probes,
    key: &str,
    first: usize,
    last: usize,
) -> Finding {
    let range = format!("bytes={first}-{last}");
    let content_range = format!("bytes {first}-{last}/{}", probes.body.len());
    match domain
        .send(Method::GET, &domain.url.of(key), &[("range", &range)])
        .await
    {
        Err(error) => unreachable(check, &error),
        Ok(response) => {
            let right = response.status == StatusCode::PARTIAL_CONTENT
                && response.header("content-range").as_deref() == Some(&content_range)
                && response.body == probes.body[first..=last];
            if right {
                Finding::passed(
                    check,
                    format!(
                        "206 with the requested {} bytes{}",
                        response.body.len(),
                        state(&response)
                    ),
                )
            } else {
                Finding::failed(
                    check,
                    format!(
                        "`{range}` is answered {} with {} bytes",
                        response.status,
                        response.body.len()
                    ),
                    "Safari plays no video without 206: ranges must be supported",
                )
            }
        }
    }
}

pub(super) async fn range_past_the_end(domain: &Domain, probes: &Probes) -> Finding {
    let check = "range-end";
    let length = probes.body.len();
    let range = format!("bytes={}-", length + 10);
    let url = domain.url.of(&probes.plain);
    match domain.send(Method::GET, &url, &[("range", &range)]).await {
        Err(error) => unreachable(check, &error),
        Ok(response)
            if response.status == StatusCode::RANGE_NOT_SATISFIABLE
                && response.header("content-range") == Some(format!("bytes */{length}")) =>
        {
            Finding::passed(check, "416 with the length for a range after the end")
        }
        Ok(response) => Finding::warned(
            check,
            format!("a range after the end is answered {}", response.status),
            "players find the end by 416 with `Content-Range: bytes */LENGTH`",
        ),
    }
}

pub(super) async fn conditional(domain: &Domain, probes: &Probes, first: &HttpResponse) -> Finding {
    let check = "conditional";
    let Some(etag) = first.header("etag") else {
        return Finding::failed(
            check,
            "no `ETag` is sent",
            "browsers could not revalidate their copies: the ETag of the bucket must be sent",
        );
    };
    if etag.starts_with("W/") {
        return Finding::failed(
            check,
            format!("the ETag `{etag}` is weak"),
            "Safari plays no video with a weak ETag: turn compression and rewriting off for the domain",
        );
    }
    let url = domain.url.of(&probes.plain);
    match domain
        .send(Method::GET, &url, &[("if-none-match", &etag)])
        .await
    {
        Err(error) => unreachable(check, &error),
        Ok(response) if response.status == StatusCode::NOT_MODIFIED => Finding::passed(
            check,
            format!("304 for an unchanged copy{}", state(&response)),
        ),
        Ok(response) => Finding::failed(
            check,
            format!(
                "`If-None-Match` with the right ETag is answered {}",
                response.status
            ),
            "browsers would load unchanged media again",
        ),
    }
}
