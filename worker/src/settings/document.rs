//! `docs/settings.md`, made from the table of variables.

use super::variables::VARIABLES;

/// `docs/settings.md`, whole.
pub fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    for variable in VARIABLES {
        let how = match (variable.secret, variable.default) {
            (true, _) => "A secret, without a default.".to_owned(),
            (false, Some(default)) => ["Default: `", default, "`."].concat(),
            (false, None) => "No default.".to_owned(),
        };
        let parts = [
            "\n## `",
            variable.name,
            "`\n\n",
            meaning(variable.name),
            "\n\n- Takes ",
            variable.form,
            ".\n- ",
            &how,
            "\n",
        ];
        text.push_str(&parts.concat());
    }
    text
}

/// The meaning of a variable.
///
/// # Panics
///
/// Where a variable has no text here: the test of the document finds it.
fn meaning(name: &str) -> &'static str {
    match name {
        "B2_BUCKET" => "The bucket. Needed unless `ORIGIN_URL` is set.",
        "B2_ENDPOINT" => {
            "The host of the bucket's S3 API. Needed unless `ORIGIN_URL` is set. Its name contains the region, which signatures need."
        }
        "ORIGIN_URL" => "The bucket's URL, for local use. Outranks `B2_BUCKET` and `B2_ENDPOINT`.",
        "KEY_PREFIX" => {
            "Mastodon's `S3_KEY_PREFIX`. It is added to every path that does not start with it."
        }
        "CACHE_MODE" => {
            "Which cache is used. `platform`: Cloudflare's Workers Cache, in two tiers worldwide. `engine`: the worker's own, over the Cache API, separate in each data centre; a purge reaches only the data centre that receives it. Without Workers Cache, as under `wrangler dev`, `platform` works as `engine`, and each isolate logs that once. `wrangler.toml` as shipped says `platform`."
        }
        "FRESH_SECONDS" => {
            "For how long a file is served without asking the bucket, in seconds. The default is 48 hours. With 0 nothing is stored."
        }
        "STALE_SECONDS" => {
            "For how long after `FRESH_SECONDS` a file is still served while the bucket gives no answer, in seconds. The default is 30 days. With `CACHE_MODE = \"platform\"` the stale copy is also served in the first five seconds after `FRESH_SECONDS`, while it is refreshed."
        }
        "NEGATIVE_SECONDS" => {
            "For how long a 404 or 410 is remembered, by the worker and by clients, in seconds. With 0 it is not remembered."
        }
        "ORIGIN_CACHE_CONTROL" => {
            "Whether the bucket's `X-Accel-Expires`, `Cache-Control` and `Expires`, in this order, outrank `FRESH_SECONDS`. B2 sends `no-store` with every object that was uploaded without a `Cache-Control`."
        }
        "FALLBACK_ORIGIN" => {
            "The URL that is asked for what the bucket does not have, such as `https://example.com/system`. With it the domain can be switched before the upload has ended."
        }
        "STRIP_PREFIX" => {
            "Removed from the start of a path, such as `/system/`, so that old media URLs work."
        }
        "DENY_PREFIXES" => {
            "Keys with one of these prefixes are answered 403. Account archives are under `backups/`, imported lists of follows under `imports/`."
        }
        "ORIGIN_AUTH" => "With `sigv4`, requests to the bucket are signed: a private bucket.",
        "B2_APPLICATION_KEY_ID" => {
            "The id of the key that signs requests. Needed with `ORIGIN_AUTH = \"sigv4\"`."
        }
        "B2_APPLICATION_KEY" => {
            "The key that signs requests. Needed with `ORIGIN_AUTH = \"sigv4\"`."
        }
        "PURGE_SECRET_HEADER" => {
            "The header with the secret of a purge: Mastodon's `CACHE_BUSTER_SECRET_HEADER`."
        }
        "PURGE_SECRET" => {
            "The secret of a purge: Mastodon's `CACHE_BUSTER_SECRET`. Without it, every purge is answered 403. A purge applies to the host in its URL. With `CACHE_MODE = \"engine\"` it drops the copy of one data centre, usually the one nearest to the Mastodon host; the others keep their copies until these expire."
        }
        _ => unreachable!("`{name}` has no text"),
    }
}

const INTRODUCTION: &str = "\
<!-- Made from worker/src/settings/document.rs and variables.rs by `cargo xtask docs`; do not edit. -->
# Settings of the worker

Variables are set under `[vars]` in `wrangler.toml`, or by `wrangler dev --var NAME:TEXT`. Secrets \
are set by `wrangler secret put NAME --env=\"\"`. An empty text counts as not set.

If a variable is faulty, every request is answered with a plain 500, except GET and HEAD of \
`/.well-known/medialift-health`: 503, with the names of the faulty variables as JSON. The log names all \
faults: each variable, what it is and what it should be. A secret's text is never shown.
";
