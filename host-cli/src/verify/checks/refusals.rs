//! What must not be answered with media: other methods, missing keys, listings, archives.

use http::{Method, StatusCode};

use super::super::{Domain, Probes};
use super::headers::max_age;
use super::{A_DAY, unreachable};
use crate::findings::Finding;

/// These go to a key that does not exist, so that a proxy which lets them through harms nothing.
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

pub(super) async fn missing(domain: &Domain, probes: &Probes) -> Finding {
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

pub(super) async fn listing(domain: &Domain) -> Finding {
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

pub(super) async fn archives(domain: &Domain, probes: &Probes) -> Finding {
    let check = "archives";
    let mut status = None;
    for key in &probes.denied {
        match domain.get(key).await {
            Err(error) => return unreachable(check, &error),
            Ok(answer) if answer.status.is_success() => {
                return Finding::warned(
                    check,
                    "whoever knows their addresses can read account archives under `backups/`, or lists under `imports/`",
                    "the worker refuses them with `DENY_PREFIXES = \"backups/,imports/\"`; Mastodon hands archives out by signed addresses of the bucket instead",
                );
            }
            Ok(answer) => status = Some(answer.status),
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
