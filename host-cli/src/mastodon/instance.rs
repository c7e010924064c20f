//! Asks the running instance which media addresses it gives out.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::Value;
use std::time::Duration;

use super::environment::Media;
use super::owner::{Owner, Running};
use super::place::ATTACHMENTS;
use crate::config;
use crate::config::Version;
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
    /// Where it gives out its media while they are in the directory, beside the two above.
    disk_hosts: Vec<String>,
    disk_path: String,
    /// Whether the settings say that they are in a bucket.
    in_bucket: bool,
    bucket_hosts: Vec<String>,
}

/// What the instance shows.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) version: Option<Version>,
    /// None where no address tells it.
    pub(super) shows: Option<Running>,
}

impl Question {
    pub(super) fn of(settings: &config::File, media: Option<&Media>) -> Question {
        let port = media
            .and_then(|media| media.port.as_deref())
            .unwrap_or("3000");
        let url = match &settings.instance_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://127.0.0.1:{port}"),
        };
        // Where it is asked by another name than its own, it may give that out.
        let asked = url.split_once("://").map(|(_, host)| host.to_owned());
        let cdn = media.and_then(|media| media.cdn_host.clone());
        Question {
            named: settings.instance_url.is_some(),
            url,
            local_domain: media.and_then(|media| media.local_domain.clone()),
            web_domain: media.and_then(|media| media.web_domain.clone()),
            disk_hosts: asked.into_iter().chain(cdn).collect(),
            disk_path: media.map_or("system/".to_owned(), |media| media.disk_path.clone()),
            in_bucket: media.is_some_and(|media| media.in_bucket),
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

    /// What the first address shows that tells it. Those of pictures that came with the software tell
    /// nothing.
    fn shows(&self, addresses: &[Value]) -> Option<Running> {
        addresses
            .iter()
            .filter_map(Value::as_str)
            .find_map(|address| self.shown_by(address))
    }

    fn shown_by(&self, address: &str) -> Option<Running> {
        let (_, rest) = address.split_once("://")?;
        let (host, path) = rest.split_once('/')?;
        let is_host = |name: &String| name.eq_ignore_ascii_case(host);
        let of_bucket = self.bucket_hosts.iter().any(is_host);
        let own = [&self.local_domain, &self.web_domain];
        let of_disk = own
            .into_iter()
            .flatten()
            .chain(&self.disk_hosts)
            .any(is_host);
        let is_media = ATTACHMENTS
            .iter()
            .any(|(class, attachment)| path.contains(&format!("{class}/{attachment}/")));
        match (of_disk, of_bucket) {
            // An alias host with a path can be the instance's own: then both look alike.
            (true, true) => None,
            (true, false) if path.starts_with(&self.disk_path) => Some(Running::Shows(Owner::Disk)),
            (true, false) => None,
            (false, true) => Some(Running::Shows(Owner::Bucket)),
            (false, false) if !is_media => None,
            (false, false) if self.in_bucket => Some(Running::NotRestarted(format!(
                "the running Mastodon gives out media at `{host}`, which its settings do not name"
            ))),
            (false, false) => Some(Running::Shows(Owner::Bucket)),
        }
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

    fn question(in_bucket: bool) -> Question {
        Question {
            local_domain: Some("social.example".to_owned()),
            disk_path: "system/".to_owned(),
            in_bucket,
            bucket_hosts: Vec::from_iter(in_bucket.then(|| "files.social.example".to_owned())),
            ..Question::default()
        }
    }

    #[test]
    fn an_address_tells_whose_the_media_are() {
        for (in_bucket, address, expected) in [
            (
                true,
                "https://social.example/system/accounts/avatars/1/original/a.png",
                Some(Owner::Disk),
            ),
            (
                true,
                "https://Files.social.example/accounts/avatars/1/original/a.png",
                Some(Owner::Bucket),
            ),
            (true, "https://social.example/packs/media/preview.png", None),
            (
                true,
                "https://social.example/avatars/original/missing.png",
                None,
            ),
            (
                false,
                "https://social.example/system/accounts/avatars/1/original/a.png",
                Some(Owner::Disk),
            ),
            // The settings name no bucket any more, and the process still uses one.
            (
                false,
                "https://files.social.example/accounts/avatars/1/original/a.png",
                Some(Owner::Bucket),
            ),
            (
                false,
                "https://files.social.example/system/site_uploads/files/1/@1x/a.png",
                Some(Owner::Bucket),
            ),
            (false, "https://cdn.example/packs/media/preview.png", None),
        ] {
            let shown = question(in_bucket).shown_by(address);
            assert_eq!(shown, expected.map(Running::Shows), "{address}");
        }
    }

    #[test]
    fn media_at_a_host_that_the_settings_do_not_name_are_of_older_settings() {
        let address = "https://old.example/accounts/avatars/1/original/a.png";
        let shown = question(true).shown_by(address);
        assert!(matches!(shown, Some(Running::NotRestarted(why)) if why.contains("old.example")));
        let mut both = question(true);
        both.bucket_hosts.push("social.example".to_owned());
        let address = "https://social.example/system/accounts/avatars/1/original/a.png";
        assert_eq!(both.shown_by(address), None);
    }

    #[test]
    fn the_content_host_is_one_of_the_disk() {
        let mut question = question(false);
        question.disk_hosts.push("cdn.example".to_owned());
        question.disk_path = "media/".to_owned();
        let address = "https://cdn.example/media/accounts/avatars/1/original/a.png";
        assert_eq!(
            question.shown_by(address),
            Some(Running::Shows(Owner::Disk))
        );
    }
}
