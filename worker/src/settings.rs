//! The worker's settings: from the strings that are bound to it, to values that are valid.
//!
//! Parsed once per isolate. Everything that is wrong is found in one go, so that it can be mended
//! in one go. `docs/settings.md` is made from the table in [`VARIABLES`].

use crate::policy::freshness::FreshnessRule;

/// The settings as they are bound: a name and, where set, its text.
#[derive(Clone, Debug, Default)]
pub struct RawSettings(Vec<(&'static str, String)>);

/// Settings that are valid, each by itself and all together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Who caches (`CACHE_MODE`).
    pub cache_mode: CacheMode,
    /// The bucket's URL without a `/` at the end: `https://s3.us-west-004.backblazeb2.com/media`
    /// (`ORIGIN_URL`, or `B2_ENDPOINT` and `B2_BUCKET`).
    pub origin_url: String,
    /// Every key starts with this: empty, or with a `/` at its end (`KEY_PREFIX`).
    pub key_prefix: String,
    /// How long answers are kept.
    pub freshness: FreshnessRule,
    /// Who is asked for what the bucket lacks: a URL without a `/` at the end (`FALLBACK_ORIGIN`).
    pub fallback_origin: Option<String>,
    /// Cut off the start of a path: without a `/` at its start, with one at its end (`STRIP_PREFIX`).
    pub strip_prefix: Option<String>,
    /// Keys under these are refused; no `/` at the start (`DENY_PREFIXES`).
    pub deny_prefixes: Vec<String>,
    /// How the bucket is asked (`ORIGIN_AUTH`).
    pub origin_auth: OriginAuth,
    /// Who may purge; `None`: nobody (`PURGE_SECRET_HEADER`, `PURGE_SECRET`).
    pub purge: Option<PurgeSettings>,
}

/// Who caches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMode {
    /// The platform's own cache in front of the media entry.
    Platform,
    /// The engine in this worker, over the Cache API.
    Engine,
}

/// How the bucket is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginAuth {
    /// Without a signature: a public bucket.
    None,
    /// With a SigV4 signature: a private bucket.
    SigV4 {
        /// `B2_APPLICATION_KEY_ID`.
        key_id: String,
        /// `B2_APPLICATION_KEY`.
        key: Secret,
        /// The region in the endpoint's name: `us-west-004`.
        region: String,
    },
}

/// Who may purge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeSettings {
    /// The header that carries the secret.
    pub header: String,
    /// The secret.
    pub secret: Secret,
}

/// A secret: never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself. Never log it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// One thing that is wrong with the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Which variable.
    pub variable: &'static str,
    /// What it is and what it should be. Never the text of a secret.
    pub problem: String,
}

impl RawSettings {
    /// Asks `lookup` for every variable there is. An empty text counts as not set.
    pub fn collect(lookup: impl FnMut(&'static str) -> Option<String>) -> Self {
        let _ = lookup;
        Self::default()
    }
}

impl Settings {
    /// Reads the settings, or lists everything that is wrong with them.
    pub fn parse(raw: &RawSettings) -> Result<Self, Vec<Fault>> {
        let _ = raw;
        Err(Vec::new())
    }
}

/// One variable, as `docs/settings.md` shows it.
#[derive(Clone, Copy, Debug)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What may stand in it.
    pub form: &'static str,
    /// What holds where it is not set; `None`: nothing, or it must be set.
    pub default: Option<&'static str>,
    /// Whether it is to be set with `wrangler secret put`.
    pub secret: bool,
    /// What it does.
    pub meaning: &'static str,
}

/// Every variable there is, in the order of the document.
pub const VARIABLES: &[Variable] = &[];
