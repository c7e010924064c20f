//! Whether old addresses of media, `https://DOMAIN/system/…`, lead to the files domain.
//!
//! Old posts and other servers keep them. Before the cutover the disk answers them; afterwards only
//! a redirect in the instance's nginx does.

use http::{Method, header};

use super::Domain;
use super::domain::path_of;
use super::samples::Read;
use crate::findings::{Finding, Outcome, chain};

const CHECK: &str = "old-addresses";
const REMEDY: &str = "put the redirect of docs/migrate.md into the instance's nginx: old posts and other servers keep these addresses";

/// Files that are tried: Mastodon may have deleted or hidden one of them on the disk.
const TRIES: usize = 5;

/// Reads old addresses of media that the files domain has given, until one is right. `site` is the
/// instance's address without a slash at its end.
pub async fn check(domain: &Domain, site: &str, reads: &[Read], key_prefix: &str) -> Finding {
    let mut finding = Finding::skipped(CHECK, "there is no media in the bucket yet");
    for read in reads.iter().filter(|read| read.fault.is_none()).take(TRIES) {
        finding = read_one(domain, site, &read.key, key_prefix).await;
        if finding.outcome == Outcome::Passed {
            break;
        }
    }
    finding
}

async fn read_one(domain: &Domain, site: &str, key: &str, key_prefix: &str) -> Finding {
    let path = key.strip_prefix(key_prefix).unwrap_or(key);
    let old = format!("{site}/system{}", path_of(path));
    let answer = match domain.send(Method::GET, &old, &[]).await {
        Ok(answer) => answer,
        Err(error) => {
            return Finding::skipped(CHECK, format!("`{old}` cannot be read: {}", chain(&error)));
        }
    };
    let location = answer.header(header::LOCATION.as_str());
    match location {
        Some(location) if answer.status.is_redirection() => {
            let target = location.split(['?', '#']).next().unwrap_or_default();
            if target == domain.url.of(key) {
                Finding::passed(CHECK, format!("`{site}/system/` leads to `{}`", domain.url))
            } else {
                Finding::failed(
                    CHECK,
                    format!(
                        "`{old}` leads to `{location}`, not to `{}`",
                        domain.url.of(key)
                    ),
                    REMEDY,
                )
            }
        }
        _ if answer.status.is_success() => Finding::passed(
            CHECK,
            format!(
                "`{site}/system/` is answered from the disk; it needs a redirect before `cutover`"
            ),
        ),
        _ => Finding::failed(
            CHECK,
            format!("`{old}` is answered {}", answer.status),
            REMEDY,
        ),
    }
}
