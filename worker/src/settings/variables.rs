//! The table of variables, and the document that is made from it.

/// One variable, as `docs/settings.md` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What may stand in it; also the end of a message about a text that may not.
    pub form: &'static str,
    /// What holds where it is not set; `None`: nothing.
    pub default: Option<&'static str>,
    /// Whether it is set with `wrangler secret put`, and its text never shown.
    pub secret: bool,
    /// What it does.
    pub meaning: &'static str,
}

/// Every variable there is, in the order of the document.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "B2_BUCKET",
        form: "a bucket's name: 3 to 63 letters, digits, `-` and `.`",
        default: None,
        secret: false,
        meaning: "The bucket. Needed unless `ORIGIN_URL` is set.",
    },
    Variable {
        name: "B2_ENDPOINT",
        form: "the host that the bucket's page shows, such as `s3.us-west-004.backblazeb2.com`",
        default: None,
        secret: false,
        meaning: "Where the bucket is. Needed unless `ORIGIN_URL` is set; also tells the region to sign for.",
    },
    Variable {
        name: "ORIGIN_URL",
        form: "an `https://` URL without a query, or an `http://` one of this machine",
        default: None,
        secret: false,
        meaning: "The bucket's URL, for local use; outranks `B2_BUCKET` and `B2_ENDPOINT`.",
    },
    Variable {
        name: "KEY_PREFIX",
        form: "a path without `.`, `..` or control characters, of at most 512 bytes",
        default: None,
        secret: false,
        meaning: "Mastodon's `S3_KEY_PREFIX`. Every key lies under it: put before a path that does not start with it.",
    },
    Variable {
        name: "CACHE_MODE",
        form: "`platform` or `engine`",
        default: Some("engine"),
        secret: false,
        meaning: "Who caches: Cloudflare's Workers Cache in front of the media entry, or this worker over the Cache API, in each data centre for itself: a purge then reaches the data centre that it comes to, and no other.",
    },
    Variable {
        name: "FRESH_SECONDS",
        form: "a whole number from 0 to 315360000",
        default: Some("172800"),
        secret: false,
        meaning: "For how long a file is served without asking the bucket: 48 hours. 0 stores nothing.",
    },
    Variable {
        name: "STALE_SECONDS",
        form: "a whole number from 0 to 315360000",
        default: Some("2592000"),
        secret: false,
        meaning: "For how long after that it is still served while the bucket cannot be asked: 30 days.",
    },
    Variable {
        name: "NEGATIVE_SECONDS",
        form: "a whole number from 0 to 315360000",
        default: Some("0"),
        secret: false,
        meaning: "For how long a 404 or 410 is remembered, here and by clients. 0: it is not. With `CACHE_MODE = \"platform\"` it never is.",
    },
    Variable {
        name: "ORIGIN_CACHE_CONTROL",
        form: "`ignore` or `respect`",
        default: Some("ignore"),
        secret: false,
        meaning: "Whether the bucket's `X-Accel-Expires`, `Cache-Control` and `Expires`, in this order, outrank `FRESH_SECONDS`. B2 sends `no-store` with every object that was given none of its own.",
    },
    Variable {
        name: "FALLBACK_ORIGIN",
        form: "an `https://` URL with a path and without a query, or an `http://` one of this machine",
        default: None,
        secret: false,
        meaning: "Asked for what the bucket lacks, such as `https://example.com/system`, so that the domain can be switched before the upload has ended.",
    },
    Variable {
        name: "STRIP_PREFIX",
        form: "a path without `.`, `..` or control characters, of at most 512 bytes",
        default: None,
        secret: false,
        meaning: "Cut off the start of a path, such as `/system/`, so that old media URLs work.",
    },
    Variable {
        name: "DENY_PREFIXES",
        form: "paths without `.`, `..` or control characters, separated by commas, or `none`",
        default: Some("backups/,imports/"),
        secret: false,
        meaning: "Keys that start with one of these are answered 403. Account archives lie under `backups/`, imported lists of follows under `imports/`.",
    },
    Variable {
        name: "ORIGIN_AUTH",
        form: "`none` or `sigv4`",
        default: Some("none"),
        secret: false,
        meaning: "`sigv4` signs requests to a private bucket.",
    },
    Variable {
        name: "B2_APPLICATION_KEY_ID",
        form: "the id of an application key for the bucket, not of the master key",
        default: None,
        secret: true,
        meaning: "Signs requests. Needed with `ORIGIN_AUTH = \"sigv4\"`.",
    },
    Variable {
        name: "B2_APPLICATION_KEY",
        form: "the application key that belongs to `B2_APPLICATION_KEY_ID`",
        default: None,
        secret: true,
        meaning: "Signs requests. Needed with `ORIGIN_AUTH = \"sigv4\"`.",
    },
    Variable {
        name: "PURGE_SECRET_HEADER",
        form: "a header's name of its own, of letters, digits and `-`",
        default: Some("X-Purge-Secret"),
        secret: false,
        meaning: "The header in which a purge brings its secret: Mastodon's `CACHE_BUSTER_SECRET_HEADER`.",
    },
    Variable {
        name: "PURGE_SECRET",
        form: "16 visible ASCII characters or more, best 32 random ones",
        default: None,
        secret: true,
        meaning: "The secret of a purge: Mastodon's `CACHE_BUSTER_SECRET`. Where it is not set, every purge is answered 403. A purge is for the host that it comes to. With `CACHE_MODE = \"engine\"` a purge drops the copy of one data centre, the one nearest to the Mastodon host; the others keep theirs until its time is over.",
    },
];

/// The variable called `name`.
///
/// # Panics
///
/// Where the table has none: a mistake in this crate, which the first test to read settings finds.
pub(super) fn variable(name: &'static str) -> &'static Variable {
    match VARIABLES.iter().find(|variable| variable.name == name) {
        Some(variable) => variable,
        None => unreachable!("a variable outside the table"),
    }
}

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
            variable.meaning,
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

const INTRODUCTION: &str = "\
<!-- Made from worker/src/settings/variables.rs; do not edit. To make it again: UPDATE_DOCS=1 cargo test -p edge-worker --test settings -->
# Settings of the worker

Variables stand under `[vars]` in `wrangler.toml`, or come with `wrangler dev --var NAME:TEXT`. \
Secrets are set with `wrangler secret put NAME`. An empty text counts as not set.

They are read once. Where anything is wrong, every request is answered with a plain 500, and the \
log names everything that is wrong at once: each variable, what it is and what it should be. \
A secret's text is never shown.
";
