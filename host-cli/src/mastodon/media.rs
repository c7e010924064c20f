//! The settings of Mastodon's media, by the variables of its environment.

use super::owner::{Owner, Storage};
use crate::config::{Endpoint, with_slash};
use crate::dotenv::values::{Value, Values};

/// The settings of media.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct MediaSettings {
    /// Whether media are in a bucket.
    pub(super) in_bucket: bool,
    /// `S3_BUCKET`; empty where media are not in a bucket.
    pub(super) bucket: String,
    /// `S3_KEY_PREFIX`, as written.
    pub(super) key_prefix: String,
    /// Host and port of `S3_ENDPOINT`, in lower case; Amazon's where it is not set.
    pub(super) endpoint: String,
    /// Hosts that media in a bucket are read from: those of the alias and of the bucket.
    pub(super) hosts: Vec<String>,
    /// `CDN_HOST`, in lower case: media on the disk are read from there too.
    pub(super) cdn_host: Option<String>,
    /// `PAPERCLIP_ROOT_PATH`.
    pub(super) root_path: String,
    /// Path of media on the disk in their addresses: `system/`.
    pub(super) disk_path: String,
    /// `LOCAL_DOMAIN`.
    pub(super) local_domain: Option<String>,
    /// `WEB_DOMAIN`, where the site has another name than accounts have.
    pub(super) web_domain: Option<String>,
    /// `PORT` of the web process.
    pub(super) port: Option<String>,
}

impl MediaSettings {
    pub(super) fn owner(&self) -> (Owner, Option<Storage>) {
        if self.in_bucket {
            (Owner::Bucket, Some(Storage::from(self)))
        } else {
            (Owner::Disk, None)
        }
    }

    pub(super) fn of(values: &Values) -> Result<MediaSettings, String> {
        let text = |key: &str| match values.get(key) {
            None => Ok(String::new()),
            Some(Value::Known(value)) => Ok(value.clone()),
            Some(Value::Unresolved(on)) => Err(format!(
                "`{key}` depends on `{on}`, which is not set in any readable file"
            )),
        };
        let rails = text("RAILS_ENV")?;
        if !matches!(&*rails, "" | "production") {
            return Err(format!(
                "`RAILS_ENV` is `{rails}`, not `production`: Mastodon may read other files"
            ));
        }
        let in_bucket = text("S3_ENABLED")? == "true";
        for (key, service) in [("SWIFT_ENABLED", "Swift"), ("AZURE_ENABLED", "Azure")] {
            if !in_bucket && text(key)? == "true" {
                return Err(format!("Mastodon keeps its media in {service}, by `{key}`"));
            }
        }
        let of_bucket = |key: &str| {
            if in_bucket {
                text(key)
            } else {
                Ok(String::new())
            }
        };
        let bucket = of_bucket("S3_BUCKET")?;
        if in_bucket && bucket.is_empty() {
            return Err("`S3_ENABLED` is `true` and `S3_BUCKET` is not set".to_owned());
        }
        let endpoint = if in_bucket {
            endpoint(values)?
        } else {
            String::new()
        };
        let mut hosts = Vec::new();
        for key in ["S3_ALIAS_HOST", "S3_CLOUDFRONT_HOST"] {
            hosts.extend(host(&of_bucket(key)?));
        }
        let region = match of_bucket("S3_REGION")? {
            region if region.is_empty() => "us-east-1".to_owned(),
            region => region,
        };
        let by_region = host(&format!("s3-{region}.amazonaws.com"));
        let services = [
            host(&of_bucket("S3_HOSTNAME")?).or(by_region),
            host(&of_bucket("S3_ENDPOINT")?),
        ];
        for service in services.into_iter().flatten() {
            hosts.push(format!("{bucket}.{service}").to_ascii_lowercase());
            hosts.push(service);
        }
        let domain = |key| text(key).ok().filter(|domain| !domain.is_empty());
        Ok(MediaSettings {
            in_bucket,
            bucket,
            key_prefix: of_bucket("S3_KEY_PREFIX")?,
            endpoint,
            hosts,
            cdn_host: domain("CDN_HOST").and_then(|url| host(&url)),
            root_path: text("PAPERCLIP_ROOT_PATH")?,
            disk_path: with_slash(domain("PAPERCLIP_ROOT_URL").as_deref().unwrap_or("system")),
            local_domain: domain("LOCAL_DOMAIN"),
            web_domain: domain("WEB_DOMAIN"),
            port: text("PORT").ok().filter(|port| !port.is_empty()),
        })
    }
}

/// Host and port of the service that Mastodon uploads to.
fn endpoint(values: &Values) -> Result<String, String> {
    let sdk_variables = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"];
    match values.get("S3_ENDPOINT") {
        Some(Value::Known(text)) => Endpoint::parse(text)
            .map(|endpoint| endpoint.authority().to_owned())
            .map_err(|_| {
                "`S3_ENDPOINT` is not `https://` and a host: the bucket cannot be determined"
                    .to_owned()
            }),
        Some(Value::Unresolved(on)) => Err(format!(
            "`S3_ENDPOINT` depends on `{on}`, which is not set in any readable file"
        )),
        None => match sdk_variables.iter().find(|key| values.contains_key(**key)) {
            Some(key) => Err(format!(
                "`S3_ENDPOINT` is not set and `{key}` is, which only some versions of Mastodon read"
            )),
            None => Ok("s3.amazonaws.com".to_owned()),
        },
    }
}

/// The host, in lower case, of an address with or without a scheme and a path.
fn host(address: &str) -> Option<String> {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

impl From<&MediaSettings> for Storage {
    fn from(media: &MediaSettings) -> Self {
        Storage {
            bucket: media.bucket.to_ascii_lowercase(),
            key_prefix: with_slash(&media.key_prefix),
            endpoint: media.endpoint.clone(),
        }
    }
}
