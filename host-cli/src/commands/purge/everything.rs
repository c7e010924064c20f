//! `purge --everything`: a request on which the worker purges the whole Workers Cache.

use std::time::Duration;

use http::{StatusCode, header};
use serde::Serialize;

use super::{PurgeArgs, refusal, request, secret_header};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::verify::SiteUrl;
use crate::web::Web;

/// Path of the request.
const PATH: &str = "/.well-known/medialift-cache";

/// Most attempts: the platform allows five purges a minute, including Mastodon's.
const ATTEMPTS: u32 = 5;

/// Wait between attempts without a `Retry-After` header.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);

/// Longest wait by `Retry-After`.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

#[derive(Debug, Serialize)]
struct PurgeEverythingReport {
    everything: bool,
    dry_run: bool,
    url: String,
    /// Number of requests.
    attempts: u32,
}

/// Sends the request, and repeats it while the platform refuses temporarily.
pub(super) async fn run(args: &PurgeArgs, domain: &SiteUrl, context: &Context) -> Result<Exit> {
    let url = format!("{domain}{PATH}");
    let mut report = PurgeEverythingReport {
        everything: true,
        dry_run: args.dry_run,
        url: url.clone(),
        attempts: 0,
    };
    if args.dry_run {
        let line = format!("would send `{} {url}`", args.purge_method.as_str());
        context.ui.data(&report, line);
        return Ok(Exit::Done);
    }
    let (header, value) = secret_header(args, context)?;
    let failed = || Error::new(format!("purge everything at `{domain}`"));
    let web = Web::new();
    loop {
        report.attempts += 1;
        let request =
            request(args, &url, &header, &value).map_err(|cause| failed().cause(cause))?;
        let response = web.send(request, 1 << 20).await.map_err(|cause| {
            failed()
                .cause(cause)
                .hint("check the domain's DNS record, and that the worker is deployed")
        })?;
        match response.status {
            status if status.is_success() => break,
            StatusCode::FORBIDDEN => return Err(refusal(&url)),
            StatusCode::NOT_IMPLEMENTED => {
                return Err(failed()
                    .cause("the worker is in engine mode (`CACHE_MODE = \"engine\"`): each data centre has its own copies, which expire by themselves")
                    .hint("change the worker's `FRESH_SECONDS` by one second and deploy it: this changes every cache key, and old copies are not served"));
            }
            StatusCode::SERVICE_UNAVAILABLE if report.attempts < ATTEMPTS => {
                let wait = wait(response.header(header::RETRY_AFTER.as_str()).as_deref());
                context.ui.say(format!(
                    "the purge is refused temporarily (503): attempt {} of {ATTEMPTS} in {} s",
                    report.attempts + 1,
                    wait.as_secs()
                ));
                tokio::time::sleep(wait).await;
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                return Err(failed()
                    .cause(format!("the purge was refused {ATTEMPTS} times (503)"))
                    .hint("the worker's log has the reason; run the command again later"));
            }
            status => {
                return Err(failed()
                    .cause(format!("answered {status}"))
                    .hint("the worker may be older than this command, or another server answers: run `medialift verify`"));
            }
        }
    }
    context.ui.data(&report, "the whole cache was dropped");
    Ok(Exit::Done)
}

/// The wait by `Retry-After`, limited.
fn wait(retry_after: Option<&str>) -> Duration {
    retry_after
        .and_then(|text| text.trim().parse().ok())
        .map_or(DEFAULT_WAIT, Duration::from_secs)
        .min(LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_that_of_the_header_and_limited() {
        for (retry_after, seconds) in [
            (Some("7"), 7),
            (Some("86400"), 300),
            (Some("Mon, 30 Nov 2026 08:00:00 GMT"), 60),
            (None, 60),
        ] {
            assert_eq!(
                wait(retry_after),
                Duration::from_secs(seconds),
                "{retry_after:?}"
            );
        }
    }
}
