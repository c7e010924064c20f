//! One call of the native API: sent, repeated where that is safe, and read.
//!
//! Backblaze asks for retries on 408, 429 and 5xx, each on a new connection, after `Retry-After`
//! or a wait that doubles. A call that makes something is repeated only when the service cannot
//! have performed it: a second key would be made by a second call.

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

const ATTEMPTS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_secs(1);
/// Longer than this is not waited for: a person is at the keyboard.
const LONGEST_WAIT: Duration = Duration::from_secs(32);
/// The longest answer is a page of 1,000 keys, some 500 bytes each.
const LONGEST_ANSWER: usize = 4 << 20;

/// Why a call did not do what it was for.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The service understood and said no, or kept failing.
    #[error("`{call}` was refused: {message} (status {status}, code `{code}`)")]
    Refused {
        /// The call's name.
        call: &'static str,
        /// HTTP status.
        status: u16,
        /// The service's code, such as `duplicate_bucket_name`.
        code: String,
        /// The service's words.
        message: String,
    },
    /// No answer.
    #[error("`{call}` got no answer in {attempts} attempts over {} seconds", elapsed.as_secs())]
    NoAnswer {
        /// The call's name.
        call: &'static str,
        /// How often it was sent.
        attempts: u32,
        /// From the first attempt to giving up.
        elapsed: Duration,
        /// The last attempt's fault.
        #[source]
        source: WebError,
    },
    /// The answer is not what the documentation says.
    #[error("`{call}` answered what cannot be read")]
    Unreadable {
        /// The call's name.
        call: &'static str,
        /// Where it stops making sense.
        #[source]
        source: serde_json::Error,
    },
    /// The answer names an address that must not be used.
    #[error("`{call}` answered `{url}` as {what}, which is no safe address")]
    Unusable {
        /// The call's name.
        call: &'static str,
        /// Which field.
        what: &'static str,
        /// What it held.
        url: String,
    },
}

impl CallError {
    /// The service's code, where it answered with one.
    pub fn code(&self) -> Option<&str> {
        match self {
            CallError::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// The HTTP status, where there was an answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            CallError::Refused { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// What the person can do about it.
    pub fn hint(&self) -> String {
        match self {
            CallError::Refused { status: 401, .. } => "check the key and its id: copy both once more, without anything around them; a deleted key looks like this too".to_owned(),
            CallError::Refused { status: 403, code, .. } if code.ends_with("cap_exceeded") => {
                "a cap of the account is reached: raise it under Caps & Alerts in the web console".to_owned()
            }
            CallError::Refused { status, .. } if *status == 429 || *status >= 500 => {
                "the service is busy: wait a few minutes and run the same command again".to_owned()
            }
            CallError::Refused { .. } => "the service's own words say what is wrong; nothing else was changed".to_owned(),
            CallError::NoAnswer { .. } => "check this machine's network and name resolution, then run the same command again: what is already there is found, not made twice".to_owned(),
            CallError::Unreadable { .. } | CallError::Unusable { .. } => {
                "check the address of the native API (`b2_api` in the configuration): something else may be answering there".to_owned()
            }
        }
    }
}

/// When a call may be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It changes nothing.
    Freely,
    /// It makes something: only after an answer or a fault that means it was not performed.
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
            Repeat::Freely,
            &body,
        )
        .await
    }

    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        api: &str,
        call: &'static str,
        authorization: &Secret,
        repeat: Repeat,
        body: &serde_json::Value,
    ) -> Result<T, CallError> {
        let started = Instant::now();
        let mut attempt = 1;
        loop {
            let outcome = self.once(api, call, authorization, body).await;
            let wait = if attempt < ATTEMPTS {
                wait_before_repeat(&outcome, repeat, attempt)
            } else {
                None
            };
            let Some(wait) = wait else {
                return read(call, outcome, attempt, started.elapsed());
            };
            tokio::time::sleep(wait).await;
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
            Ok(request) => self.web.send(request, LONGEST_ANSWER).await,
            Err(source) => Err(WebError::Broken {
                authority: api.to_owned(),
                source: source.into(),
            }),
        }
    }
}

/// How long to wait before sending the call again; `None` when it must not be.
fn wait_before_repeat(
    outcome: &Result<HttpResponse, WebError>,
    repeat: Repeat,
    attempt: u32,
) -> Option<Duration> {
    let doubling = FIRST_WAIT * 2u32.pow(attempt - 1);
    let jittered = doubling.mul_f64(0.5 + fastrand::f64() / 2.0);
    match outcome {
        Err(error) => (repeat == Repeat::Freely || error.never_arrived()).then_some(jittered),
        Ok(answer) => {
            let not_performed = matches!(
                answer.status,
                StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
            );
            let failing =
                answer.status.is_server_error() || answer.status == StatusCode::REQUEST_TIMEOUT;
            let may_be_repeated = not_performed || (failing && repeat == Repeat::Freely);
            if !may_be_repeated {
                return None;
            }
            let asked = answer
                .header("retry-after")
                .and_then(|seconds| seconds.trim().parse().ok())
                .map(Duration::from_secs);
            Some(asked.unwrap_or(jittered)).filter(|wait| *wait <= LONGEST_WAIT)
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
    fn check(status: u16, retry_after: Option<&str>, repeat: Repeat, repeated: bool) {
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
        let wait = wait_before_repeat(&Ok(answer), repeat, 1);
        assert_eq!(wait.is_some(), repeated, "{status} {repeat:?}");
    }

    #[test]
    fn busy_answers_are_repeated_whatever_the_call() {
        for status in [429, 503] {
            check(status, None, Repeat::Freely, true);
            check(status, Some("2"), Repeat::IfNotPerformed, true);
        }
    }

    #[test]
    fn a_call_that_makes_something_is_not_repeated_when_it_may_have_been_performed() {
        for status in [408, 500, 502] {
            check(status, None, Repeat::Freely, true);
            check(status, None, Repeat::IfNotPerformed, false);
        }
        let broken = || {
            Err(WebError::TimedOut {
                authority: "b2".to_owned(),
            })
        };
        assert!(wait_before_repeat(&broken(), Repeat::Freely, 1).is_some());
        assert!(wait_before_repeat(&broken(), Repeat::IfNotPerformed, 1).is_none());
    }

    #[test]
    fn a_refusal_is_final_and_nobody_waits_an_hour() {
        for status in [400, 401, 403, 404] {
            check(status, None, Repeat::Freely, false);
        }
        check(503, Some("3600"), Repeat::Freely, false);
    }
}
