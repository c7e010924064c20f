//! The bucket and its endpoint: the flags that commands share, and how they are resolved.

use std::fmt;
use std::path::PathBuf;

use clap::Args;

use super::credentials::{self, Credentials};
use super::file::File;
use crate::error::{Error, Result};
use crate::format::quoted;

/// The longest key that the service accepts, in bytes of UTF-8.
pub const LONGEST_KEY: usize = 1024;

/// Flags that name the bucket. A flag outranks the environment, which outranks the settings file.
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Bucket")]
pub struct TargetArgs {
    /// Bucket name
    #[arg(long, value_name = "NAME", env = "B2_BUCKET")]
    pub bucket: Option<String>,
    /// Endpoint as the bucket's page shows it: `s3.us-west-004.backblazeb2.com`
    #[arg(long, value_name = "HOST", env = "B2_ENDPOINT")]
    pub endpoint: Option<String>,
    /// Region, where the endpoint's name does not contain it
    #[arg(long, value_name = "NAME", env = "B2_REGION")]
    pub region: Option<String>,
    /// Prefix of every key: Mastodon's `S3_KEY_PREFIX`
    #[arg(long, value_name = "PREFIX", env = "KEY_PREFIX")]
    pub key_prefix: Option<String>,
    /// File with `B2_APPLICATION_KEY_ID=` and `B2_APPLICATION_KEY=` lines, mode 0600
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
}

/// A bucket at an endpoint; its names are valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// Region that requests are signed for.
    pub region: String,
    /// Bucket name.
    pub bucket: String,
    /// Prefix of every key: empty, or ending in `/`.
    pub key_prefix: String,
}

impl Target {
    /// The key of `path` (relative to the media directory, `/` between its parts).
    pub fn key(&self, path: &str) -> String {
        format!("{}{path}", self.key_prefix)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.endpoint, self.bucket, self.key_prefix)
    }
}

/// Scheme, host and port of an S3 endpoint. `http` is allowed for a loopback address only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    scheme: &'static str,
    authority: String,
}

impl Endpoint {
    /// Reads `s3.us-west-004.backblazeb2.com`, `https://…`, or `http://` and a loopback address.
    pub fn parse(text: &str) -> Result<Endpoint, String> {
        let text = text.trim();
        let (scheme, rest) = match text.split_once("://") {
            Some(("https", rest)) => ("https", rest),
            Some(("http", rest)) => ("http", rest),
            Some((other, _)) => {
                return Err(format!(
                    "the endpoint `{text}` has the scheme `{other}`: use the host that the bucket's page shows"
                ));
            }
            None => ("https", text),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let parsed: http::uri::Authority = authority
            .parse()
            .map_err(|_| format!("the endpoint `{text}` is not a host name: use the one that the bucket's page shows, such as `s3.us-west-004.backblazeb2.com`"))?;
        if authority.contains('@') || parsed.host().is_empty() {
            return Err(format!(
                "the endpoint `{text}` is not a host name: use the one that the bucket's page shows"
            ));
        }
        if scheme == "http" && !is_loopback(parsed.host()) {
            return Err(format!(
                "the endpoint `{text}` is not encrypted: use `https://` (`http://` is allowed for loopback addresses only)"
            ));
        }
        Ok(Endpoint {
            scheme,
            authority: authority.to_ascii_lowercase(),
        })
    }

    /// `host` or `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// `https`, or `http` for a loopback address.
    pub fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// Whether it names a port.
    pub fn has_port(&self) -> bool {
        self.host() != self.authority
    }

    /// The host alone.
    pub fn host(&self) -> &str {
        match self.authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
            _ => &self.authority,
        }
    }

    /// Whether this is Backblaze's service, whose limits apply.
    pub fn is_backblaze(&self) -> bool {
        self.host().ends_with(".backblazeb2.com")
    }

    /// The region in the endpoint's name: `us-west-004` of `s3.us-west-004.backblazeb2.com`.
    pub fn region(&self) -> Option<&str> {
        let host = self.host();
        ["backblazeb2.com", "amazonaws.com"]
            .iter()
            .find_map(|domain| {
                host.strip_prefix("s3.")?
                    .strip_suffix(domain)?
                    .strip_suffix('.')
                    .filter(|region| !region.is_empty() && !region.contains('.'))
            })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme, self.authority)
    }
}

fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare == "localhost"
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

impl TargetArgs {
    /// The bucket that these flags and the settings file name. Reports every fault at once.
    pub fn resolve(&self, file: &File) -> Result<Target> {
        self.resolve_with(file)
            .map_err(|faults| settings_error(&faults))
    }

    /// As [`TargetArgs::resolve`], with the faults as a list, for callers that add their own.
    pub fn resolve_with(&self, file: &File) -> Result<Target, Vec<String>> {
        let mut faults = Vec::new();
        let bucket = pick(&self.bucket, &file.bucket);
        let endpoint = pick(&self.endpoint, &file.endpoint);
        let region = pick(&self.region, &file.region);
        let key_prefix = pick(&self.key_prefix, &file.key_prefix);

        match &bucket {
            None => faults.push(missing("bucket", "--bucket", "B2_BUCKET", "bucket")),
            Some(name) => {
                if let Some(fault) = bucket_fault(name) {
                    faults.push(fault);
                }
            }
        }
        let endpoint = match endpoint.as_deref().map(Endpoint::parse) {
            None => {
                faults.push(missing("endpoint", "--endpoint", "B2_ENDPOINT", "endpoint"));
                None
            }
            Some(Err(fault)) => {
                faults.push(fault);
                None
            }
            Some(Ok(endpoint)) => Some(endpoint),
        };
        let of_endpoint = endpoint.as_ref().and_then(Endpoint::region);
        let region = match (region, of_endpoint) {
            (Some(given), Some(named)) if given != named => {
                faults.push(format!("the region is `{given}`, and the endpoint is in `{named}`: leave the region out (`--region`, `B2_REGION`, `region` in medialift.toml)"));
                None
            }
            (Some(given), _) => Some(given),
            (None, Some(named)) => Some(named.to_owned()),
            (None, None) => {
                if endpoint.is_some() {
                    faults.push(
                        "the endpoint's name does not contain its region: give `--region`, set `B2_REGION`, or put `region = \"…\"` in medialift.toml"
                            .to_owned(),
                    );
                }
                None
            }
        };
        let key_prefix = with_slash(key_prefix.as_deref().unwrap_or_default());
        if key_prefix.len() >= LONGEST_KEY {
            faults.push(format!(
                "the key prefix is {} bytes long, and a key has at most {LONGEST_KEY}",
                key_prefix.len()
            ));
        }
        match (endpoint, region, bucket) {
            (Some(endpoint), Some(region), Some(bucket)) if faults.is_empty() => Ok(Target {
                endpoint,
                region,
                bucket,
                key_prefix,
            }),
            _ => Err(faults),
        }
    }

    /// The same flags for another command line, each with a space before it. Values of variables are
    /// included, since a variable may be set for this command only.
    pub fn as_flags(&self) -> String {
        let key_file = self.key_file.as_ref().map(|path| path.to_string_lossy());
        [
            ("--bucket", self.bucket.as_deref()),
            ("--endpoint", self.endpoint.as_deref()),
            ("--region", self.region.as_deref()),
            ("--key-prefix", self.key_prefix.as_deref()),
            ("--key-file", key_file.as_deref()),
        ]
        .into_iter()
        .filter_map(|(flag, value)| Some(format!(" {flag} {}", quoted(value?))))
        .collect()
    }

    /// The application key; see [`credentials::find`].
    pub fn credentials(&self, file: &File) -> Result<Credentials> {
        credentials::find(self.key_file.as_deref(), file.key_file.as_deref())
    }
}

/// One error for all faults of the settings.
pub fn settings_error(faults: &[String]) -> Error {
    let cause = match faults {
        [only] => only.clone(),
        many => {
            let list: String = many.iter().map(|f| format!("\n  - {f}")).collect();
            format!("{} faults:{list}", many.len())
        }
    };
    Error::usage("use these settings")
        .cause(cause)
        .hint("see `--help` of the command, or docs/commands.md; nothing was sent")
}

/// A key prefix with one slash at its end and none at its start; empty for an empty one.
pub fn with_slash(prefix: &str) -> String {
    match prefix.trim_matches('/') {
        "" => String::new(),
        prefix => format!("{prefix}/"),
    }
}

/// The value of the flag or variable, else of the settings file; an empty one counts as not given.
fn pick(flag: &Option<String>, file: &Option<String>) -> Option<String> {
    [flag, file]
        .into_iter()
        .flatten()
        .map(|value| value.trim())
        .find(|value| !value.is_empty())
        .map(str::to_owned)
}

fn missing(what: &str, flag: &str, variable: &str, setting: &str) -> String {
    format!(
        "no {what} is named: give `{flag}`, set `{variable}`, or put `{setting} = \"…\"` in medialift.toml"
    )
}

/// Backblaze allows 6 to 63 letters, digits and `-`; other services also 3 characters and `.`.
fn bucket_fault(name: &str) -> Option<String> {
    let fits = (3..=63).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
        && name.starts_with(|c: char| c.is_ascii_alphanumeric());
    (!fits).then(|| {
        format!("`{name}` is not a bucket name, which has 3 to 63 letters, digits, `-` and `.`, the first a letter or digit")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_endpoint(text: &str, expected: Result<(&str, Option<&str>), &str>) {
        match (Endpoint::parse(text), expected) {
            (Ok(endpoint), Ok((url, region))) => {
                assert_eq!(endpoint.to_string(), url);
                assert_eq!(endpoint.region(), region);
            }
            (Err(fault), Err(part)) => assert!(fault.contains(part), "{fault}"),
            (got, _) => panic!("{text}: {got:?}"),
        }
    }

    #[test]
    fn an_endpoint_is_a_host_and_https_unless_it_is_loopback() {
        check_endpoint(
            "s3.us-west-004.backblazeb2.com",
            Ok((
                "https://s3.us-west-004.backblazeb2.com",
                Some("us-west-004"),
            )),
        );
        check_endpoint(
            "https://S3.eu-central-003.backblazeb2.com/",
            Ok((
                "https://s3.eu-central-003.backblazeb2.com",
                Some("eu-central-003"),
            )),
        );
        check_endpoint("http://127.0.0.1:9000", Ok(("http://127.0.0.1:9000", None)));
        check_endpoint("http://[::1]:9000", Ok(("http://[::1]:9000", None)));
        check_endpoint(
            "http://s3.us-west-004.backblazeb2.com",
            Err("not encrypted"),
        );
        check_endpoint("ftp://host", Err("scheme `ftp`"));
        check_endpoint("https://host/bucket", Err("not a host name"));
        check_endpoint("", Err("not a host name"));
    }

    #[test]
    fn every_fault_of_the_settings_is_reported_at_once() {
        let args = TargetArgs {
            bucket: Some("a b".to_owned()),
            endpoint: Some("http://example.com".to_owned()),
            ..TargetArgs::default()
        };
        let faults = args.resolve_with(&File::default()).unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
        let faults = TargetArgs::default()
            .resolve_with(&File::default())
            .unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:?}");
    }

    #[test]
    fn the_prefix_ends_in_one_slash_and_the_flag_wins() {
        let args = TargetArgs {
            bucket: Some("media".to_owned()),
            endpoint: Some("s3.us-west-004.backblazeb2.com".to_owned()),
            key_prefix: Some("/mastodon/".to_owned()),
            ..TargetArgs::default()
        };
        let file = File {
            bucket: Some("other".to_owned()),
            ..File::default()
        };
        let target = args.resolve_with(&file).unwrap();
        assert_eq!(target.bucket, "media");
        assert_eq!(target.region, "us-west-004");
        assert_eq!(target.key("accounts/a.png"), "mastodon/accounts/a.png");
    }
}
