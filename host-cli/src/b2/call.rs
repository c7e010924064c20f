//! One call of the native API: sent, retried where that is safe, and decoded.
//!
//! Backblaze recommends retries on 408, 429 and 5xx, each on a new connection, after `Retry-After`
//! or a pause that doubles. A call that creates something is retried only where the service cannot
//! have performed it: otherwise a second key would be created.

use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::config::Secret;
use crate::web::{HttpResponse, Web, WebError};

const MAX_ATTEMPTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// After a longer `Retry-After` the call fails: somebody waits for the command.
const LONGEST_PAUSE: Duration = Duration::from_secs(32);
/// A page of 1,000 keys has some 500 bytes each.
const LONGEST_RESPONSE: usize = 4 << 20;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The service returned an error.
    #[error("`{call}` was refused: {message} (status {status}, code `{code}`)")]
    Refused {
        /// The call's name.
        call: &'static str,
        /// HTTP status.
        status: u16,
        /// The service's code, such as `duplicate_bucket_name`.
        code: String,
        /// The service's message.
        message: String,
    },
    /// There was no response.
    #[error("no response to `{call}` in {attempts} attempts over {} seconds", elapsed.as_secs())]
    NoAnswer {
        /// The call's name.
        call: &'static str,
        /// How often it was sent.
        attempts: u32,
        /// From the first attempt to the last failure.
        elapsed: Duration,
        /// The error of the last attempt.
        #[source]
        source: WebError,
    },
    /// The response is not as documented.
    #[error("the response to `{call}` cannot be decoded")]
    Unreadable {
        /// The call's name.
        call: &'static str,
        /// The decoder's error.
        #[source]
        source: serde_json::Error,
    },
    /// The response has an address that is not valid.
    #[error(
        "the response to `{call}` has the {what} `{url}`, which is not the `https://` address of a host"
    )]
    Unusable {
        /// The call's name.
        call: &'static str,
        /// The field.
        what: &'static str,
        /// Its value.
        url: String,
    },
}

impl CallError {
    /// The service's error code, where it returned one.
    pub fn code(&self) -> Option<&str> {
        match self {
            CallError::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The HTTP status, where there was a response.
    pub fn status(&self) -> Option<u16> {
        match self {
            CallError::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> String {
        match self {
            CallError::Refused { status: 401, .. } => "copy the key and its id again, without spaces or quotes; a deleted key causes the same error".to_owned(),
            CallError::Refused { status: 403, code, .. } if code.ends_with("cap_exceeded") => {
                "a cap of the account is exceeded: raise it under Caps & Alerts in Backblaze's console".to_owned()
            }
            CallError::Refused { status, .. } if *status == 429 || *status >= 500 => {
                "the service is overloaded or fails: wait a few minutes, then run the same command again".to_owned()
            }
            CallError::Refused { .. } => "correct what the service's message names; nothing else was changed".to_owned(),
            CallError::NoAnswer { .. } => "check this machine's network and name resolution, then run the same command again: nothing is created twice".to_owned(),
            CallError::Unreadable { .. } | CallError::Unusable { .. } => {
                "check the address of the native API (`b2_api` in medialift.toml, `B2_ENVIRONMENT`): another server may respond there".to_owned()
            }
        }
    }
}

/// When a call may be retried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RetryRule {
    /// Always: it changes nothing.
    Always,
    /// It creates or changes something: only where it was certainly not performed.
    IfNotPerformed,
}

#[derive(Debug)]
pub(super) struct Caller {
    web: Web,
}

#[derive(Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Caller {
    pub(super) fn new() -> Self {
        Caller { web: Web::new() }
    }

    pub(super) async fn authorize<T: DeserializeOwned>(
        &self,
        realm: &str,
        key_id: &str,
        key: &Secret,
    ) -> Result<T, CallError> {
        let pair = BASE64.encode(format!("{key_id}:{}", key.expose()));
        let authorization = Secret::new(format!("Basic {pair}"));
        let body = serde_json::json!({});
        self.post(
            realm,
            "b2_authorize_account",
            &authorization,
            RetryRule::Always,
            &body,
        )
        .await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        api: &str,
        call: &'static str,
        authorization: &Secret,
        retry: RetryRule,
        body: &serde_json::Value,
    ) -> Result<T, CallError> {
        let started = Instant::now();
        let mut attempt = 1;
        loop {
            let outcome = self.once(api, call, authorization, body).await;
            let pause = if attempt < MAX_ATTEMPTS {
                pause_before_retry(&outcome, retry, attempt)
            } else {
                None
            };
            let Some(pause) = pause else {
                return read(call, outcome, attempt, started.elapsed());
            };
            tokio::time::sleep(pause).await;
            attempt += 1;
        }
    }

    async fn once(
        &self,
        api: &str,
        call: &'static str,
        authorization: &Secret,
        body: &serde_json::Value,
    ) -> Result<HttpResponse, WebError> {
        let request = Request::post(format!("{api}/b2api/v4/{call}"))
            .header(header::AUTHORIZATION, authorization.expose())
            .header(header::CONTENT_TYPE, "application/json")
            .header(
                header::USER_AGENT,
                concat!("medialift/", env!("CARGO_PKG_VERSION")),
            )
            .body(Full::new(Bytes::from(body.to_string())));
        match request {
            Ok(request) => self.web.send(request, LONGEST_RESPONSE).await,
            Err(source) => Err(WebError::Broken {
                authority: api.to_owned(),
                source: source.into(),
            }),
        }
    }
}

/// The pause before the call is retried; none where it must not be.
fn pause_before_retry(
    outcome: &Result<HttpResponse, WebError>,
    retry: RetryRule,
    attempt: u32,
) -> Option<Duration> {
    let doubling = FIRST_PAUSE * 2u32.pow(attempt - 1);
    let jittered = doubling.mul_f64(0.5 + fastrand::f64() / 2.0);
    match outcome {
        Err(error) => (retry == RetryRule::Always || error.never_arrived()).then_some(jittered),
        Ok(answer) => {
            let not_performed = matches!(
                answer.status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
            );
            let failing =
                answer.status.is_server_error() || answer.status == StatusCode::REQUEST_TIMEOUT;
            let may_be_retried = not_performed || (failing && retry == RetryRule::Always);
            if !may_be_retried {
                return None;
            }
            let asked = answer
                .header("retry-after")
                .and_then(|seconds| seconds.trim().parse().ok())
                .map(Duration::from_secs);
            Some(asked.unwrap_or(jittered)).filter(|pause| *pause <= LONGEST_PAUSE)
        }
    }
}

fn read<T: DeserializeOwned>(
    call: &'static str,
    outcome: Result<HttpResponse, WebError>,
    attempts: u32,
    elapsed: Duration,
) -> Result<T, CallError> {
    let answer = outcome.map_err(|source| CallError::NoAnswer {
        call,
        attempts,
        elapsed,
        source,
    })?;
    if answer.status.is_success() {
        return serde_json::from_slice(&answer.body)
            .map_err(|source| CallError::Unreadable { call, source });
    }
    let refusal: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
    Err(CallError::Refused {
        call,
        status: answer.status.as_u16(),
        code: refusal.code,
        message: match refusal.message {
            empty if empty.is_empty() => "no reason given".to_owned(),
            message => message,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(status: u16, retry_after: Option<&str>, retry: RetryRule, retried: bool) {
        let mut headers = http::HeaderMap::new();
        if let Some(value) = retry_after {
            headers.insert("retry-after", value.parse().unwrap());
        }
        let answer = HttpResponse {
            status: StatusCode::from_u16(status).unwrap(),
            headers,
            body: Bytes::new(),
            elapsed: Duration::ZERO,
        };
        let pause = pause_before_retry(&Ok(answer), retry, 1);
        assert_eq!(pause.is_some(), retried, "{status} {retry:?}");
    }

    #[test]
    fn busy_responses_are_retried_whatever_the_call() {
        for status in [429, 503] {
            check(status, None, RetryRule::Always, true);
            check(status, Some("2"), RetryRule::IfNotPerformed, true);
        }
    }

    #[test]
    fn a_call_that_creates_something_is_not_retried_when_it_may_have_been_performed() {
        for status in [408, 500, 502] {
            check(status, None, RetryRule::Always, true);
            check(status, None, RetryRule::IfNotPerformed, false);
        }
        let broken = || {
            Err(WebError::TimedOut {
                authority: "b2".to_owned(),
            })
        };
        assert!(pause_before_retry(&broken(), RetryRule::Always, 1).is_some());
        assert!(pause_before_retry(&broken(), RetryRule::IfNotPerformed, 1).is_none());
    }

    #[test]
    fn a_refusal_is_final_and_a_long_retry_after_is_not_waited_for() {
        for status in [400, 401, 403, 404] {
            check(status, None, RetryRule::Always, false);
        }
        check(503, Some("3600"), RetryRule::Always, false);
    }
}
