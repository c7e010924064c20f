//! `purge --everything`: one request, upon which the worker has the platform drop all it stores.

use std::time::Duration;

use http::{StatusCode, header};
use serde::Serialize;

use super::{PurgeArgs, refusal, request, secret_header};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::web::Web;

/// Where the worker takes it.
const PATH: &str = "/.well-known/medialift-cache";

/// How often it is sent at most: the platform allows five purges a minute, Mastodon's included.
const ATTEMPTS: u32 = 5;

/// How long to wait where the answer does not say.
const DEFAULT_WAIT: Duration = Duration::from_secs(60);

/// The longest wait that is taken from an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(300);

#[derive(Debug, Serialize)]
struct Report {
    everything: bool,
    dry_run: bool,
    url: String,
    /// How often it was sent.
    attempts: u32,
}

/// Sends it, again where the platform refuses for now.
pub(super) async fn run(args: &PurgeArgs, base: &str, context: &Context) -> Result<Exit> {
    let url = format!("{base}{PATH}");
    let mut report = Report {
        everything: true,
        dry_run: args.dry_run,
        url: url.clone(),
        attempts: 0,
    };
    if args.dry_run {
        let line = format!("would send `{} {url}`", args.method.as_str());
        context.ui.data(&report, line);
        return Ok(Exit::Done);
    }
    let (header, value) = secret_header(args)?;
    let failed = || Error::new(format!("purge everything at `{base}`"));
    let web = Web::new();
    loop {
        report.attempts += 1;
        let request =
            request(args, &url, &header, &value).map_err(|cause| failed().cause(cause))?;
        let answer = web.send(request, 1 << 20).await.map_err(|cause| {
            failed()
                .cause(cause)
                .hint("check the domain's DNS record, and that the worker is deployed")
        })?;
        match answer.status {
            status if status.is_success() => break,
            StatusCode::FORBIDDEN => return Err(refusal(&url)),
            StatusCode::NOT_IMPLEMENTED => {
                return Err(failed()
                    .cause("each data centre keeps copies of its own (`CACHE_MODE = \"engine\"`), and they stay until their time is over")
                    .hint("change the worker's FRESH_SECONDS by a second and deploy it: every copy then has another name, and none of the old ones is served"));
            }
            StatusCode::SERVICE_UNAVAILABLE if report.attempts < ATTEMPTS => {
                let wait = wait(answer.header(header::RETRY_AFTER.as_str()).as_deref());
                context.ui.say(format!(
                    "the platform refuses for now (503): trying again in {} s ({} of {ATTEMPTS})",
                    wait.as_secs(),
                    report.attempts + 1
                ));
                tokio::time::sleep(wait).await;
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                return Err(failed()
                    .cause(format!("the platform refused {ATTEMPTS} times (503)"))
                    .hint("the worker's log has its reason; try again later"));
            }
            status => {
                return Err(failed()
                    .cause(format!("answered {status}"))
                    .hint("the worker may be older than this command, or something else may answer there: `medialift verify` shows it"));
            }
        }
    }
    context.ui.data(&report, "everything is dropped");
    Ok(Exit::Done)
}

/// What `Retry-After` says, in seconds, within bounds.
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
    fn a_wait_is_as_told_and_never_for_ever() {
        for (told, seconds) in [
            (Some("7"), 7),
            (Some("86400"), 300),
            (Some("Mon, 30 Nov 2026 08:00:00 GMT"), 60),
            (None, 60),
        ] {
            assert_eq!(wait(told), Duration::from_secs(seconds), "{told:?}");
        }
    }
}
