//! The worker's report about itself at `/.well-known/medialift-health`.
//!
//! Other servers and older workers have no report, which is no fault. With the purge secret in the
//! request the worker tests the bucket; without it, it reports the result of its last read.

use http::Method;
use serde::Deserialize;

use super::Domain;
use super::purge::PurgeHeader;
use crate::findings::Finding;

const CHECK: &str = "health";
const PATH: &str = "/.well-known/medialift-health";

/// The cache in use: `engine` also where the platform has no cache for the worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheMode {
    /// Cloudflare's Workers Cache, in front of the worker.
    Platform,
    /// The worker's own, in each data centre.
    Engine,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SettingsState {
    Valid,
    Faulty,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum BucketState {
    Reachable,
    Unreachable,
    Unknown,
}

/// The report. Unknown fields, of newer workers, are ignored.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Health {
    version: String,
    settings: SettingsState,
    /// Names of faulty settings.
    #[serde(default)]
    faults: Vec<String>,
    /// The cache; none if faulty settings do not define it.
    pub cache: Option<CacheMode>,
    bucket: Option<BucketState>,
}

/// Requests the report; none where there is none.
pub async fn request(domain: &Domain, header: Option<&PurgeHeader>) -> Option<Health> {
    let url = format!("{}{PATH}", domain.url);
    let headers: Vec<_> = header
        .map(|header| (header.name.as_str(), header.secret.expose()))
        .into_iter()
        .collect();
    let response = domain.send(Method::GET, &url, &headers).await.ok()?;
    serde_json::from_slice(&response.body).ok()
}

/// The finding for the report.
pub fn finding(health: Option<&Health>) -> Finding {
    let Some(health) = health else {
        return Finding::skipped(
            CHECK,
            "the domain has no health report: it is not the worker, or an older one",
        );
    };
    let cache = match health.cache {
        Some(CacheMode::Platform) => "Cloudflare's Workers Cache",
        Some(CacheMode::Engine) => "a cache of its own in each data centre",
        None => "unknown cache",
    };
    let state = format!("version {}, {cache}", health.version);
    if health.settings == SettingsState::Faulty {
        return Finding::failed(
            CHECK,
            format!("{state}, faulty settings: `{}`", health.faults.join("`, `")),
            "the worker answers every request with 500 until they are correct: see its log and docs/settings.md",
        );
    }
    match health.bucket {
        Some(BucketState::Unreachable) => Finding::failed(
            CHECK,
            format!("{state}, settings valid, the bucket cannot be reached"),
            "readers get cached objects only: see the worker's log for the response of the bucket",
        ),
        Some(BucketState::Reachable) => {
            Finding::passed(CHECK, format!("{state}, settings valid, bucket reachable"))
        }
        Some(BucketState::Unknown) | None => Finding::passed(
            CHECK,
            format!("{state}, settings valid; the bucket is tested if the purge secret is given"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::CheckOutcome;

    #[track_caller]
    fn check(text: &str, outcome: CheckOutcome, part: &str) {
        let health = serde_json::from_str(text).ok();
        let finding = finding(health.as_ref());
        assert_eq!(finding.outcome, outcome, "{finding:?}");
        assert!(finding.detail.contains(part), "{finding:?}");
    }

    #[test]
    fn faulty_settings_and_an_unreachable_bucket_fail() {
        check(
            r#"{"version":"0.1.0","settings":"valid","faults":[],"cache":"platform","bucket":"reachable","more":1}"#,
            CheckOutcome::Passed,
            "version 0.1.0, Cloudflare's Workers Cache, settings valid, bucket reachable",
        );
        check(
            r#"{"version":"0.1.0","settings":"valid","faults":[],"cache":"engine","bucket":"unknown"}"#,
            CheckOutcome::Passed,
            "a cache of its own",
        );
        check(
            r#"{"version":"0.1.0","settings":"valid","cache":"engine","bucket":"unreachable"}"#,
            CheckOutcome::Failed,
            "cannot be reached",
        );
        check(
            r#"{"version":"0.1.0","settings":"faulty","faults":["B2_BUCKET","CACHE_MODE"],"cache":null,"bucket":"unknown"}"#,
            CheckOutcome::Failed,
            "faulty settings: `B2_BUCKET`, `CACHE_MODE`",
        );
    }

    #[test]
    fn a_missing_report_is_no_fault() {
        for text in ["404 Not Found\n", "{}", "<html></html>", ""] {
            check(text, CheckOutcome::Skipped, "not the worker");
        }
    }
}
