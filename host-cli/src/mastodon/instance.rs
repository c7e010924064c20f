//! Queries the running instance for the media addresses that it returns.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use serde_json::Value;
use std::time::Duration;

use super::locate::ATTACHMENTS;
use super::media::MediaSettings;
use super::owner::{Owner, Running};
use crate::config;
use crate::config::Version;
use crate::web::Web;

/// The instance is on this machine or near it.
const TIMEOUT: Duration = Duration::from_secs(5);
const LONGEST_RESPONSE: usize = 4 << 20;

/// The address of the instance, and the settings that its responses are compared with.
#[derive(Clone, Debug, Default)]
pub(super) struct InstanceClient {
    /// `http://127.0.0.1:3000`.
    url: String,
    /// Whether the settings file names the address.
    named: bool,
    local_domain: Option<String>,
    web_domain: Option<String>,
    /// Hosts of media on the disk, besides the two above.
    disk_hosts: Vec<String>,
    disk_path: String,
    /// Whether media are in a bucket by the settings.
    in_bucket: bool,
    bucket_hosts: Vec<String>,
}

/// What the instance reports.
#[derive(Debug, Default)]
pub(super) struct InstanceStatus {
    pub(super) version: Option<Version>,
    /// None where no address shows it.
    pub(super) running: Option<Running>,
}

impl InstanceClient {
    pub(super) fn of(settings: &config::File, media: Option<&MediaSettings>) -> InstanceClient {
        let port = media
            .and_then(|media| media.port.as_deref())
            .unwrap_or("3000");
        let url = match &settings.instance_url {
            Some(url) => url.trim_end_matches('/').to_owned(),
            None => format!("http://127.0.0.1:{port}"),
        };
        // Queried by another name, it may return addresses with that name.
        let queried = url.split_once("://").map(|(_, host)| host.to_owned());
        let cdn = media.and_then(|media| media.cdn_host.clone());
        InstanceClient {
            named: settings.instance_url.is_some(),
            url,
            local_domain: media.and_then(|media| media.local_domain.clone()),
            web_domain: media.and_then(|media| media.web_domain.clone()),
            disk_hosts: queried.into_iter().chain(cdn).collect(),
            disk_path: media.map_or("system/".to_owned(), |media| media.disk_path.clone()),
            in_bucket: media.is_some_and(|media| media.in_bucket),
            bucket_hosts: media.map(|media| media.hosts.clone()).unwrap_or_default(),
        }
    }

    /// The public address of the site; none where the settings do not contain it.
    pub(super) fn site_url(&self) -> Option<String> {
        let domain = self.web_domain.as_ref().or(self.local_domain.as_ref())?;
        Some(format!("https://{domain}"))
    }

    /// None where no instance answers, or another one.
    pub(super) async fn query(&self) -> Option<InstanceStatus> {
        // At the default port another instance may answer: its domain is compared.
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
        if self.running_by(&addresses).is_none()
            && let Some(Value::Array(emojis)) = self.get("/api/v1/custom_emojis").await
        {
            addresses = emojis.iter().map(|emoji| emoji["url"].clone()).collect();
        }
        Some(InstanceStatus {
            version: instance["version"].as_str().and_then(Version::parse),
            running: self.running_by(&addresses),
        })
    }

    /// By the first address that shows it. Addresses of Mastodon's own pictures do not.
    fn running_by(&self, addresses: &[Value]) -> Option<Running> {
        addresses
            .iter()
            .filter_map(Value::as_str)
            .find_map(|address| self.running_by_address(address))
    }

    fn running_by_address(&self, address: &str) -> Option<Running> {
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
            // An alias host with a path can be the host of the instance.
            (true, true) => None,
            (true, false) if path.starts_with(&self.disk_path) => Some(Running::Uses(Owner::Disk)),
            (true, false) => None,
            (false, true) => Some(Running::Uses(Owner::Bucket)),
            (false, false) if !is_media => None,
            (false, false) if self.in_bucket => Some(Running::NotRestarted(format!(
                "the running Mastodon returns media addresses at `{host}`, which its settings do not name"
            ))),
            (false, false) => Some(Running::Uses(Owner::Bucket)),
        }
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(format!("{}{path}", self.url))
            // Otherwise Mastodon redirects to the address with TLS.
            .header("X-Forwarded-Proto", "https");
        if let Some(domain) = &self.local_domain {
            request = request.header("Host", domain);
        }
        let request = request.body(Full::<Bytes>::default()).ok()?;
        let web = Web::new();
        let response = tokio::time::timeout(TIMEOUT, web.send(request, LONGEST_RESPONSE)).await;
        let response = response.ok()?.ok()?;
        response.status.is_success().then_some(())?;
        serde_json::from_slice(&response.body).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(in_bucket: bool) -> InstanceClient {
        InstanceClient {
            local_domain: Some("social.example".to_owned()),
            disk_path: "system/".to_owned(),
            in_bucket,
            bucket_hosts: Vec::from_iter(in_bucket.then(|| "files.social.example".to_owned())),
            ..InstanceClient::default()
        }
    }

    #[test]
    fn an_address_shows_who_owns_the_media() {
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
            // The settings name no bucket, and the process still uses one.
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
            let shown = client(in_bucket).running_by_address(address);
            assert_eq!(shown, expected.map(Running::Uses), "{address}");
        }
    }

    #[test]
    fn media_at_a_host_that_the_settings_do_not_name_are_of_older_settings() {
        let address = "https://old.example/accounts/avatars/1/original/a.png";
        let shown = client(true).running_by_address(address);
        assert!(matches!(shown, Some(Running::NotRestarted(why)) if why.contains("old.example")));
        let mut both = client(true);
        both.bucket_hosts.push("social.example".to_owned());
        let address = "https://social.example/system/accounts/avatars/1/original/a.png";
        assert_eq!(both.running_by_address(address), None);
    }

    #[test]
    fn the_content_host_is_one_of_the_disk() {
        let mut client = client(false);
        client.disk_hosts.push("cdn.example".to_owned());
        client.disk_path = "media/".to_owned();
        let address = "https://cdn.example/media/accounts/avatars/1/original/a.png";
        assert_eq!(
            client.running_by_address(address),
            Some(Running::Uses(Owner::Disk))
        );
    }
}
