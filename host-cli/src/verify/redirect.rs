//! Whether old addresses of media, `https://DOMAIN/system/…`, lead to the files domain.
//!
//! Old posts and other servers keep them. Before the cutover the disk answers them; afterwards only
//! a redirect in the instance's nginx does.

use http::{Method, header};

use super::Domain;
use super::domain::path_of;
use crate::findings::{Finding, chain};

const CHECK: &str = "old-addresses";
const REMEDY: &str = "put the redirect of docs/migrate.md into the instance's nginx: old posts and other servers keep these addresses";

/// Reads the old address of `key`, which is in the bucket. `site` is the instance's address
/// without a slash at its end.
pub async fn check(domain: &Domain, site: &str, key: &str, key_prefix: &str) -> Finding {
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
