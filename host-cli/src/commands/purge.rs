//! `purge`: makes the files domain forget objects, or everything.

mod everything;

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use futures_util::{StreamExt, stream};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use super::env::PurgeMethod;
use crate::config::Secret;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::exit::Exit;
use crate::findings::chain;
use crate::web::Web;
use crate::words::counted;

/// What stays bare in a path, as the worker encodes it.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'/');

/// Requests at a time.
const AT_A_TIME: usize = 8;

/// Flags of `purge`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
    medialift purge accounts/avatars/1/original/a.png
    medialift purge https://files.example.com/accounts/avatars/1/original/a.png
    medialift purge --from keys.txt
    medialift purge --everything

Where the worker stands on the platform's cache, a purge of a key is put into a queue, and is at every
edge within minutes; with a cache of its own it drops the copy of the nearest data centre alone.

The secret is read from PURGE_SECRET or `--secret-file`, and sent to the files domain only.
Exit codes: 0 all were dropped or were not stored, 1 the secret is wrong, 4 some failed.")]
pub struct PurgeArgs {
    /// Keys, or URLs of the files domain
    #[arg(value_name = "KEY", required_unless_present_any = ["from", "everything"])]
    pub keys: Vec<String>,
    /// File with one key or URL a line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Everything that is stored, e.g. after a deployment that changes headers
    #[arg(long, conflicts_with_all = ["keys", "from"])]
    pub everything: bool,
    /// The files domain, e.g. `https://files.example.com`
    #[arg(long, value_name = "URL", env = "FILES_URL")]
    pub files_url: Option<String>,
    /// Method: what `medialift verify` saw working
    #[arg(long, value_enum, default_value_t = PurgeMethod::Purge)]
    pub method: PurgeMethod,
    /// Header that carries the secret
    #[arg(
        long,
        value_name = "NAME",
        env = "PURGE_SECRET_HEADER",
        default_value = "X-Purge-Secret"
    )]
    pub header: String,
    /// File with the secret alone in it
    #[arg(long, value_name = "FILE")]
    pub secret_file: Option<PathBuf>,
    /// Print the URLs and send nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Default, Serialize)]
struct Report {
    dry_run: bool,
    /// Objects that were stored and are dropped.
    dropped: u64,
    /// Objects that were not stored.
    absent: u64,
    /// Objects that nothing was sent for, since the secret was refused.
    untried: u64,
    failed: Vec<Failed>,
    /// With `--dry-run`: what would be sent.
    urls: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Failed {
    url: String,
    reason: String,
}

/// Runs `purge`.
pub async fn run(args: PurgeArgs, context: &Context) -> Result<Exit> {
    let base = base_url(&args, context)?;
    if args.everything {
        return everything::run(&args, &base, context).await;
    }
    let mut urls = Vec::new();
    for key in keys(&args)? {
        urls.push(url(&base, &key)?);
    }
    let mut report = Report {
        dry_run: args.dry_run,
        ..Report::default()
    };
    if args.dry_run {
        let text = urls.join("\n");
        report.urls = urls;
        context.ui.data(&report, text);
        return Ok(Exit::Done);
    }
    let (header, value) = secret_header(&args)?;
    let web = Web::new();
    let refused = RefCell::new(None);
    let mut answers = stream::iter(urls)
        .map(|url| {
            let request = request(&args, &url, &header, &value);
            let (web, refused) = (&web, &refused);
            async move {
                // What is under way ends; nothing more begins.
                if refused.borrow().is_some() {
                    return None;
                }
                let answer = match request {
                    Err(e) => Err(e),
                    Ok(request) => web.send(request, 1 << 20).await.map_err(|e| chain(&e)),
                };
                Some((url, answer))
            }
        })
        .buffer_unordered(AT_A_TIME);
    while let Some(answered) = answers.next().await {
        let Some((url, answer)) = answered else {
            report.untried += 1;
            continue;
        };
        match answer.map(|answer| answer.status) {
            Ok(status) if status.is_success() => report.dropped += 1,
            Ok(StatusCode::NOT_FOUND) => report.absent += 1,
            Ok(StatusCode::FORBIDDEN) => {
                refused.replace(Some(url.clone()));
                report.failed.push(Failed {
                    url,
                    reason: "the secret is refused".to_owned(),
                });
            }
            Ok(status) => report.failed.push(Failed {
                url,
                reason: format!("answered {status}"),
            }),
            Err(reason) => report.failed.push(Failed { url, reason }),
        }
    }
    drop(answers);
    context.ui.data(&report, report.text());
    if let Some(url) = refused.into_inner() {
        return Err(refusal(&url));
    }
    Ok(if report.failed.is_empty() {
        Exit::Done
    } else {
        Exit::Partly
    })
}

fn refusal(url: &str) -> Error {
    Error::new(format!("purge `{url}`"))
        .cause("the files domain refuses the secret")
        .hint("compare it and its header's name with the worker's PURGE_SECRET and PURGE_SECRET_HEADER; without them it refuses every purge")
}

/// The header that carries the secret.
fn secret_header(args: &PurgeArgs) -> Result<(HeaderName, HeaderValue)> {
    let secret = secret(args)?;
    let bad_header = |cause: &str| {
        Error::usage("send the purge secret")
            .cause(cause.to_owned())
            .hint("it must be what the worker has as PURGE_SECRET_HEADER and PURGE_SECRET")
    };
    let header = HeaderName::try_from(args.header.as_str())
        .map_err(|_| bad_header("the header's name is not one"))?;
    let mut value = HeaderValue::try_from(secret.expose())
        .map_err(|_| bad_header("the secret has a character that a header cannot carry"))?;
    value.set_sensitive(true);
    Ok((header, value))
}

fn request(
    args: &PurgeArgs,
    url: &str,
    header: &HeaderName,
    value: &HeaderValue,
) -> Result<Request<Full<Bytes>>, String> {
    Request::builder()
        .method(args.method.as_str())
        .uri(url)
        .header(header, value)
        .body(Full::new(Bytes::new()))
        .map_err(|e| e.to_string())
}

/// The files domain without a closing slash. Plain http is for this machine only: the secret would
/// be readable on its way.
fn base_url(args: &PurgeArgs, context: &Context) -> Result<String> {
    let hint =
        "give it with `--files-url https://files.example.com`, or as `files_url` in medialift.toml";
    let given = args
        .files_url
        .as_ref()
        .or(context.file.files_url.as_ref())
        .ok_or_else(|| {
            Error::usage("purge")
                .cause("no files domain is given")
                .hint(hint)
        })?;
    let bad = |cause: &str| {
        Error::usage(format!("use `{given}` as the files domain"))
            .cause(cause.to_owned())
            .hint(hint)
    };
    let text = if given.contains("://") {
        given.clone()
    } else {
        format!("https://{given}")
    };
    let uri: http::Uri = text.parse().map_err(|_| bad("it is not a URL"))?;
    let host = uri.host().unwrap_or_default();
    let loopback = host == "localhost"
        || host
            .trim_matches(['[', ']'])
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback());
    match uri.scheme_str() {
        Some("https") => {}
        Some("http") if loopback => {}
        _ => return Err(bad("it does not begin with `https://`")),
    }
    Ok(text.trim_end_matches('/').to_owned())
}

fn keys(args: &PurgeArgs) -> Result<Vec<String>> {
    let mut keys = args.keys.clone();
    if let Some(path) = &args.from {
        let fail = |e: std::io::Error| {
            Error::usage(format!("read the list `{}`", path.display()))
                .cause(e)
                .hint("it has one key or URL a line, in UTF-8")
        };
        let input: Box<dyn Read> = if path.as_os_str() == "-" {
            Box::new(std::io::stdin())
        } else {
            Box::new(std::fs::File::open(path).map_err(fail)?)
        };
        for line in BufReader::new(input).lines() {
            let line = line.map_err(fail)?;
            if !line.trim().is_empty() {
                keys.push(line.trim_end_matches('\r').to_owned());
            }
        }
    }
    Ok(keys)
}

/// A URL of the files domain as it stands; a key with its unusual characters encoded.
fn url(base: &str, key: &str) -> Result<String> {
    if !key.contains("://") {
        let key = key.trim_start_matches('/');
        return Ok(format!("{base}/{}", utf8_percent_encode(key, ENCODED)));
    }
    match key.strip_prefix(base) {
        Some(path) if path.starts_with('/') => Ok(key.to_owned()),
        _ => Err(Error::usage(format!("purge `{key}`"))
            .cause(format!("it is not at the files domain `{base}`"))
            .hint("the secret is sent nowhere else; give the key instead of the URL, or `--files-url`")),
    }
}

fn secret(args: &PurgeArgs) -> Result<Secret> {
    let text = match &args.secret_file {
        Some(path) => std::fs::read_to_string(path).map_err(|e| {
            Error::usage(format!("read the secret from `{}`", path.display()))
                .cause(e)
                .hint("check the path and who may read it")
        })?,
        None => std::env::var("PURGE_SECRET").unwrap_or_default(),
    };
    let text = text.trim();
    if text.is_empty() {
        return Err(Error::usage("find the purge secret")
            .cause("PURGE_SECRET is not set")
            .hint("export it, or give a file that holds it with `--secret-file`"));
    }
    Ok(Secret::new(text))
}

impl Report {
    fn text(&self) -> String {
        let absent = counted(self.absent, "was not stored", "were not stored");
        let mut out = format!("{} dropped, {absent}", self.dropped);
        if self.untried > 0 {
            out.push_str(&format!(", {} not tried", self.untried));
        }
        if !self.failed.is_empty() {
            out.push_str(&format!(", {} failed:", self.failed.len()));
        }
        for failed in &self.failed {
            out.push_str(&format!("\n  {}: {}", failed.url, failed.reason));
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_encoded_and_a_url_stays_if_it_is_ours() {
        let base = "https://files.example.com";
        assert_eq!(
            url(base, "a b/é.png").unwrap(),
            "https://files.example.com/a%20b/%C3%A9.png"
        );
        assert_eq!(
            url(base, "/a%b").unwrap(),
            "https://files.example.com/a%25b"
        );
        assert_eq!(
            url(base, "https://files.example.com/a%20b").unwrap(),
            "https://files.example.com/a%20b"
        );
        assert!(url(base, "https://evil.example/a").is_err());
        assert!(url(base, "https://files.example.com.evil.example/a").is_err());
    }
}
