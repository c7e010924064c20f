//! Inputs of `env` besides the file: the files domain, the visibility, and what lint compares with.

use std::path::Path;

use super::EnvArgs;
use crate::config::{Target, Visibility};
use crate::context::Context;
use crate::dotenv::Document;
use crate::dotenv::lint::{LintContext, Outranking};
use crate::dotenv::store::EnvFile;
use crate::dotenv::values::{self, Environment, Gem};
use crate::error::{Error, Result};
use crate::mastodon::{self, environment};
use crate::verify::SiteUrl;

/// What lint compares with: the bucket and Mastodon, as far as they are known.
pub(super) fn lint_context(
    args: &EnvArgs,
    context: &Context,
    stored: &EnvFile,
) -> Result<LintContext> {
    let target: Option<Target> = args.target.resolve_with(&context.file).ok();
    let root = context.file.mastodon.root.as_deref();
    let root = root.or(stored.path.parent()).unwrap_or(Path::new("."));
    let (version, deployment) = mastodon::of_root(root, &context.file);
    Ok(LintContext {
        visibility: visibility(args, context),
        region: target.as_ref().map(|t| t.region.clone()),
        bucket: target.as_ref().map(|t| t.bucket.clone()),
        key_prefix: target.map(|t| t.key_prefix.trim_end_matches('/').to_owned()),
        files_host: files_url(args, context)?.map(|url| url.authority().to_owned()),
        mode: Some(stored.mode),
        version,
        deployment,
        outranking: outranking(stored),
    })
}

fn outranking(stored: &EnvFile) -> Vec<Outranking> {
    let given = std::path::absolute(&stored.given).unwrap_or_else(|_| stored.path.clone());
    environment::outranking(&given)
        .into_iter()
        .map(|path| {
            let values = std::fs::read(&path)
                .map_err(|e| e.to_string())
                .and_then(|bytes| {
                    let document = Document::parse(&bytes);
                    values::read(&document, Gem::V3_1_5, &Environment::default())
                        .map_err(|error| error.to_string())
                });
            Outranking { path, values }
        })
        .collect()
}

/// The files domain: `https` and a host without a path.
fn files_url(args: &EnvArgs, context: &Context) -> Result<Option<SiteUrl>> {
    let Some(given) = args.files_url.as_ref().or(context.file.files_url.as_ref()) else {
        return Ok(None);
    };
    let is_host = |url: &SiteUrl| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-.:".contains(&b);
        url.is_encrypted()
            && url.path().is_none()
            && url.host().contains('.')
            && url.authority().bytes().all(plain)
    };
    match SiteUrl::parse(given).ok().filter(is_host) {
        Some(url) => Ok(Some(url)),
        None => Err(Error::usage(format!("use `{given}` as the files domain"))
            .cause("it is not `https://` and a host name")
            .hint("use an address such as `https://files.example.com`")),
    }
}

pub(super) fn required_files_url(args: &EnvArgs, context: &Context) -> Result<SiteUrl> {
    files_url(args, context)?.ok_or_else(|| {
        Error::usage("write the files domain")
            .cause("no files domain is named")
            .hint("give `--files-url https://files.example.com`, or put `files_url` in medialift.toml")
    })
}

fn visibility(args: &EnvArgs, context: &Context) -> Option<Visibility> {
    args.visibility.or(context.file.visibility)
}

/// Never guessed: with the wrong one every upload is refused.
pub(super) fn required_visibility(args: &EnvArgs, context: &Context) -> Result<Visibility> {
    visibility(args, context).ok_or_else(|| {
        Error::usage("write `S3_PERMISSION`")
            .cause("it is not known whether the bucket is public or private")
            .hint("give `--visibility private` or `--visibility public`, or put `visibility = \"private\"` in medialift.toml; `medialift check` reports which it is")
    })
}
