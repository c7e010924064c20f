//! Faults on demand: what is to go wrong, for which requests, how often.
//!
//! Leaves to others: doing it ([`super::front`]).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::target::Target;

/// A kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FaultKind {
    /// Waits `latency_ms`, then goes on as if nothing were.
    Latency,
    /// `503 SlowDown`, with `Retry-After` if `retry_after` is set.
    SlowDown,
    /// `429 TooManyRequests`, likewise.
    TooManyRequests,
    /// `500 InternalError`.
    InternalError,
    /// `403 AccessDenied`: a cap of the account is used up.
    CapExceeded,
    /// `403 InvalidAccessKeyId`: the key was revoked.
    Revoked,
    /// `403 RequestTimeTooSkewed`: the client's clock is off.
    SkewedClock,
    /// The connection is reset: at once, or after `after_bytes` of the request's body.
    Reset,
    /// The answer's body ends after `after_bytes` (default: half of it) and the connection closes.
    Truncate,
    /// One byte of the answer's body is changed.
    Corrupt,
    /// No answer, ever.
    Hang,
    /// `200` with a web page, as a portal on the way answers; nothing is done.
    Portal,
    /// What is asked for is done, and the same page comes in place of the answer.
    LostAnswer,
    /// The given `status`, with an S3 error body that says `code`.
    Status,
}

/// One fault, as the control endpoint takes and shows it. Fields that are not set do not narrow it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// Share of matching requests that it happens to, 0 to 1; all of them if neither this, `next`
    /// nor `max_per_second` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate: Option<f64>,
    /// How many more matching requests it happens to; spent, it is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
    /// It happens to those matching requests that exceed this number within one second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_per_second: Option<u64>,
    /// How many matching requests it spares first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spare: Option<u64>,
    /// Only requests of this HTTP method.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Only this S3 operation, such as `UploadPart`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Only objects whose key begins with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_prefix: Option<String>,
    /// Milliseconds to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<u64>,
    /// Seconds of the `Retry-After` header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Bytes of the body that still pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_bytes: Option<u64>,
    /// The answer's status, for [`FaultKind::Status`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The S3 error code, for [`FaultKind::Status`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// What one request is to suffer.
#[derive(Debug, Default)]
pub struct Verdict {
    /// How long it waits first.
    pub delay: Duration,
    /// What then happens to it, if anything.
    pub fault: Option<Fault>,
}

/// The faults that are set.
#[derive(Default)]
pub struct Faults(Mutex<Vec<Armed>>);

struct Armed {
    fault: Fault,
    window: Instant,
    in_window: u64,
}

impl Faults {
    /// Adds faults to those that are set. The first one that applies to a request happens; delays add up.
    pub fn add(&self, faults: impl IntoIterator<Item = Fault>) {
        let arm = |fault| Armed {
            fault,
            window: Instant::now(),
            in_window: 0,
        };
        self.lock().extend(faults.into_iter().map(arm));
    }

    /// Removes all of them.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// Those that are set and not yet spent.
    pub fn list(&self) -> Vec<Fault> {
        self.lock()
            .iter()
            .map(|armed| armed.fault.clone())
            .collect()
    }

    /// Decides what happens to a request.
    pub fn judge(&self, method: &str, target: &Target) -> Verdict {
        let mut verdict = Verdict::default();
        let mut faults = self.lock();
        for armed in faults
            .iter_mut()
            .filter(|armed| armed.concerns(method, target))
        {
            let waits = armed.fault.kind == FaultKind::Latency;
            if (!waits && verdict.fault.is_some()) || !armed.happens() {
                continue;
            }
            if waits {
                verdict.delay += Duration::from_millis(armed.fault.latency_ms.unwrap_or(100));
            } else {
                verdict.fault = Some(armed.fault.clone());
            }
        }
        faults.retain(|armed| armed.fault.next != Some(0));
        verdict
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Armed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Armed {
    fn concerns(&self, method: &str, target: &Target) -> bool {
        let fault = &self.fault;
        fault
            .method
            .as_deref()
            .is_none_or(|wanted| wanted.eq_ignore_ascii_case(method))
            && fault
                .operation
                .as_deref()
                .is_none_or(|wanted| wanted == target.operation)
            && fault
                .key_prefix
                .as_deref()
                .is_none_or(|prefix| target.key.starts_with(prefix))
    }

    fn happens(&mut self) -> bool {
        if let Some(spare @ 1..) = &mut self.fault.spare {
            *spare -= 1;
            return false;
        }
        if let Some(limit) = self.fault.max_per_second {
            if self.window.elapsed() >= Duration::from_secs(1) {
                self.window = Instant::now();
                self.in_window = 0;
            }
            self.in_window += 1;
            if self.in_window <= limit {
                return false;
            }
        }
        if let Some(rate) = self.fault.rate
            && fastrand::f64() >= rate
        {
            return false;
        }
        if let Some(next) = &mut self.fault.next {
            if *next == 0 {
                return false;
            }
            *next -= 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(key: &str) -> Target {
        Target {
            bucket: "media".to_owned(),
            key: key.to_owned(),
            operation: "PutObject",
        }
    }

    fn faults(json: &str) -> Faults {
        let faults = Faults::default();
        faults.add([serde_json::from_str(json).expect("fault")]);
        faults
    }

    #[test]
    fn the_next_n_matching_requests_get_the_fault_and_no_other() {
        let faults =
            faults(r#"{"kind":"internal_error","next":2,"method":"PUT","key_prefix":"a/"}"#);
        let hit = |method, key| faults.judge(method, &target(key)).fault.is_some();
        assert!(!hit("GET", "a/x"));
        assert!(!hit("PUT", "b"));
        assert!(hit("PUT", "a/x"));
        assert!(hit("PUT", "a/y"));
        assert!(!hit("PUT", "a/z"));
        assert!(faults.list().is_empty());
    }

    #[test]
    fn the_first_n_are_spared() {
        let faults = faults(r#"{"kind":"hang","spare":2}"#);
        let hit = || faults.judge("PUT", &target("a")).fault.is_some();
        assert_eq!([hit(), hit(), hit(), hit()], [false, false, true, true]);
    }

    #[test]
    fn requests_beyond_the_rate_of_a_second_get_the_fault() {
        let faults = faults(r#"{"kind":"slow_down","max_per_second":5}"#);
        let hits = (0..8)
            .filter(|_| faults.judge("PUT", &target("a")).fault.is_some())
            .count();
        assert_eq!(hits, 3);
    }

    #[test]
    fn delays_add_up_and_come_before_the_first_other_fault() {
        let faults = faults(r#"{"kind":"latency","latency_ms":30}"#);
        faults.add(
            serde_json::from_str::<Vec<Fault>>(
                r#"[{"kind":"reset","rate":1.0},{"kind":"hang"},{"kind":"latency","latency_ms":12}]"#,
            )
            .expect("faults"),
        );
        let verdict = faults.judge("PUT", &target("a"));
        assert_eq!(verdict.delay, Duration::from_millis(42));
        assert_eq!(
            verdict.fault.map(|fault| fault.kind),
            Some(FaultKind::Reset)
        );
    }

    #[test]
    fn a_fault_with_a_misspelt_field_is_refused() {
        assert!(serde_json::from_str::<Fault>(r#"{"kind":"reset","nxt":1}"#).is_err());
    }
}
