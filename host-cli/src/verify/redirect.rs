//! Whether old addresses of media, `https://DOMAIN/system/…`, are redirected to the files domain.
//!
//! Old posts and other servers keep them. Before the cutover they are served from the disk; afterwards
//! they need a redirect in the instance's nginx.

use http::{Method, header};
use percent_encoding::percent_decode_str;

use super::Domain;
use super::domain::path_of;
use super::samples::SampleRead;
use crate::error::chain;
use crate::findings::{CheckOutcome, Finding};

const CHECK: &str = "old-addresses";
const HINT: &str = "add the redirect of docs/migrate.md to the instance's nginx: old posts and other servers keep these addresses";

/// How many files are tried, since Mastodon may have deleted or hidden one on the disk.
const ATTEMPTS: usize = 5;

/// Reads old addresses of samples that were read correctly, until one is redirected. `site` is the
/// address of the instance without a slash at its end.
pub async fn check(domain: &Domain, site: &str, reads: &[SampleRead], key_prefix: &str) -> Finding {
    let mut finding = Finding::skipped(CHECK, "the bucket has no media yet");
    for read in reads
        .iter()
        .filter(|read| read.fault.is_none())
        .take(ATTEMPTS)
    {
        finding = read_one(domain, site, &read.key, key_prefix).await;
        if finding.outcome == CheckOutcome::Passed {
            break;
        }
    }
    finding
}

/// Whether both name the same object: nginx writes some characters bare that are encoded elsewhere.
fn is_same_address(one: &str, other: &str) -> bool {
    percent_decode_str(one).eq(percent_decode_str(other))
}

async fn read_one(domain: &Domain, site: &str, key: &str, key_prefix: &str) -> Finding {
    let path = key.strip_prefix(key_prefix).unwrap_or(key);
    let old = format!("{site}/system{}", path_of(path));
    let response = match domain.send(Method::GET, &old, &[]).await {
        Ok(response) => response,
        Err(error) => {
            return Finding::skipped(CHECK, format!("`{old}` cannot be read: {}", chain(&error)));
        }
    };
    let location = response.header(header::LOCATION.as_str());
    match location {
        Some(location) if response.status.is_redirection() => {
            let target = location.split(['?', '#']).next().unwrap_or_default();
            if is_same_address(target, &domain.url.of(key)) {
                Finding::passed(
                    CHECK,
                    format!("`{site}/system/` is redirected to `{}`", domain.url),
                )
            } else {
                Finding::failed(
                    CHECK,
                    format!(
                        "`{old}` is redirected to `{location}`, not to `{}`",
                        domain.url.of(key)
                    ),
                    HINT,
                )
            }
        }
        _ if response.status.is_success() => Finding::passed(
            CHECK,
            format!(
                "`{site}/system/` is served from the disk; it needs a redirect before `cutover`"
            ),
        ),
        _ => Finding::failed(
            CHECK,
            format!("`{old}` is answered {}", response.status),
            HINT,
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::is_same_address;

    #[test]
    fn an_address_is_the_same_however_its_characters_are_encoded() {
        #[track_caller]
        fn check(one: &str, other: &str, same: bool) {
            assert_eq!(is_same_address(one, other), same, "{one} {other}");
        }
        check(
            "https://f.example/a;b,c.png",
            "https://f.example/a%3Bb%2cc.png",
            true,
        );
        check("https://f.example/a%20b", "https://f.example/a%20b", true);
        check(
            "https://f.example/a%2520b",
            "https://f.example/a%20b",
            false,
        );
        check("https://f.example/a+b", "https://f.example/a%20b", false);
        check("https://g.example/a.png", "https://f.example/a.png", false);
    }
}
