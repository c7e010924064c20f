//! The bucket, asked with `fetch`: addresses, signatures, timeouts, one more try, and the host that
//! is asked for what the bucket lacks.

use crate::admission::ObjectKey;
use crate::bridge;
use crate::engine::{Origin, OriginAnswer};
use crate::policy::fields::Fields;
use crate::policy::plan::{self, Cause};
use crate::runtime;
use crate::settings::{OriginAuth, Settings};
use crate::signing;
use crate::store::Stream;
use crate::task;
use std::rc::Rc;
use wasm_bindgen::JsCast;
use web_sys::Response;

/// How long the origin may take to the headers of its answer, in milliseconds. nginx waits 60 s;
/// a reader of media has given up long before.
pub const ANSWER_TIMEOUT_MILLISECONDS: u32 = 20_000;

/// The codings that the runtime takes off a body.
const DECODED: [&str; 2] = ["gzip", "br"];

/// How long to wait before asking once more, in milliseconds.
const RETRY_PAUSE_MILLISECONDS: u64 = 200;

/// The bucket, and the fallback host behind it.
#[derive(Clone, Debug)]
pub struct Bucket {
    settings: Rc<Settings>,
}

impl Bucket {
    /// The bucket that the settings name.
    #[must_use]
    pub const fn new(settings: Rc<Settings>) -> Self {
        Self { settings }
    }

    async fn ask_bucket(
        &self,
        key: &ObjectKey,
        conditions: &[(&'static str, String)],
    ) -> Result<OriginAnswer<Stream>, Cause> {
        let mut url = self.settings.origin_url.clone();
        url.push_str(&key.s3_path());
        let mut fields: Fields = conditions
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        if let OriginAuth::SigV4 {
            key_id,
            key,
            region,
        } = &self.settings.origin_auth
        {
            for (name, value) in
                signing::sign_get(&url, key_id, key.expose(), region, runtime::now())
            {
                fields.push(&name, value);
            }
        }
        ask(&url, &fields).await
    }

    /// Asks the bucket; once more where it could not answer and no stored copy stands ready, for
    /// B2 answers 500 and 503 in the course of normal work.
    async fn ask_twice(
        &self,
        key: &ObjectKey,
        conditions: &[(&'static str, String)],
    ) -> Result<OriginAnswer<Stream>, Cause> {
        let first = self.ask_bucket(key, conditions).await;
        let fault = match &first {
            Ok(answer) => plan::fault_in(answer.status, &answer.fields, &[]),
            Err(cause) => Some(*cause),
        };
        let worth_it = matches!(
            fault,
            Some(Cause::Connect | Cause::ServerError(_) | Cause::SlowDown(503))
        );
        if !worth_it || !conditions.is_empty() {
            return first;
        }
        drop(first);
        task::pause(RETRY_PAUSE_MILLISECONDS).await;
        self.ask_bucket(key, conditions).await
    }
}

impl Origin for Bucket {
    type Body = Stream;

    async fn fetch(
        &self,
        key: &ObjectKey,
        conditions: &[(&'static str, String)],
    ) -> Result<OriginAnswer<Stream>, Cause> {
        let answer = self.ask_twice(key, conditions).await?;
        let Some(fallback) = self
            .settings
            .fallback_origin
            .as_ref()
            .filter(|_| answer.status == 404)
        else {
            return Ok(answer);
        };
        let path = key.s3_path();
        let url = format!(
            "{fallback}/{}",
            &path[1 + encoded_length(&self.settings.key_prefix)..]
        );
        let conditions: Fields = conditions
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        // A host that cannot answer has not said that it lacks the object: taken for a 404, that
        // would delete a stored copy, or be remembered.
        let found = ask(&url, &conditions).await?;
        if let Some(cause) = plan::fault_in(found.status, &found.fields, &[]) {
            return Err(cause);
        }
        // The bucket's own word stands where the fallback has no better one.
        let better = matches!(found.status, 200 | 304);
        Ok(if better { found } else { answer })
    }
}

/// How long a prefix of a key is in [`ObjectKey::s3_path`], in bytes.
fn encoded_length(prefix: &str) -> usize {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte);
    prefix
        .bytes()
        .map(|byte| if bare(byte) { 1 } else { 3 })
        .sum()
}

/// One request, with nothing of the reader's own headers.
async fn ask(url: &str, fields: &Fields) -> Result<OriginAnswer<Stream>, Cause> {
    let promise = bridge::ask_origin(url, fields, ANSWER_TIMEOUT_MILLISECONDS);
    let response: Response = task::settled(&promise)
        .await
        .map_err(|error| cause_of(&error))?
        .unchecked_into();
    Ok(OriginAnswer {
        status: response.status(),
        fields: as_read(bridge::fields_of(&response)),
        body: Stream::of(&response),
    })
}

/// The fields of the body as it is read. The runtime decodes what is stored compressed as soon as it
/// is read by anyone but a client, so for us it never was: of that length, and in that coding.
fn as_read(mut fields: Fields) -> Fields {
    let is_decoded = fields
        .get("content-encoding")
        .is_some_and(|coding| DECODED.iter().any(|name| coding.eq_ignore_ascii_case(name)));
    if is_decoded {
        fields.remove("Content-Encoding");
        fields.remove("Content-Length");
    }
    fields
}

fn cause_of(error: &wasm_bindgen::JsValue) -> Cause {
    if bridge::error_text(error).starts_with("AbortError") {
        Cause::Timeout
    } else {
        Cause::Connect
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_runtime_decodes_has_neither_coding_nor_length() {
        let fields = |coding: &str| {
            as_read(Fields::from_iter([
                ("Content-Encoding", coding),
                ("Content-Length", "5"),
            ]))
        };
        assert_eq!(fields("GZIP"), Fields::new());
        assert_eq!(fields("x-unknown").content_length(), Some(5));
    }
}
