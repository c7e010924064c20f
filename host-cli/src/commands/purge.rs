//! `purge`: drops objects, or everything, from the cache of the files domain.

mod everything;

use std::cell::RefCell;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use futures_util::{StreamExt, stream};
use http::{HeaderName, HeaderValue, Request, StatusCode};
use http_body_util::Full;
use serde::Serialize;

use super::env::PurgeMethod;
use crate::config::{PurgeSecretArgs, settings_error};
use crate::context::Context;
use crate::error::{Error, Result, chain};
use crate::exit::Exit;
use crate::format::counted;
use crate::verify::SiteUrl;
use crate::web::Web;

/// Concurrent requests.
const CONCURRENT_REQUESTS: usize = 8;

/// Flags of `purge`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  # Drop one object, by its key or its URL
  medialift purge accounts/avatars/1/original/a.png
  medialift purge https://files.example.com/accounts/avatars/1/original/a.png

  # Drop those of a list
  medialift purge --from keys.txt

  # Drop the whole cache
  medialift purge --everything --purge-secret-file purge.secret

In platform mode a purge is queued and reaches every data centre within minutes; in engine mode it
drops the copy of the nearest data centre only.

The secret is sent to the files domain only.
Exit codes: 0 all were dropped or not in the cache, 1 the secret is wrong, 4 some failed.")]
pub struct PurgeArgs {
    /// Keys, or URLs of the files domain
    #[arg(value_name = "KEY", required_unless_present_any = ["from", "everything"])]
    pub keys: Vec<String>,
    /// File with one key or URL per line; `-` is standard input
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// Drop the whole cache, e.g. after a deployment that changes headers
    #[arg(long, conflicts_with_all = ["keys", "from"])]
    pub everything: bool,
    /// The files domain, e.g. `https://files.example.com`
    #[arg(long, value_name = "URL", env = "FILES_URL")]
    pub files_url: Option<String>,
    /// Method: the one that `medialift verify` reports as working
    #[arg(long, alias = "method", value_enum, default_value_t = PurgeMethod::Purge)]
    pub purge_method: PurgeMethod,
    /// The secret.
    #[command(flatten)]
    pub secret: PurgeSecretArgs,
    /// Print the URLs and send nothing
    #[arg(long, short = 'n')]
    pub dry_run: bool,
}

#[derive(Debug, Default, Serialize)]
struct PurgeReport {
    dry_run: bool,
    /// Objects that were dropped.
    dropped: u64,
    /// Objects that were not in the cache.
    absent: u64,
    /// Objects without a request, since the secret was refused before.
    untried: u64,
    failed: Vec<FailedPurge>,
    /// With `--dry-run`: what would be sent.
    urls: Vec<String>,
}

#[derive(Debug, Serialize)]
struct FailedPurge {
    url: String,
    reason: String,
}

/// Runs `purge`.
pub async fn run(args: PurgeArgs, context: &Context) -> Result<Exit> {
    let domain = SiteUrl::resolve(args.files_url.as_ref(), &context.file)
        .map_err(|fault| settings_error(&[fault]))?;
    if args.everything {
        return everything::run(&args, &domain, context).await;
    }
    let mut urls = Vec::new();
    for key in keys(&args)? {
        urls.push(url(&domain, &key)?);
    }
    let mut report = PurgeReport {
        dry_run: args.dry_run,
        ..PurgeReport::default()
    };
    if args.dry_run {
        let text = urls.join("\n");
        report.urls = urls;
        context.ui.data(&report, text);
        return Ok(Exit::Done);
    }
    let (header, value) = secret_header(&args, context)?;
    let web = Web::new();
    let refused = RefCell::new(None);
    let mut responses = stream::iter(urls)
        .map(|url| {
            let request = request(&args, &url, &header, &value);
            let (web, refused) = (&web, &refused);
            async move {
                // Requests in progress are completed; no new one is sent.
                if refused.borrow().is_some() {
                    return None;
                }
                let response = match request {
                    Err(e) => Err(e),
                    Ok(request) => web.send(request, 1 << 20).await.map_err(|e| chain(&e)),
                };
                Some((url, response))
            }
        })
        .buffer_unordered(CONCURRENT_REQUESTS);
    while let Some(completed) = responses.next().await {
        let Some((url, response)) = completed else {
            report.untried += 1;
            continue;
        };
        match response.map(|response| response.status) {
            Ok(status) if status.is_success() => report.dropped += 1,
            Ok(StatusCode::NOT_FOUND) => report.absent += 1,
            Ok(StatusCode::FORBIDDEN) => {
                refused.replace(Some(url.clone()));
                report.failed.push(FailedPurge {
                    url,
                    reason: "the secret is refused".to_owned(),
                });
            }
            Ok(status) => report.failed.push(FailedPurge {
                url,
                reason: format!("answered {status}"),
            }),
            Err(reason) => report.failed.push(FailedPurge { url, reason }),
        }
    }
    drop(responses);
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
        .hint("compare the secret and the name of its header with the worker's `PURGE_SECRET` and `PURGE_SECRET_HEADER`; without them the worker refuses every purge")
}

/// The header that carries the secret.
fn secret_header(args: &PurgeArgs, context: &Context) -> Result<(HeaderName, HeaderValue)> {
    let secret = args.secret.secret(&context.file)?.ok_or_else(|| {
        Error::usage("find the purge secret")
            .cause("no purge secret is given")
            .hint("name a file that contains only the secret, with `--purge-secret-file` or as `purge_secret_file` in medialift.toml, or export `PURGE_SECRET`")
    })?;
    let bad_header = |cause: &str| {
        Error::usage("send the purge secret")
            .cause(cause.to_owned())
            .hint("use the values of the worker's `PURGE_SECRET_HEADER` and `PURGE_SECRET`")
    };
    let name = &args.secret.purge_header;
    let header = HeaderName::try_from(name.as_str())
        .map_err(|_| bad_header(&format!("`{name}` is not a valid header name")))?;
    let mut value = HeaderValue::try_from(secret.expose())
        .map_err(|_| bad_header("the secret has a character that is not allowed in a header"))?;
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
        .method(args.purge_method.as_str())
        .uri(url)
        .header(header, value)
        .body(Full::new(Bytes::new()))
        .map_err(|e| e.to_string())
}

fn keys(args: &PurgeArgs) -> Result<Vec<String>> {
    let mut keys = args.keys.clone();
    if let Some(path) = &args.from {
        let fail = |e: std::io::Error| {
            Error::usage(format!("read the list `{}`", path.display()))
                .cause(e)
                .hint("it must have one key or URL per line, in UTF-8")
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

/// The URL of a key; a URL must be one of the files domain.
fn url(domain: &SiteUrl, key: &str) -> Result<String> {
    if !key.contains("://") {
        return Ok(domain.of(key.trim_start_matches('/')));
    }
    let base = domain.to_string();
    let is_base = |start: &str| start.eq_ignore_ascii_case(&base);
    match key.split_at_checked(base.len()) {
        Some((start, path)) if is_base(start) && path.starts_with('/') => {
            Ok(format!("{base}{path}"))
        }
        _ => Err(Error::usage(format!("purge `{key}`"))
            .cause(format!("it is not an address of the files domain `{base}`"))
            .hint("the secret is sent to the files domain only; give the key instead of the URL, or `--files-url`")),
    }
}

impl PurgeReport {
    fn text(&self) -> String {
        let absent = counted(self.absent, "was not in the cache", "were not in the cache");
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
    fn a_key_is_encoded_and_a_url_must_be_of_the_files_domain() {
        let domain = SiteUrl::parse("https://files.example.com").unwrap();
        assert_eq!(
            url(&domain, "a b/é.png").unwrap(),
            "https://files.example.com/a%20b/%C3%A9.png"
        );
        assert_eq!(
            url(&domain, "/a%b").unwrap(),
            "https://files.example.com/a%25b"
        );
        assert_eq!(
            url(&domain, "https://files.example.com/a%20b").unwrap(),
            "https://files.example.com/a%20b"
        );
        assert_eq!(
            url(&domain, "https://Files.example.com/a").unwrap(),
            "https://files.example.com/a"
        );
        assert!(url(&domain, "https://evil.example/a").is_err());
        assert!(url(&domain, "https://files.example.com.evil.example/a").is_err());
    }
}
