//! Configurations of nginx that replace the worker, with its rules as far as nginx has directives for them.
//!
//! The text is in two templates, `nginx/files.conf` and `nginx/old-addresses.conf`; this module fills in
//! their placeholders. Leaves reading the settings to the command.

mod hidden;
mod size;

use std::path::PathBuf;

pub use self::size::CacheSize;

use crate::config::{LONGEST_KEY, OriginCacheControl, Target};
use crate::verify::SiteUrl;

const FILES: &str = include_str!("nginx/files.conf");
const OLD_ADDRESSES: &str = include_str!("nginx/old-addresses.conf");

/// The settings of the configuration; [`faults`] checks them.
#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// The files domain; `http` and a loopback address behind another proxy.
    pub files_url: SiteUrl,
    /// The public bucket.
    pub target: Target,
    /// Directory of the cache.
    pub cache_dir: PathBuf,
    /// Largest size of the cache.
    pub cache_size: CacheSize,
    /// Seconds for which an object is served without a request to the bucket.
    pub fresh_seconds: u64,
    /// Seconds after that for which it is served where the bucket fails.
    pub stale_seconds: u64,
    /// Whether the freshness that the bucket sends counts.
    pub origin_cache_control: OriginCacheControl,
    /// Prefixes of keys that are refused.
    pub deny_prefixes: Vec<String>,
    /// Directory of `fullchain.pem` and `privkey.pem`; by default that of certbot.
    pub certificates: Option<PathBuf>,
    /// Trusted certificates for the connection to the bucket.
    pub ca_file: PathBuf,
    /// A media directory of this host whose files are served before the bucket is requested.
    pub fallback_dir: Option<PathBuf>,
    /// Whether the first reader of a stale copy gets it too, while it is refreshed.
    pub background_update: bool,
}

/// Faults of the settings: what cannot be written in the configuration.
pub fn faults(settings: &ProxySettings) -> Vec<String> {
    let mut faults = Vec::new();
    if settings.files_url.path().is_some() {
        faults.push(format!(
            "`{}` has a path: the proxy needs a separate domain",
            settings.files_url
        ));
    }
    let paths = [
        ("cache directory", Some(&settings.cache_dir)),
        ("certificates' directory", settings.certificates.as_ref()),
        ("file of trusted certificates", Some(&settings.ca_file)),
        ("fallback directory", settings.fallback_dir.as_ref()),
    ];
    let paths: Vec<_> = paths
        .into_iter()
        .filter_map(|(what, path)| Some((what, path?.to_string_lossy())))
        .collect();
    for (what, path) in &paths {
        if !path.starts_with('/') {
            faults.push(format!("the {what} `{path}` is not an absolute path"));
        }
    }
    let prefixes = settings
        .deny_prefixes
        .iter()
        .map(|prefix| ("refused prefix", prefix.as_str()));
    let texts = paths.iter().map(|(what, path)| (*what, path.as_ref()));
    let key_prefix = ("key prefix", settings.target.key_prefix.as_str());
    for (what, text) in std::iter::once(key_prefix).chain(prefixes).chain(texts) {
        if !is_plain(text) {
            faults.push(format!(
                "the {what} `{text}` has a character other than letters, digits and `-._~/`, which the configuration cannot contain"
            ));
        }
    }
    faults
}

/// Whether a text needs no escape in nginx's syntax, as an argument and, apart from dots, as a pattern.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._~/".contains(&b))
}

/// The configuration of the files domain.
pub fn files(settings: &ProxySettings) -> String {
    let url = &settings.files_url;
    let prefix = &settings.target.key_prefix;
    let name = name(url.host());
    let too_long = LONGEST_KEY - prefix.len() + 1;
    fill(
        FILES,
        &[
            ("FILES_URL", url.to_string()),
            ("HOST", url.host().to_owned()),
            ("VERSION", env!("CARGO_PKG_VERSION").to_owned()),
            ("NAME", name.clone()),
            ("REDIRECT", redirect(url)),
            ("LISTEN", listen(url)),
            ("TLS", tls(settings)),
            ("CACHE_DIR", settings.cache_dir.display().to_string()),
            ("CACHE_SIZE", settings.cache_size.to_string()),
            ("ZONE", settings.cache_size.zone().to_string()),
            ("FRESH", settings.fresh_seconds.to_string()),
            ("STALE", settings.stale_seconds.to_string()),
            (
                "INACTIVE",
                (settings.fresh_seconds + settings.stale_seconds).to_string(),
            ),
            ("USE_STALE", use_stale(settings).to_owned()),
            ("BACKGROUND_UPDATE", background_update(settings).to_owned()),
            (
                "ORIGIN_CACHE_CONTROL",
                origin_cache_control(settings.origin_cache_control).to_owned(),
            ),
            ("UPSTREAM", upstream(settings)),
            ("AUTHORITY", settings.target.endpoint.authority().to_owned()),
            ("ORIGIN_TLS", origin_tls(settings)),
            ("SCHEME", settings.target.endpoint.scheme().to_owned()),
            ("BUCKET", settings.target.bucket.clone()),
            ("KEY_PREFIX", prefix.clone()),
            ("IN_PREFIX", in_prefix(prefix)),
            ("TOO_LONG", too_long.to_string()),
            ("DENIED", denied(settings)),
            ("FALLBACK", fallback(settings, &name)),
            ("OBJECTS", objects(settings).to_owned()),
            ("HIDDEN", hidden::lines()),
        ],
    )
}

/// The redirect of old addresses, for the server of the instance.
pub fn old_addresses(files_url: &SiteUrl, key_prefix: &str) -> String {
    fill(
        OLD_ADDRESSES,
        &[
            ("FILES_URL", files_url.to_string()),
            ("VERSION", env!("CARGO_PKG_VERSION").to_owned()),
            ("KEY_PREFIX", key_prefix.to_owned()),
        ],
    )
}

/// Replaces the placeholders of a template. No value contains a placeholder.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut text = template.to_owned();
    for (placeholder, value) in values {
        text = text.replace(&format!("{{{placeholder}}}"), value);
    }
    // An empty part leaves empty lines.
    while text.contains("\n\n\n") {
        text = text.replace("\n\n\n", "\n\n");
    }
    text
}

/// Prefix of the names of zone, upstream and variables, since one nginx may serve several files domains.
fn name(host: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() {
        true => c,
        false => '_',
    };
    format!("media_{}", host.chars().map(plain).collect::<String>())
}

fn listen(url: &SiteUrl) -> String {
    if !url.is_encrypted() {
        let port = url.port().unwrap_or(80);
        return format!(
            "  # HTTP without TLS, on a loopback address: another proxy terminates TLS.\n  listen {}:{port};",
            url.host()
        );
    }
    let port = url.port().unwrap_or(443);
    format!("  listen {port} ssl http2;\n  listen [::]:{port} ssl http2;")
}

fn tls(settings: &ProxySettings) -> String {
    if !settings.files_url.is_encrypted() {
        return String::new();
    }
    let directory = match &settings.certificates {
        Some(directory) => directory.display().to_string(),
        None => format!("/etc/letsencrypt/live/{}", settings.files_url.host()),
    };
    format!(
        "\n  # The directory of certbot; run `certbot certonly --nginx -d {}` before this file is enabled.
  ssl_certificate {directory}/fullchain.pem;
  ssl_certificate_key {directory}/privkey.pem;
  ssl_protocols TLSv1.2 TLSv1.3;
",
        settings.files_url.host()
    )
}

/// The redirect from http to https, where the domain has the default port.
fn redirect(url: &SiteUrl) -> String {
    if !url.is_encrypted() || url.port().is_some_and(|port| port != 443) {
        return String::new();
    }
    let host = url.host();
    format!(
        "
server {{
  listen 80;
  listen [::]:80;
  server_name {host};
  access_log off;
  server_tokens off;
  # For renewals by `certbot --webroot`.
  location /.well-known/acme-challenge/ {{
    root /var/www/html;
  }}
  location / {{
    return 301 https://{host}$request_uri;
  }}
}}
"
    )
}

/// Host and port for `server` in `upstream`, whose default port is always 80.
fn upstream(settings: &ProxySettings) -> String {
    let endpoint = &settings.target.endpoint;
    match (endpoint.has_port(), endpoint.scheme()) {
        (false, "https") => format!("{}:443", endpoint.authority()),
        _ => endpoint.authority().to_owned(),
    }
}

fn origin_tls(settings: &ProxySettings) -> String {
    let endpoint = &settings.target.endpoint;
    if endpoint.scheme() != "https" {
        return String::new();
    }
    format!(
        "
  # TLS to the bucket, with server name and a checked certificate; nginx has neither by default.
  proxy_ssl_server_name on;
  proxy_ssl_name {};
  proxy_ssl_verify on;
  proxy_ssl_verify_depth 4;
  proxy_ssl_trusted_certificate {};
  proxy_ssl_protocols TLSv1.2 TLSv1.3;
",
        endpoint.host(),
        settings.ca_file.display()
    )
}

fn use_stale(settings: &ProxySettings) -> &'static str {
    match settings.stale_seconds {
        0 => "updating",
        _ => "error timeout updating http_500 http_502 http_503 http_504 http_429",
    }
}

fn background_update(settings: &ProxySettings) -> &'static str {
    match settings.background_update {
        true => {
            "  # The first reader of a stale copy gets it too, whatever its age, while it is refreshed.
  proxy_cache_background_update on;"
        }
        false => {
            "  # Off, so that an object that was deleted long ago is not served again: the first reader of a stale
  # copy waits for the bucket.
  proxy_cache_background_update off;"
        }
    }
}

fn origin_cache_control(rule: OriginCacheControl) -> &'static str {
    match rule {
        OriginCacheControl::Ignore => {
            "  # B2 sends `no-store` for objects without a `Cache-Control` of their own, so that its freshness is
  # ignored; so are cookies, `Vary` and X-Accel headers.
  proxy_ignore_headers Cache-Control Expires X-Accel-Expires Set-Cookie Vary X-Accel-Redirect X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;"
        }
        OriginCacheControl::Respect => {
            "  # The freshness that the bucket sends outranks the line above. Cookies, `Vary` and other X-Accel headers
  # are ignored.
  proxy_ignore_headers Set-Cookie Vary X-Accel-Redirect X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;"
        }
    }
}

/// The pattern of an optional key prefix at the start of a path: Mastodon's addresses have it, and it must
/// not be added twice. `?+` does not backtrack: what matches the prefix is the prefix.
fn in_prefix(prefix: &str) -> String {
    match prefix {
        "" => String::new(),
        prefix => format!("(?:{})?+", escaped(prefix)),
    }
}

/// A text that is plain as a pattern.
fn escaped(text: &str) -> String {
    text.replace('.', r"\.")
}

fn denied(settings: &ProxySettings) -> String {
    if settings.deny_prefixes.is_empty() {
        return String::new();
    }
    let names: Vec<String> = settings.deny_prefixes.iter().map(|p| escaped(p)).collect();
    format!(
        "
  # Account archives and imported lists are for their owners only.
  location ~ \"^/{}(?:{})\" {{
    return 403;
  }}
",
        in_prefix(&settings.target.key_prefix),
        names.join("|")
    )
}

/// The name of the location that requests the bucket.
fn objects(settings: &ProxySettings) -> &'static str {
    match settings.fallback_dir {
        None => "/",
        Some(_) => "@bucket",
    }
}

fn fallback(settings: &ProxySettings, name: &str) -> String {
    let Some(directory) = &settings.fallback_dir else {
        return String::new();
    };
    format!(
        "
  # Files on the disk of this host, which may not be in the bucket yet. After `medialift cutover` the
  # directory is empty: print this configuration without `--fallback-dir` then.
  location ~ \"^/{}(?<{name}_path>.*)$\" {{
    root {};
    try_files /${name}_path @bucket;
  }}
",
        in_prefix(&settings.target.key_prefix),
        directory.display()
    )
}

#[cfg(test)]
mod tests;
