//! `docs/settings.md`, made from the table of variables.

use super::variables::VARIABLES;

/// `docs/settings.md`, whole.
#[must_use]
pub fn document() -> String {
    let mut text = INTRODUCTION.to_owned();
    for variable in VARIABLES {
        let how = match (variable.secret, variable.default) {
            (true, _) => "A secret, not set unless you set it.".to_owned(),
            (false, Some(default)) => ["Default: `", default, "`."].concat(),
            (false, None) => "Not set unless you set it.".to_owned(),
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

/// What a variable does.
///
/// # Panics
///
/// Where nothing is said of one: the test of the document finds it.
fn meaning(name: &str) -> &'static str {
    match name {
        "B2_BUCKET" => "The bucket. Needed unless `ORIGIN_URL` is set.",
        "B2_ENDPOINT" => {
            "Where the bucket is. Needed unless `ORIGIN_URL` is set; also tells the region to sign for."
        }
        "ORIGIN_URL" => "The bucket's URL, for local use; outranks `B2_BUCKET` and `B2_ENDPOINT`.",
        "KEY_PREFIX" => {
            "Mastodon's `S3_KEY_PREFIX`. Every key lies under it: put before a path that does not start with it."
        }
        "CACHE_MODE" => {
            "Who caches: Cloudflare's Workers Cache in front of the media entry, worldwide, or this worker over the Cache API, in each data centre for itself: a purge then reaches the data centre that it comes to, and no other. Where there is no Workers Cache, as under `wrangler dev`, `platform` does as `engine` does, and the log says so once."
        }
        "FRESH_SECONDS" => {
            "For how long a file is served without asking the bucket: 48 hours. 0 stores nothing."
        }
        "STALE_SECONDS" => {
            "For how long after that it is still served while the bucket cannot be asked: 30 days. With `CACHE_MODE = \"platform\"` the old copy is also served at once for the first five seconds after that, while it is refreshed."
        }
        "NEGATIVE_SECONDS" => {
            "For how long a 404 or 410 is remembered, here and by clients. 0: it is not."
        }
        "ORIGIN_CACHE_CONTROL" => {
            "Whether the bucket's `X-Accel-Expires`, `Cache-Control` and `Expires`, in this order, outrank `FRESH_SECONDS`. B2 sends `no-store` with every object that was given none of its own."
        }
        "FALLBACK_ORIGIN" => {
            "Asked for what the bucket lacks, such as `https://example.com/system`, so that the domain can be switched before the upload has ended."
        }
        "STRIP_PREFIX" => {
            "Cut off the start of a path, such as `/system/`, so that old media URLs work."
        }
        "DENY_PREFIXES" => {
            "Keys that start with one of these are answered 403. Account archives lie under `backups/`, imported lists of follows under `imports/`."
        }
        "ORIGIN_AUTH" => "`sigv4` signs requests to a private bucket.",
        "B2_APPLICATION_KEY_ID" => "Signs requests. Needed with `ORIGIN_AUTH = \"sigv4\"`.",
        "B2_APPLICATION_KEY" => "Signs requests. Needed with `ORIGIN_AUTH = \"sigv4\"`.",
        "PURGE_SECRET_HEADER" => {
            "The header in which a purge brings its secret: Mastodon's `CACHE_BUSTER_SECRET_HEADER`."
        }
        "PURGE_SECRET" => {
            "The secret of a purge: Mastodon's `CACHE_BUSTER_SECRET`. Where it is not set, every purge is answered 403. A purge is for the host that it comes to. With `CACHE_MODE = \"engine\"` a purge drops the copy of one data centre, the one nearest to the Mastodon host; the others keep theirs until its time is over."
        }
        _ => unreachable!("nothing is said of {name}"),
    }
}

const INTRODUCTION: &str = "\
<!-- Made from worker/src/settings/document.rs and variables.rs; do not edit. To make it again: UPDATE_DOCS=1 cargo test -p edge-worker --test settings -->
# Settings of the worker

Variables stand under `[vars]` in `wrangler.toml`, or come with `wrangler dev --var NAME:TEXT`. \
Secrets are set with `wrangler secret put NAME`. An empty text counts as not set.

They are read once. Where anything is wrong, every request is answered with a plain 500, and the \
log names everything that is wrong at once: each variable, what it is and what it should be. \
A secret's text is never shown.
";
