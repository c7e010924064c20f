//! `nginx`: the proxy as a configuration for a host of one's own.

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
use crate::nginx::{self, CacheSize, Site};
use crate::verify::FilesUrl;

const FRESH_SECONDS: u64 = 172_800;
const STALE_SECONDS: u64 = 2_592_000;
/// Ten years: the worker takes no more either.
const MOST_SECONDS: u64 = 315_360_000;

const AFTER_HELP: &str = "\
Examples:
  medialift nginx --files-url https://files.example.com \\
      --bucket example-social-media --endpoint s3.us-west-004.backblazeb2.com \\
      --output /etc/nginx/sites-available/files.example.com
  # The redirect of old addresses, for the instance's own server
  medialift nginx --old-addresses --output /etc/nginx/snippets/medialift-old-addresses.conf

medialift.toml takes the settings of this command in a table `[nginx]`, named as the flags are:
cache_size = \"20g\". The bucket must be public: nginx cannot sign. docs/self-host.md has all steps.";

/// Flags of `nginx`.
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct NginxArgs {
    /// The files domain, e.g. `https://files.example.com`; `http://` and an address of this machine
    /// where another proxy ends TLS
    #[arg(long, value_name = "URL", env = "FILES_URL")]
    pub files_url: Option<String>,
    /// Print the block for the instance's own server instead: the redirect of `/system/`
    #[arg(long)]
    pub old_addresses: bool,
    /// Write a new file instead; one that is there is left as it is
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
    /// What comes before every key: Mastodon's `S3_KEY_PREFIX`
    #[arg(
        long,
        value_name = "PREFIX",
        env = "KEY_PREFIX",
        help_heading = "Bucket"
    )]
    pub key_prefix: Option<String>,
    /// Whether the bucket is public or private [default: `visibility` of the configuration]
    #[arg(long, value_enum, help_heading = "Bucket")]
    pub visibility: Option<Visibility>,
    /// Where the cache is kept [default: /var/cache/medialift]
    #[arg(long, value_name = "DIR", help_heading = "Cache")]
    pub cache_dir: Option<PathBuf>,
    /// How large the cache may become [default: 10g]
    #[arg(long, value_name = "SIZE", help_heading = "Cache")]
    pub cache_size: Option<String>,
    /// For how long an object is served without asking the bucket [default: 172800, 48 hours]
    #[arg(long, value_name = "N", env = "FRESH_SECONDS", help_heading = "Cache")]
    pub fresh_seconds: Option<u64>,
    /// For how long after that it still covers for a bucket that is ill [default: 2592000, 30 days]
    #[arg(long, value_name = "N", env = "STALE_SECONDS", help_heading = "Cache")]
    pub stale_seconds: Option<u64>,
    /// Whether what the bucket says of freshness counts [default: ignore]
    #[arg(long, value_enum, env = "ORIGIN_CACHE_CONTROL", help_heading = "Cache")]
    pub origin_cache_control: Option<OriginCacheControl>,
    /// Give the old copy to the first reader after that time too, while it is refreshed
    #[arg(long, help_heading = "Cache")]
    pub background_update: bool,
    /// Keys that are refused, separated by commas, or `none` [default: backups/,imports/]
    #[arg(
        long,
        value_name = "PREFIXES",
        env = "DENY_PREFIXES",
        help_heading = "Server"
    )]
    pub deny_prefixes: Option<String>,
    /// Give what is in this media directory from there, before the bucket is asked: until `cutover`
    #[arg(long, value_name = "DIR", help_heading = "Server")]
    pub fallback_dir: Option<PathBuf>,
    /// Where `fullchain.pem` and `privkey.pem` are [default: /etc/letsencrypt/live/HOST]
    #[arg(long, value_name = "DIR", help_heading = "Server")]
    pub certificates: Option<PathBuf>,
    /// Certificates that the bucket's is checked by [default: /etc/ssl/certs/ca-certificates.crt]
    #[arg(long, value_name = "FILE", help_heading = "Server")]
    pub ca_file: Option<PathBuf>,
}

/// Runs `nginx`.
pub async fn run(args: NginxArgs, context: &Context) -> Result<Exit> {
    let visibility = args.visibility.or(context.file.visibility);
    if visibility == Some(Visibility::Private) {
        return Err(Error::usage("print a proxy for a private bucket")
            .cause("nginx cannot sign requests, so a private bucket would refuse all of them")
            .hint("make the bucket public (in Backblaze's console, then `visibility = \"public\"` here), or keep it private and use the worker, which signs: docs/migrate.md"));
    }
    let site = site(&args, &context.file).map_err(|faults| settings_error(&faults))?;
    let text = match args.old_addresses {
        true => nginx::old_addresses(&site.files_url, &site.target.key_prefix),
        false => nginx::files(&site),
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
        context.ui.say("note: the bucket must be public; `visibility = \"public\"` in medialift.toml says that it is, and `medialift check` looks");
    }
    if args.output.is_some() {
        context
            .ui
            .say("next: `nginx -t && systemctl reload nginx`, then `medialift verify`");
    }
    Ok(Exit::Done)
}

/// A new file with that text; whatever is there already stays.
fn write_new(path: &Path, text: &str) -> Result<()> {
    let fail = |e: std::io::Error| {
        let error = Error::new(format!("write `{}`", path.display()));
        match e.kind() {
            ErrorKind::AlreadyExists => error.cause("it is there already").hint(
                "compare first: `medialift nginx | diff - FILE`; then remove it, or name another",
            ),
            _ => error
                .cause(e)
                .hint("name a file in a directory you may write to"),
        }
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(fail)?;
    file.write_all(text.as_bytes()).map_err(fail)
}

/// The settings, checked; or all that is wrong with them.
fn site(args: &NginxArgs, file: &File) -> Result<Site, Vec<String>> {
    let mut faults = Vec::new();
    let settings = &file.nginx;
    let files_url = noted(
        &mut faults,
        files_url(args, file).map_err(|fault| vec![fault]),
    );
    let target = noted(&mut faults, target(args, file));
    let size = args.cache_size.as_ref().or(settings.cache_size.as_ref());
    let size = size.map_or("10g", String::as_str);
    let cache_size = noted(
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
        // As with every variable, an empty one counts as not set.
        .filter(|text| !text.trim().is_empty());
    let path = |flag: &Option<PathBuf>, setting: &Option<PathBuf>| flag.clone().or(setting.clone());
    let (Some(files_url), Some(target), Some(cache_size)) = (files_url, target, cache_size) else {
        return Err(faults);
    };
    let site = Site {
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
    faults.extend(nginx::faults(&site));
    match faults.is_empty() {
        true => Ok(site),
        false => Err(faults),
    }
}

/// What there is, or nothing and its faults noted.
fn noted<T>(faults: &mut Vec<String>, result: Result<T, Vec<String>>) -> Option<T> {
    result.map_err(|found| faults.extend(found)).ok()
}

fn files_url(args: &NginxArgs, file: &File) -> Result<FilesUrl, String> {
    let text = args
        .files_url
        .as_ref()
        .or(file.files_url.as_ref())
        .filter(|text| !text.is_empty())
        .ok_or("no files domain is named: give `--files-url`, set `FILES_URL`, or put `files_url = \"…\"` in medialift.toml")?;
    FilesUrl::parse(text)
}

fn target(args: &NginxArgs, file: &File) -> Result<Target, Vec<String>> {
    let endpoint = args.endpoint.as_ref().or(file.endpoint.as_ref());
    let tells_its_region = endpoint
        .and_then(|text| Endpoint::parse(text).ok())
        .is_some_and(|endpoint| endpoint.region().is_some());
    let args = TargetArgs {
        bucket: args.bucket.clone(),
        endpoint: args.endpoint.clone(),
        key_prefix: args.key_prefix.clone(),
        // Nothing is signed, so no region needs to be known.
        region: (!tells_its_region).then(|| "none".to_owned()),
        key_file: None,
    };
    args.resolve_with(file)
}

/// The starts of keys that are refused, as the worker reads `DENY_PREFIXES`.
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
