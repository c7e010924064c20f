//! The worker's settings: parsed from the variables that are bound to it, once per isolate.
//!
//! All faults are found at once. `docs/settings.md` is made from the table in [`VARIABLES`]. `isolate` logs
//! the faults.

mod document;
mod forms;
mod variables;

use crate::policy::freshness::{FreshnessRule, OriginCacheControl};
pub use document::document;
use sha2::{Digest, Sha256};
use variables::variable;
pub use variables::{VARIABLES, Variable};

/// The variables that are bound to the worker: names and texts.
#[derive(Clone, Debug, Default)]
pub struct RawSettings(Vec<(&'static str, String)>);

/// Valid settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Which cache is used (`CACHE_MODE`).
    pub cache_mode: CacheMode,
    /// The bucket's URL without a `/` at the end: `https://s3.us-west-004.backblazeb2.com/media`
    /// (`ORIGIN_URL`, or `B2_ENDPOINT` and `B2_BUCKET`).
    pub origin_url: String,
    /// The start of every key: empty, or with a `/` at its end (`KEY_PREFIX`).
    pub key_prefix: String,
    /// How long answers are kept.
    pub freshness: FreshnessRule,
    /// Asked for what the bucket does not have: a URL without a `/` at the end (`FALLBACK_ORIGIN`).
    pub fallback_origin: Option<String>,
    /// Removed from the start of a path: without a `/` at its start, with one at its end (`STRIP_PREFIX`).
    pub strip_prefix: Option<String>,
    /// The start of refused keys: without a `/` at its start (`DENY_PREFIXES`).
    pub deny_prefixes: Vec<String>,
    /// How requests to the bucket are signed (`ORIGIN_AUTH`).
    pub origin_auth: OriginAuth,
    /// What a purge must have; `None`: every purge is refused (`PURGE_SECRET_HEADER`, `PURGE_SECRET`).
    pub purge: Option<PurgeSettings>,
}

/// Which cache is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheMode {
    /// The platform's cache in front of the media entry.
    Platform,
    /// The engine in this worker, over the Cache API.
    Engine,
}

/// How requests to the bucket are signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginAuth {
    /// Not at all: a public bucket.
    None,
    /// With SigV4: a private bucket.
    SigV4 {
        /// `B2_APPLICATION_KEY_ID`.
        key_id: String,
        /// `B2_APPLICATION_KEY`.
        key: Secret,
        /// The region in the endpoint's name: `us-west-004`.
        region: String,
    },
}

/// What a purge must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PurgeSettings {
    /// The header with the secret.
    pub header: String,
    /// The secret.
    pub secret: Secret,
}

/// A secret. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// The secret itself. Never log it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// A fault in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub variable: &'static str,
    /// What the variable is and what it should be. It continues a sentence that begins with the name, and has
    /// no text of a secret.
    pub problem: String,
}

impl RawSettings {
    /// Reads all variables by `text`, which returns `None` for one that is not set.
    pub fn read(text: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |variable: &Variable| Some((variable.name, text(variable.name)?));
        Self(VARIABLES.iter().filter_map(variable).collect())
    }

    /// The text of a variable without blanks at its ends, or its default. An empty text counts as not set.
    fn get(&self, name: &'static str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| *other == name);
        let text = found.map(|(_, text)| text.trim());
        text.filter(|text| !text.is_empty())
            .or(variable(name).default)
    }
}

impl Settings {
    /// The query at the end of every cache key: a hash of the origin and of all other settings that change an
    /// answer. It separates the copies of deployments that share a cache.
    pub fn cache_key_query(&self) -> String {
        let answers = (
            &self.origin_url,
            &self.key_prefix,
            &self.fallback_origin,
            &self.freshness,
        );
        let hash = Sha256::digest(serde_json::to_vec(&answers).unwrap_or_default());
        ["medialift=", &hex::encode(&hash[..8])].concat()
    }

    /// Parses the settings, or returns all their faults.
    pub fn parse(raw: &RawSettings) -> Result<Self, Vec<Fault>> {
        let mut parser = Parser {
            raw,
            faults: Vec::new(),
        };
        let settings = Self {
            cache_mode: parser.one_of(
                "CACHE_MODE",
                &[
                    ("engine", CacheMode::Engine),
                    ("platform", CacheMode::Platform),
                ],
            ),
            origin_url: parser.origin_url(),
            key_prefix: parser
                .optional("KEY_PREFIX", forms::directory)
                .unwrap_or_default(),
            freshness: FreshnessRule {
                fresh_seconds: parser
                    .optional("FRESH_SECONDS", forms::seconds)
                    .unwrap_or_default(),
                stale_seconds: parser
                    .optional("STALE_SECONDS", forms::seconds)
                    .unwrap_or_default(),
                negative_seconds: parser
                    .optional("NEGATIVE_SECONDS", forms::seconds)
                    .unwrap_or_default(),
                origin: parser.one_of(
                    "ORIGIN_CACHE_CONTROL",
                    &[
                        ("ignore", OriginCacheControl::Ignore),
                        ("respect", OriginCacheControl::Respect),
                    ],
                ),
            },
            fallback_origin: parser.optional("FALLBACK_ORIGIN", forms::url_with_path),
            strip_prefix: parser.optional("STRIP_PREFIX", forms::directory),
            deny_prefixes: parser
                .optional("DENY_PREFIXES", forms::deny_list)
                .unwrap_or_default(),
            origin_auth: parser.origin_auth(),
            purge: parser.purge(),
        };
        if parser.faults.is_empty() {
            Ok(settings)
        } else {
            Err(parser.faults)
        }
    }
}

/// Reads variables, and collects their faults.
struct Parser<'a> {
    raw: &'a RawSettings,
    faults: Vec<Fault>,
}

impl Parser<'_> {
    fn fault(&mut self, name: &'static str, problem: &[&str]) {
        self.faults.push(Fault {
            variable: name,
            problem: problem.concat(),
        });
    }

    fn malformed(&mut self, name: &'static str) {
        let variable = variable(name);
        let text = match self.raw.get(name) {
            Some(text) if !variable.secret => ["`", &forms::shown(text), "`"].concat(),
            _ => "a text that is not shown".to_owned(),
        };
        self.fault(name, &["is ", &text, "; it should be ", variable.form]);
    }

    fn missing(&mut self, name: &'static str, why: &str) {
        self.fault(
            name,
            &["is not set", why, "; it should be ", variable(name).form],
        );
    }

    /// The value of a variable, parsed by `form`; `None` where it is not set, or malformed.
    fn optional<T>(&mut self, name: &'static str, form: fn(&str) -> Option<T>) -> Option<T> {
        let value = form(self.raw.get(name)?);
        if value.is_none() {
            self.malformed(name);
        }
        value
    }

    /// The value of a variable that has one of these texts; the first value where it is malformed.
    fn one_of<T: Copy>(&mut self, name: &'static str, values: &[(&str, T)]) -> T {
        let given = self.raw.get(name).unwrap_or_default();
        let found = values.iter().find(|(text, _)| *text == given);
        if found.is_none() {
            self.malformed(name);
        }
        found.unwrap_or(&values[0]).1
    }

    fn origin_url(&mut self) -> String {
        let url = self.optional("ORIGIN_URL", forms::url);
        let bucket = self.optional("B2_BUCKET", forms::bucket);
        let endpoint = self.optional("B2_ENDPOINT", forms::endpoint);
        if self.raw.get("ORIGIN_URL").is_some() {
            return url.unwrap_or_default();
        }
        for name in ["B2_BUCKET", "B2_ENDPOINT"] {
            if self.raw.get(name).is_none() {
                self.missing(name, ", and no `ORIGIN_URL` either");
            }
        }
        [
            "https://",
            &endpoint.unwrap_or_default(),
            "/",
            &bucket.unwrap_or_default(),
        ]
        .concat()
    }

    fn origin_auth(&mut self) -> OriginAuth {
        if !self.one_of("ORIGIN_AUTH", &[("none", false), ("sigv4", true)]) {
            return OriginAuth::None;
        }
        const WHY: &str = ", and `ORIGIN_AUTH` is `sigv4`";
        for name in ["B2_APPLICATION_KEY_ID", "B2_APPLICATION_KEY"] {
            if self.raw.get(name).is_none() {
                self.missing(name, WHY);
            }
        }
        let region = self.region();
        let is_named = self
            .faults
            .iter()
            .any(|fault| fault.variable == "B2_ENDPOINT");
        if region.is_none() && !is_named {
            match self.raw.get("B2_ENDPOINT") {
                None => self.missing(
                    "B2_ENDPOINT",
                    ", and without it the region to sign for is not known",
                ),
                Some(_) => self.malformed("B2_ENDPOINT"),
            }
        }
        OriginAuth::SigV4 {
            key_id: self
                .optional("B2_APPLICATION_KEY_ID", forms::application_key_id)
                .unwrap_or_default(),
            key: Secret(
                self.optional("B2_APPLICATION_KEY", forms::secret)
                    .unwrap_or_default(),
            ),
            region: region.unwrap_or_default(),
        }
    }

    /// The region in the name of the endpoint: of `B2_ENDPOINT`, or else of `ORIGIN_URL`.
    fn region(&self) -> Option<String> {
        let endpoint = self.raw.get("B2_ENDPOINT").and_then(forms::endpoint);
        let host = || forms::host_of(self.raw.get("ORIGIN_URL")?).map(str::to_owned);
        endpoint.or_else(host).and_then(|host| forms::region(&host))
    }

    fn purge(&mut self) -> Option<PurgeSettings> {
        let header = self.optional("PURGE_SECRET_HEADER", forms::header_name);
        let secret = self.optional("PURGE_SECRET", forms::purge_secret);
        Some(PurgeSettings {
            header: header?,
            secret: Secret(secret?),
        })
    }
}

#[cfg(test)]
mod tests;
