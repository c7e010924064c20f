//! The table of variables.

/// One variable. Its meaning is in [`mod@super::document`], a text that the built worker does not contain.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    pub name: &'static str,
    /// What it takes; also the end of the message about a malformed text.
    pub form: &'static str,
    /// The text where it is not set; `None`: it has no default.
    pub default: Option<&'static str>,
    /// Whether it is set with `wrangler secret put`, and its text is never shown.
    pub secret: bool,
}

/// All variables, in the order of the document.
pub const VARIABLES: &[Variable] = &[
    Variable {
        name: "B2_BUCKET",
        form: "a bucket's name: 3 to 63 letters, digits, `-` and `.`",
        default: None,
        secret: false,
    },
    Variable {
        name: "B2_ENDPOINT",
        form: "the host that the bucket's page shows, such as `s3.us-west-004.backblazeb2.com`",
        default: None,
        secret: false,
    },
    Variable {
        name: "ORIGIN_URL",
        form: "an `https://` URL without a query, or an `http://` one of this machine",
        default: None,
        secret: false,
    },
    Variable {
        name: "KEY_PREFIX",
        form: "a path without `.`, `..` or control characters, of at most 512 bytes",
        default: None,
        secret: false,
    },
    Variable {
        name: "CACHE_MODE",
        form: "`platform` or `engine`",
        default: Some("engine"),
        secret: false,
    },
    Variable {
        name: "FRESH_SECONDS",
        form: "a whole number from 0 to 315360000",
        default: Some("172800"),
        secret: false,
    },
    Variable {
        name: "STALE_SECONDS",
        form: "a whole number from 0 to 315360000",
        default: Some("2592000"),
        secret: false,
    },
    Variable {
        name: "NEGATIVE_SECONDS",
        form: "a whole number from 0 to 315360000",
        default: Some("0"),
        secret: false,
    },
    Variable {
        name: "ORIGIN_CACHE_CONTROL",
        form: "`ignore` or `respect`",
        default: Some("ignore"),
        secret: false,
    },
    Variable {
        name: "FALLBACK_ORIGIN",
        form: "an `https://` URL with a path and without a query, or an `http://` one of this machine",
        default: None,
        secret: false,
    },
    Variable {
        name: "STRIP_PREFIX",
        form: "a path without `.`, `..` or control characters, of at most 512 bytes",
        default: None,
        secret: false,
    },
    Variable {
        name: "DENY_PREFIXES",
        form: "paths without `.`, `..` or control characters, separated by commas, or `none`",
        default: Some("backups/,imports/"),
        secret: false,
    },
    Variable {
        name: "ORIGIN_AUTH",
        form: "`none` or `sigv4`",
        default: Some("none"),
        secret: false,
    },
    Variable {
        name: "B2_APPLICATION_KEY_ID",
        form: "the id of an application key for the bucket, not of the master key",
        default: None,
        secret: true,
    },
    Variable {
        name: "B2_APPLICATION_KEY",
        form: "the application key that belongs to `B2_APPLICATION_KEY_ID`",
        default: None,
        secret: true,
    },
    Variable {
        name: "PURGE_SECRET_HEADER",
        form: "a header's name of its own, of letters, digits and `-`",
        default: Some("X-Purge-Secret"),
        secret: false,
    },
    Variable {
        name: "PURGE_SECRET",
        form: "16 visible ASCII characters or more, best 32 random ones",
        default: None,
        secret: true,
    },
];

/// The variable called `name`.
///
/// # Panics
///
/// Where the table has none: a mistake in this crate, which every test of settings finds.
pub(super) fn variable(name: &'static str) -> &'static Variable {
    match VARIABLES.iter().find(|variable| variable.name == name) {
        Some(variable) => variable,
        None => unreachable!("a variable outside the table"),
    }
}
