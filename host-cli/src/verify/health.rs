//! What the worker says of itself at `/.well-known/medialift-health`.
//!
//! Anything else behind the domain, an older worker included, has no such report, and that is no
//! fault. With the purge secret the worker asks the bucket; without it, it tells how the last read
//! of the bucket went.

use http::Method;
use serde::Deserialize;

use super::Domain;
use super::purge::PurgeHeader;
use crate::findings::Finding;

const CHECK: &str = "health";
const PATH: &str = "/.well-known/medialift-health";

/// Who caches, as the worker has found out: it is `engine` too where the platform has no cache for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// The platform's cache, in front of the worker.
    Platform,
    /// The worker itself, in each data centre.
    Engine,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Settings {
    Valid,
    Faulty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Bucket {
    Reachable,
    Unreachable,
    Unknown,
}

/// The report. What a newer worker says besides is passed over.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Health {
    version: String,
    settings: Settings,
    /// Names of the settings that are faulty.
    #[serde(default)]
    faults: Vec<String>,
    /// Who caches; with faulty settings the worker may not know.
    pub cache: Option<Cache>,
    bucket: Option<Bucket>,
}

/// Asks for the report. `None`: there is none.
pub async fn ask(domain: &Domain, header: Option<&PurgeHeader>) -> Option<Health> {
    let url = format!("{}{PATH}", domain.url);
    let headers: Vec<_> = header
        .map(|header| (header.name.as_str(), header.secret.expose()))
        .into_iter()
        .collect();
    let answer = domain.send(Method::GET, &url, &headers).await.ok()?;
    serde_json::from_slice(&answer.body).ok()
}

/// What the report means for the migration.
pub fn finding(health: Option<&Health>) -> Finding {
    let Some(health) = health else {
        return Finding::skipped(
            CHECK,
            "the domain has no report of its own: it is not the worker, or an older one",
        );
    };
    let cache = match health.cache {
        Some(Cache::Platform) => "the platform's cache",
        Some(Cache::Engine) => "a cache of its own in each data centre",
        None => "no cache that it knows of",
    };
    let state = format!("version {}, {cache}", health.version);
    if health.settings == Settings::Faulty {
        return Finding::failed(
            CHECK,
            format!("{state}, faulty settings: `{}`", health.faults.join("`, `")),
            "the worker answers nothing until they are right: its log says of each what it should be, docs/settings.md too",
        );
    }
    match health.bucket {
        Some(Bucket::Unreachable) => Finding::failed(
            CHECK,
            format!("{state}, settings valid, the bucket cannot be reached"),
            "readers get what is stored and nothing else: see the worker's log for the bucket's answer",
        ),
        Some(Bucket::Reachable) => {
            Finding::passed(CHECK, format!("{state}, settings valid, bucket reachable"))
        }
        Some(Bucket::Unknown) | None => Finding::passed(
            CHECK,
            format!("{state}, settings valid; with `PURGE_SECRET` set here it asks the bucket"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::Outcome;

    #[track_caller]
    fn check(text: &str, outcome: Outcome, part: &str) {
        let health = serde_json::from_str(text).ok();
        let finding = finding(health.as_ref());
        assert_eq!(finding.outcome, outcome, "{finding:?}");
        assert!(finding.detail.contains(part), "{finding:?}");
    }

    #[test]
    fn faulty_settings_and_a_bucket_out_of_reach_fail() {
        check(
            r#"{"version":"0.1.0","settings":"valid","faults":[],"cache":"platform","bucket":"reachable","more":1}"#,
            Outcome::Passed,
            "version 0.1.0, the platform's cache, settings valid, bucket reachable",
        );
        check(
            r#"{"version":"0.1.0","settings":"valid","faults":[],"cache":"engine","bucket":"unknown"}"#,
            Outcome::Passed,
            "a cache of its own",
        );
        check(
            r#"{"version":"0.1.0","settings":"valid","cache":"engine","bucket":"unreachable"}"#,
            Outcome::Failed,
            "cannot be reached",
        );
        check(
            r#"{"version":"0.1.0","settings":"faulty","faults":["B2_BUCKET","CACHE_MODE"],"cache":null,"bucket":"unknown"}"#,
            Outcome::Failed,
            "faulty settings: `B2_BUCKET`, `CACHE_MODE`",
        );
    }

    #[test]
    fn what_is_no_report_is_no_fault() {
        for text in ["404 Not Found\n", "{}", "<html></html>", ""] {
            check(text, Outcome::Skipped, "not the worker");
        }
    }
}
