//! `nginx`: prints a configuration of nginx that serves the files domain.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::{
    Endpoint, File, OriginCacheControl, Target, TargetArgs, Visibility, settings_error,
};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::nginx::{self, CacheSize, ProxySettings};
use crate::verify::SiteUrl;

const FRESH_SECONDS: u64 = 172_800;
const STALE_SECONDS: u64 = 2_592_000;
/// Ten years, the limit of the worker too.
const MOST_SECONDS: u64 = 315_360_000;

const AFTER_HELP: &str = "\
Examples:
  # The configuration of the files domain
  medialift nginx --files-url https://files.example.com \\
      --bucket example-social-media --endpoint s3.us-west-004.backblazeb2.com \\
      --output /etc/nginx/sites-available/files.example.com

  # The redirect of old addresses, for the instance's own server
  medialift nginx --old-addresses --output /etc/nginx/snippets/medialift-old-addresses.conf

medialift.toml takes the settings of this command in a table `[nginx]`, with the names of the flags:
cache_size = \"20g\". The bucket must be public, since nginx cannot sign requests. docs/self-host.md
has all steps.";

/// Flags of `nginx`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct NginxArgs {
    /// The files domain, e.g. `https://files.example.com`; `http://` and a loopback address where
    /// another proxy terminates TLS
    #[arg(long, value_name = "URL", env = "FILES_URL")]
    pub files_url: Option<String>,
    /// Print the redirect of `/system/` for the server of the instance instead
    #[arg(long)]
    pub old_addresses: bool,
    /// Write to a new file instead; an existing one is not overwritten
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Bucket name
    #[arg(long, value_name = "NAME", env = "B2_BUCKET", help_heading = "Bucket")]
    pub bucket: Option<String>,
    /// Endpoint as the bucket's page shows it: `s3.us-west-004.backblazeb2.com`
    #[arg(
        long,
        value_name = "HOST",
        env = "B2_ENDPOINT",
        help_heading = "Bucket"
    )]
    pub endpoint: Option<String>,
    /// Prefix of every key: Mastodon's `S3_KEY_PREFIX`
    #[arg(
        long,
        value_name = "PREFIX",
        env = "KEY_PREFIX",
        help_heading = "Bucket"
    )]
    pub key_prefix: Option<String>,
    /// Whether the bucket is public or private [default: `visibility` of the settings file]
    #[arg(long, value_enum, help_heading = "Bucket")]
    pub visibility: Option<Visibility>,
    /// Directory of the cache [default: /var/cache/medialift]
    #[arg(long, value_name = "DIR", help_heading = "Cache")]
    pub cache_dir: Option<PathBuf>,
    /// Largest size of the cache [default: 10g]
    #[arg(long, value_name = "SIZE", help_heading = "Cache")]
    pub cache_size: Option<String>,
    /// Seconds for which an object is served without a request to the bucket [default: 172800, 48 hours]
    #[arg(long, value_name = "N", env = "FRESH_SECONDS", help_heading = "Cache")]
    pub fresh_seconds: Option<u64>,
    /// Seconds after that for which it is still served while the bucket fails [default: 2592000, 30 days]
    #[arg(long, value_name = "N", env = "STALE_SECONDS", help_heading = "Cache")]
    pub stale_seconds: Option<u64>,
    /// Whether the freshness that the bucket sends counts [default: ignore]
    #[arg(long, value_enum, env = "ORIGIN_CACHE_CONTROL", help_heading = "Cache")]
    pub origin_cache_control: Option<OriginCacheControl>,
    /// Serve a stale copy to its first reader too, while it is refreshed
    #[arg(long, help_heading = "Cache")]
    pub background_update: bool,
    /// Prefixes of keys that are refused, separated by commas, or `none` [default: backups/,imports/]
    #[arg(
        long,
        value_name = "PREFIXES",
        env = "DENY_PREFIXES",
        help_heading = "Server"
    )]
    pub deny_prefixes: Option<String>,
    /// Serve files of this media directory before the bucket is requested; until `cutover`
    #[arg(long, value_name = "DIR", help_heading = "Server")]
    pub fallback_dir: Option<PathBuf>,
    /// Directory of `fullchain.pem` and `privkey.pem` [default: /etc/letsencrypt/live/HOST]
    #[arg(long, value_name = "DIR", help_heading = "Server")]
    pub certificates: Option<PathBuf>,
    /// Trusted certificates for the connection to the bucket [default: /etc/ssl/certs/ca-certificates.crt]
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub ca_file: Option<PathBuf>,
}

/// Runs `nginx`.
pub async fn run(args: NginxArgs, context: &Context) -> Result<Exit> {
    let visibility = args.visibility.or(context.file.visibility);
    // The redirect of old addresses needs no bucket: it is for the worker's files domain too.
    if visibility == Some(Visibility::Private) && !args.old_addresses {
        return Err(Error::usage("print a configuration for a private bucket")
            .cause("nginx cannot sign requests, and a private bucket refuses unsigned ones")
            .hint("make the bucket public (in Backblaze's console, and `visibility = \"public\"` in medialift.toml), or use the worker, which signs requests: docs/migrate.md"));
    }
    let settings =
        proxy_settings(&args, &context.file).map_err(|faults| settings_error(&faults))?;
    let text = match args.old_addresses {
        true => nginx::old_addresses(&settings.files_url, &settings.target.key_prefix),
        false => nginx::files(&settings),
    };
    match &args.output {
        None => context
            .ui
            .data(&serde_json::json!({ "nginx": text }), &text),
        Some(path) => {
            write_new(path, &text)?;
            context.ui.data(
                &serde_json::json!({ "file": path }),
                format!("wrote `{}`", path.display()),
            );
        }
    }
    if visibility.is_none() && !args.old_addresses {
        context.ui.say("note: the bucket must be public: set `visibility = \"public\"` in medialift.toml, and run `medialift check`");
    }
    if args.output.is_some() {
        context
            .ui
            .say("next: `nginx -t && systemctl reload nginx`, then `medialift verify`");
    }
    Ok(Exit::Done)
}

/// Writes a new file; fails if it exists.
fn write_new(path: &Path, text: &str) -> Result<()> {
    let fail = |e: std::io::Error| {
        let error = Error::new(format!("write `{}`", path.display()));
        match e.kind() {
            ErrorKind::AlreadyExists => error.cause("it exists").hint(
                "compare it with `medialift nginx | diff - FILE`; then remove it, or name another file",
            ),
            _ => error
                .cause(e)
                .hint("name a file in a writable directory"),
        }
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(fail)?;
    file.write_all(text.as_bytes()).map_err(fail)
}

/// The checked settings, or all of their faults.
fn proxy_settings(args: &NginxArgs, file: &File) -> Result<ProxySettings, Vec<String>> {
    let mut faults = Vec::new();
    let settings = &file.nginx;
    let files_url = collected(
        &mut faults,
        SiteUrl::resolve(args.files_url.as_ref(), file).map_err(|fault| vec![fault]),
    );
    let target = collected(&mut faults, target(args, file));
    let size = args.cache_size.as_ref().or(settings.cache_size.as_ref());
    let size = size.map_or("10g", String::as_str);
    let cache_size = collected(
        &mut faults,
        CacheSize::parse(size).map_err(|fault| vec![fault]),
    );
    let fresh_seconds = args
        .fresh_seconds
        .or(settings.fresh_seconds)
        .unwrap_or(FRESH_SECONDS);
    let stale_seconds = args
        .stale_seconds
        .or(settings.stale_seconds)
        .unwrap_or(STALE_SECONDS);
    if !(1..=MOST_SECONDS).contains(&fresh_seconds) {
        faults.push(format!(
            "`--fresh-seconds` is {fresh_seconds}: it must be 1 to {MOST_SECONDS}"
        ));
    }
    if stale_seconds > MOST_SECONDS {
        faults.push(format!(
            "`--stale-seconds` is {stale_seconds}: it must be 0 to {MOST_SECONDS}"
        ));
    }
    let denied = args
        .deny_prefixes
        .as_ref()
        .or(settings.deny_prefixes.as_ref())
        // An empty variable counts as not set.
        .filter(|text| !text.trim().is_empty());
    let path = |flag: &Option<PathBuf>, setting: &Option<PathBuf>| flag.clone().or(setting.clone());
    let (Some(files_url), Some(target), Some(cache_size)) = (files_url, target, cache_size) else {
        return Err(faults);
    };
    let proxy = ProxySettings {
        files_url,
        target,
        cache_dir: path(&args.cache_dir, &settings.cache_dir)
            .unwrap_or_else(|| PathBuf::from("/var/cache/medialift")),
        cache_size,
        fresh_seconds,
        stale_seconds,
        origin_cache_control: args
            .origin_cache_control
            .or(settings.origin_cache_control)
            .unwrap_or_default(),
        deny_prefixes: prefixes(denied.map_or("backups/,imports/", String::as_str)),
        certificates: path(&args.certificates, &settings.certificates),
        ca_file: path(&args.ca_file, &settings.ca_file)
            .unwrap_or_else(|| PathBuf::from("/etc/ssl/certs/ca-certificates.crt")),
        fallback_dir: path(&args.fallback_dir, &settings.fallback_dir),
        background_update: args.background_update || settings.background_update.unwrap_or_default(),
    };
    faults.extend(nginx::faults(&proxy));
    match faults.is_empty() {
        true => Ok(proxy),
        false => Err(faults),
    }
}

/// The value; or none, with its faults added to `faults`.
fn collected<T>(faults: &mut Vec<String>, result: Result<T, Vec<String>>) -> Option<T> {
    result.map_err(|found| faults.extend(found)).ok()
}

fn target(args: &NginxArgs, file: &File) -> Result<Target, Vec<String>> {
    let endpoint = args.endpoint.as_ref().or(file.endpoint.as_ref());
    let has_region = endpoint
        .and_then(|text| Endpoint::parse(text).ok())
        .is_some_and(|endpoint| endpoint.region().is_some());
    let args = TargetArgs {
        bucket: args.bucket.clone(),
        endpoint: args.endpoint.clone(),
        key_prefix: args.key_prefix.clone(),
        // Requests are not signed, so that no region is needed.
        region: (!has_region).then(|| "none".to_owned()),
        key_file: None,
    };
    args.resolve_with(file)
}

/// The prefixes of refused keys, parsed as the worker parses `DENY_PREFIXES`.
fn prefixes(text: &str) -> Vec<String> {
    if text.trim() == "none" {
        return Vec::new();
    }
    text.split(',')
        .map(|prefix| prefix.trim().trim_start_matches('/'))
        .filter(|prefix| !prefix.is_empty())
        .map(str::to_owned)
        .collect()
}
