//! The proxy as a configuration of nginx, for a host of one's own: made from the settings, with the
//! worker's rules as far as nginx has directives for them.
//!
//! Two templates, `nginx/files.conf` and `nginx/old-addresses.conf`, hold all of the text; here is what
//! goes into their gaps. Where the settings come from is left to the command.

mod hidden;
mod size;

use std::path::PathBuf;

pub use self::size::CacheSize;

use crate::config::{LONGEST_KEY, OriginCacheControl, Target};
use crate::verify::FilesUrl;

const FILES: &str = include_str!("nginx/files.conf");
const OLD_ADDRESSES: &str = include_str!("nginx/old-addresses.conf");

/// All that the configuration depends on, checked: [`faults`] has found nothing.
#[derive(Clone, Debug)]
pub struct Site {
    /// The files domain; plain `http` is for an address of this machine, behind another proxy.
    pub files_url: FilesUrl,
    /// The public bucket.
    pub target: Target,
    /// Where the cache is kept.
    pub cache_dir: PathBuf,
    /// How large it may become.
    pub cache_size: CacheSize,
    /// For how long an object is served without asking the bucket, in seconds.
    pub fresh_seconds: u64,
    /// For how long after that it still covers for a bucket that is ill, in seconds.
    pub stale_seconds: u64,
    /// Whether what the bucket says of freshness counts.
    pub origin_cache_control: OriginCacheControl,
    /// Keys that start with one of these are refused.
    pub deny_prefixes: Vec<String>,
    /// The directory with `fullchain.pem` and `privkey.pem`; without one, where certbot puts them.
    pub certificates: Option<PathBuf>,
    /// The certificates by which the bucket is known.
    pub ca_file: PathBuf,
    /// A media directory of this host that is looked into before the bucket is asked, until it is empty.
    pub fallback_dir: Option<PathBuf>,
    /// Whether the first reader after the freshness has ended is given the old copy too.
    pub background_update: bool,
}

/// What nginx's syntax, or nginx itself, cannot hold of these settings.
pub fn faults(site: &Site) -> Vec<String> {
    let mut faults = Vec::new();
    if site.files_url.path().is_some() {
        faults.push(format!(
            "`{}` has a path: the proxy needs a domain of its own",
            site.files_url
        ));
    }
    let paths = [
        ("cache directory", Some(&site.cache_dir)),
        ("certificates' directory", site.certificates.as_ref()),
        ("file of trusted certificates", Some(&site.ca_file)),
        ("fallback directory", site.fallback_dir.as_ref()),
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
    let prefixes = site
        .deny_prefixes
        .iter()
        .map(|prefix| ("refused prefix", prefix.as_str()));
    let texts = paths.iter().map(|(what, path)| (*what, path.as_ref()));
    let key_prefix = ("key prefix", site.target.key_prefix.as_str());
    for (what, text) in std::iter::once(key_prefix).chain(prefixes).chain(texts) {
        if !is_plain(text) {
            faults.push(format!(
                "the {what} `{text}` has a character other than letters, digits and `-._~/`: nginx's configuration is not made for it"
            ));
        }
    }
    faults
}

/// Whether a text means itself in nginx's syntax, as a word and, but for dots, as a pattern.
fn is_plain(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b"-._~/".contains(&b))
}

/// The configuration of the files domain.
pub fn files(site: &Site) -> String {
    let url = &site.files_url;
    let prefix = &site.target.key_prefix;
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
            ("TLS", tls(site)),
            ("CACHE_DIR", site.cache_dir.display().to_string()),
            ("CACHE_SIZE", site.cache_size.to_string()),
            ("ZONE", site.cache_size.zone().to_string()),
            ("FRESH", site.fresh_seconds.to_string()),
            ("STALE", site.stale_seconds.to_string()),
            (
                "INACTIVE",
                (site.fresh_seconds + site.stale_seconds).to_string(),
            ),
            ("USE_STALE", use_stale(site).to_owned()),
            ("BACKGROUND_UPDATE", background_update(site).to_owned()),
            (
                "ORIGIN_CACHE_CONTROL",
                origin_cache_control(site.origin_cache_control).to_owned(),
            ),
            ("UPSTREAM", upstream(site)),
            ("AUTHORITY", site.target.endpoint.authority().to_owned()),
            ("ORIGIN_TLS", origin_tls(site)),
            ("SCHEME", site.target.endpoint.scheme().to_owned()),
            ("BUCKET", site.target.bucket.clone()),
            ("KEY_PREFIX", prefix.clone()),
            ("IN_PREFIX", in_prefix(prefix)),
            ("TOO_LONG", too_long.to_string()),
            ("DENIED", denied(site)),
            ("FALLBACK", fallback(site, &name)),
            ("OBJECTS", objects(site).to_owned()),
            ("HIDDEN", hidden::lines()),
        ],
    )
}

/// The block for the instance's own server.
pub fn old_addresses(files_url: &FilesUrl, key_prefix: &str) -> String {
    fill(
        OLD_ADDRESSES,
        &[
            ("FILES_URL", files_url.to_string()),
            ("VERSION", env!("CARGO_PKG_VERSION").to_owned()),
            ("KEY_PREFIX", key_prefix.to_owned()),
        ],
    )
}

/// The template with its gaps filled. A value of ours has no gap of its own: it is plain, or written here.
fn fill(template: &str, values: &[(&str, String)]) -> String {
    let mut text = template.to_owned();
    for (gap, value) in values {
        text = text.replace(&format!("{{{gap}}}"), value);
    }
    // A part that is left out leaves an empty line more than one wants to read.
    while text.contains("\n\n\n") {
        text = text.replace("\n\n\n", "\n\n");
    }
    text
}

/// What zone, upstream and variables are called: two files domains may share one nginx.
fn name(host: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() {
        true => c,
        false => '_',
    };
    format!("media_{}", host.chars().map(plain).collect::<String>())
}

fn listen(url: &FilesUrl) -> String {
    if !url.is_encrypted() {
        let port = url.port().unwrap_or(80);
        return format!(
            "  # Plain HTTP, for this machine alone: another proxy ends TLS.\n  listen {}:{port};",
            url.host()
        );
    }
    let port = url.port().unwrap_or(443);
    format!("  listen {port} ssl http2;\n  listen [::]:{port} ssl http2;")
}

fn tls(site: &Site) -> String {
    if !site.files_url.is_encrypted() {
        return String::new();
    }
    let directory = match &site.certificates {
        Some(directory) => directory.display().to_string(),
        None => format!("/etc/letsencrypt/live/{}", site.files_url.host()),
    };
    format!(
        "\n  # Where certbot puts them; `certbot certonly --nginx -d {}` gets them before this file is here.
  ssl_certificate {directory}/fullchain.pem;
  ssl_certificate_key {directory}/privkey.pem;
  ssl_protocols TLSv1.2 TLSv1.3;
",
        site.files_url.host()
    )
}

/// From http to https, where the domain is at the usual ports.
fn redirect(url: &FilesUrl) -> String {
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

/// Host and port, as `server` in `upstream` takes them: its default port is 80 whatever the scheme.
fn upstream(site: &Site) -> String {
    let endpoint = &site.target.endpoint;
    match (endpoint.has_port(), endpoint.scheme()) {
        (false, "https") => format!("{}:443", endpoint.authority()),
        _ => endpoint.authority().to_owned(),
    }
}

fn origin_tls(site: &Site) -> String {
    let endpoint = &site.target.endpoint;
    if endpoint.scheme() != "https" {
        return String::new();
    }
    format!(
        "
  # TLS to the bucket, with its name told and its certificate checked: nginx does neither by itself.
  proxy_ssl_server_name on;
  proxy_ssl_name {};
  proxy_ssl_verify on;
  proxy_ssl_verify_depth 4;
  proxy_ssl_trusted_certificate {};
  proxy_ssl_protocols TLSv1.2 TLSv1.3;
",
        endpoint.host(),
        site.ca_file.display()
    )
}

fn use_stale(site: &Site) -> &'static str {
    match site.stale_seconds {
        0 => "updating",
        _ => "error timeout updating http_500 http_502 http_503 http_504 http_429",
    }
}

fn background_update(site: &Site) -> &'static str {
    match site.background_update {
        true => {
            "  # The first reader after the time is over gets the old copy too, however old, while it is refreshed.
  proxy_cache_background_update on;"
        }
        false => {
            "  # Off, so that a picture that was deleted long ago is not shown once more: the first reader after
  # the time is over waits for the bucket.
  proxy_cache_background_update off;"
        }
    }
}

fn origin_cache_control(rule: OriginCacheControl) -> &'static str {
    match rule {
        OriginCacheControl::Ignore => {
            "  # B2 says `no-store` of an object that was given no rule of its own, so what it says does not count.
  # A cookie or a `Vary` makes no difference, and X-Accel headers command nothing.
  proxy_ignore_headers Cache-Control Expires X-Accel-Expires Set-Cookie Vary X-Accel-Redirect X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;"
        }
        OriginCacheControl::Respect => {
            "  # What the bucket says of an object's freshness outranks the line above.
  # A cookie or a `Vary` makes no difference, and X-Accel headers command nothing else.
  proxy_ignore_headers Set-Cookie Vary X-Accel-Redirect X-Accel-Limit-Rate X-Accel-Buffering X-Accel-Charset;"
        }
    }
}

/// The pattern of the key prefix at the beginning of a path: Mastodon's addresses have it, and it is
/// never put there twice. `?+`: what could be the prefix is the prefix.
fn in_prefix(prefix: &str) -> String {
    match prefix {
        "" => String::new(),
        prefix => format!("(?:{})?+", escaped(prefix)),
    }
}

/// A plain text as a pattern.
fn escaped(text: &str) -> String {
    text.replace('.', r"\.")
}

fn denied(site: &Site) -> String {
    if site.deny_prefixes.is_empty() {
        return String::new();
    }
    let names: Vec<String> = site.deny_prefixes.iter().map(|p| escaped(p)).collect();
    format!(
        "
  # Account archives and imported lists are for their owners alone.
  location ~ \"^/{}(?:{})\" {{
    return 403;
  }}
",
        in_prefix(&site.target.key_prefix),
        names.join("|")
    )
}

/// The location that asks the bucket.
fn objects(site: &Site) -> &'static str {
    match site.fallback_dir {
        None => "/",
        Some(_) => "@bucket",
    }
}

fn fallback(site: &Site, name: &str) -> String {
    let Some(directory) = &site.fallback_dir else {
        return String::new();
    };
    format!(
        "
  # What is on this host's disk, which may not be in the bucket yet. After `medialift cutover` the
  # directory is empty: then print this configuration without `--fallback-dir`.
  location ~ \"^/{}(?<{name}_path>.*)$\" {{
    root {};
    try_files /${name}_path @bucket;
  }}
",
        in_prefix(&site.target.key_prefix),
        directory.display()
    )
}

#[cfg(test)]
mod tests;
