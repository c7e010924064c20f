//! Checks of requests that must be refused: other methods, missing keys, listings, archives.

use http::{Method, StatusCode};

use super::super::{Domain, Probes};
use super::headers::max_age;
use super::{A_DAY, unreachable};
use crate::findings::Finding;

/// Sent for a missing key, so that a proxy that passes them on does no harm.
pub(super) async fn refused_methods(domain: &Domain, probes: &Probes) -> Finding {
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
            Ok(response)
                if matches!(
                    response.status,
                    StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED
                ) => {}
            Ok(response) => passed_on.push(format!("{method} ({})", response.status)),
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

pub(super) async fn missing(domain: &Domain, probes: &Probes) -> Finding {
    let check = "missing";
    match domain.get(&probes.missing).await {
        Err(error) => unreachable(check, &error),
        Ok(response)
            if !matches!(
                response.status,
                StatusCode::NOT_FOUND | StatusCode::FORBIDDEN
            ) =>
        {
            Finding::failed(
                check,
                format!("a missing object is answered {}", response.status),
                "it should be 404: see the worker's log",
            )
        }
        Ok(response) if max_age(&response).is_some_and(|seconds| seconds >= A_DAY) => {
            Finding::failed(
                check,
                format!(
                    "browsers keep a {} for {} days",
                    response.status,
                    max_age(&response).unwrap_or(0) / A_DAY
                ),
                "media that is uploaded later would stay missing: only media may have a long `max-age`",
            )
        }
        Ok(response) => Finding::passed(
            check,
            format!("{}, which browsers do not keep", response.status),
        ),
    }
}

pub(super) async fn listing(domain: &Domain) -> Finding {
    let check = "listing";
    for path in ["/", "/?list-type=2", "/?prefix=accounts/"] {
        match domain
            .send(Method::GET, &format!("{}{path}", domain.url), &[])
            .await
        {
            Err(error) => return unreachable(check, &error),
            Ok(response) => {
                let text = String::from_utf8_lossy(&response.body);
                if text.contains("<ListBucketResult") {
                    return Finding::failed(
                        check,
                        format!("`{path}` lists the bucket"),
                        "anybody can find every file, account archives included: the query string must not reach the bucket",
                    );
                }
            }
        }
    }
    Finding::passed(check, "the bucket cannot be listed")
}

pub(super) async fn archives(domain: &Domain, probes: &Probes) -> Finding {
    let check = "archives";
    let mut status = None;
    for key in &probes.denied {
        match domain.get(key).await {
            Err(error) => return unreachable(check, &error),
            Ok(response) if response.status.is_success() => {
                return Finding::warned(
                    check,
                    "anybody who knows an address can read account archives in `backups/`, or lists in `imports/`",
                    "set the worker's `DENY_PREFIXES = \"backups/,imports/\"`; Mastodon gives out archives by signed addresses of the bucket",
                );
            }
            Ok(response) => status = Some(response.status),
        }
    }
    let status = status.map(|status| status.to_string());
    Finding::passed(
        check,
        format!(
            "account archives are refused ({})",
            status.unwrap_or_default()
        ),
    )
}
