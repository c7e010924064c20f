//! Asks the running instance which media addresses it gives out.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::Value;
use std::time::Duration;

use super::environment::Media;
use super::{Owner, Version};
use crate::config;
use crate::web::Web;

/// It is on this machine, or nearly so.
const PATIENCE: Duration = Duration::from_secs(5);
const LONGEST_ANSWER: usize = 4 << 20;

/// Where to ask, and what the answer is compared with.
#[derive(Clone, Debug, Default)]
pub(super) struct Question {
    /// `http://127.0.0.1:3000`.
    url: String,
    /// Whether the settings file names it.
    named: bool,
    local_domain: Option<String>,
    web_domain: Option<String>,
    bucket_hosts: Vec<String>,
}

/// What the instance shows.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) version: Option<Version>,
    /// None where no address tells it.
    pub(super) shows: Option<Owner>,
}

impl Question {
    pub(super) fn of(settings: &config::File, media: Option<&Media>) -> Question {
        let port = media
            .and_then(|media| media.port.as_deref())
            .unwrap_or("3000");
        Question {
            named: settings.instance_url.is_some(),
            url: match &settings.instance_url {
                Some(url) => url.trim_end_matches('/').to_owned(),
                None => format!("http://127.0.0.1:{port}"),
            },
            local_domain: media.and_then(|media| media.local_domain.clone()),
            web_domain: media.and_then(|media| media.web_domain.clone()),
            bucket_hosts: media.map(|media| media.hosts.clone()).unwrap_or_default(),
        }
    }

    /// The site's address as its visitors have it; none where the settings do not tell it.
    pub(super) fn site_url(&self) -> Option<String> {
        let domain = self.web_domain.as_ref().or(self.local_domain.as_ref())?;
        Some(format!("https://{domain}"))
    }

    /// None where nothing answers, or another instance does.
    pub(super) async fn ask(&self) -> Option<Answer> {
        // Whatever answers at the usual port is this instance only if it says so.
        if !self.named && self.local_domain.is_none() {
            return None;
        }
        let instance = self.get("/api/v2/instance").await?;
        let domain = instance["domain"].as_str()?;
        let is_this_one = match &self.local_domain {
            Some(expected) => expected.eq_ignore_ascii_case(domain),
            None => self.named,
        };
        if !is_this_one {
            return None;
        }
        let account = &instance["contact"]["account"];
        let mut addresses = vec![
            instance["thumbnail"]["url"].clone(),
            account["avatar"].clone(),
            account["header"].clone(),
        ];
        if self.shows(&addresses).is_none()
            && let Some(Value::Array(emojis)) = self.get("/api/v1/custom_emojis").await
        {
            addresses = emojis.iter().map(|emoji| emoji["url"].clone()).collect();
        }
        Some(Answer {
            version: instance["version"].as_str().and_then(Version::parse),
            shows: self.shows(&addresses),
        })
    }

    /// Whose the first address is that tells it. Those of pictures that came with the software tell
    /// nothing.
    fn shows(&self, addresses: &[Value]) -> Option<Owner> {
        addresses
            .iter()
            .filter_map(Value::as_str)
            .find_map(|address| {
                let (_, rest) = address.split_once("://")?;
                let (host, path) = rest.split_once('/')?;
                // An alias host with a path can be the instance's own: then both look alike.
                let own = self.local_domain.as_deref() == Some(host);
                if !own
                    && self
                        .bucket_hosts
                        .iter()
                        .any(|of| of.eq_ignore_ascii_case(host))
                {
                    Some(Owner::Bucket)
                } else if path.starts_with("system/") {
                    Some(Owner::Disk)
                } else {
                    None
                }
            })
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(format!("{}{path}", self.url))
            // Mastodon sends whoever comes without TLS to the address with it.
            .header("X-Forwarded-Proto", "https");
        if let Some(domain) = &self.local_domain {
            request = request.header("Host", domain);
        }
        let request = request.body(Full::<Bytes>::default()).ok()?;
        let web = Web::new();
        let answer = tokio::time::timeout(PATIENCE, web.send(request, LONGEST_ANSWER)).await;
        let answer = answer.ok()?.ok()?;
        answer.status.is_success().then_some(())?;
        serde_json::from_slice(&answer.body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_tells_whose_the_media_are() {
        let question = Question {
            bucket_hosts: vec!["files.social.example".to_owned()],
            ..Question::default()
        };
        let shows = |address: &str| question.shows(&[Value::from(address)]);
        assert_eq!(
            shows("https://social.example/system/accounts/avatars/1/original/a.png"),
            Some(Owner::Disk)
        );
        assert_eq!(
            shows("https://Files.social.example/accounts/avatars/1/original/a.png"),
            Some(Owner::Bucket)
        );
        assert_eq!(
            shows("https://social.example/packs/media/preview.png"),
            None
        );
        assert_eq!(
            shows("https://social.example/avatars/original/missing.png"),
            None
        );
    }
}
