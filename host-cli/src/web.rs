//! HTTP requests whose response is read whole: to the native API, the files domain and the instance.
//!
//! Every request has a connection of its own: Backblaze recommends a new one for each retry, and a check
//! of a proxy must not depend on an earlier request. Leaves retries to the callers; requests to the
//! bucket have a client of their own in `s3`.

use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::body::Body;

use crate::transport::{Failure, Transport};

/// Longest wait for the first bytes of a response, and then for the next ones. The whole response has
/// no limit: its time depends on the link.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// A client that trusts the system's certificates, or Mozilla's where the system has none.
#[derive(Clone, Debug)]
pub struct Web {
    transport: Transport,
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct HttpResponse {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// Time from sending the request to the last byte of the response.
    pub elapsed: Duration,
}

impl HttpResponse {
    /// The value of a header where it is text; several lines are joined by commas.
    pub fn header(&self, name: &str) -> Option<String> {
        let values: Vec<&str> = self
            .headers
            .get_all(name)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// No connection: the request did not reach the server.
    #[error("no connection to `{authority}`")]
    Connect {
        /// Host and port.
        authority: String,
        /// The error of the connection.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The connection broke; the server may have processed the request.
    #[error("the connection to `{authority}` broke")]
    Broken {
        /// Host and port.
        authority: String,
        /// The error of the connection.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No data for too long; the server may have processed the request.
    #[error("`{authority}` sent nothing for {} seconds", IDLE_TIMEOUT.as_secs())]
    TimedOut {
        /// Host and port.
        authority: String,
    },
    /// The body is longer than the caller's limit.
    #[error("the response of `{authority}` is longer than {limit} bytes")]
    TooLong {
        /// Host and port.
        authority: String,
        /// The limit in bytes.
        limit: usize,
    },
}

impl WebError {
    /// Whether the request did not reach the server.
    pub fn never_arrived(&self) -> bool {
        matches!(self, WebError::Connect { .. })
    }
}

impl Default for Web {
    fn default() -> Self {
        Self::new()
    }
}

impl Web {
    /// Creates the client. Nothing is sent.
    pub fn new() -> Self {
        match Transport::new() {
            Ok(transport) => Web { transport },
            // The ring provider always supports TLS 1.2 and 1.3, so this cannot fail.
            Err(impossible) => unreachable!("{impossible:?}"),
        }
    }

    /// Sends `request` and reads the whole response, of at most `limit` bytes of body.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<HttpResponse, WebError> {
        let authority = request
            .uri()
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default();
        let started = Instant::now();
        let request = request.map(|body| body.map_err(|never| match never {}).boxed_unsync());
        let response = in_time(self.transport.send(request, true), &authority).await?;
        let response = response.map_err(|failure| {
            let authority = authority.clone();
            match failure {
                Failure::Connect(cause) | Failure::Tls(cause) => WebError::Connect {
                    authority,
                    source: cause.into(),
                },
                Failure::Broken(cause) => WebError::Broken {
                    authority,
                    source: cause.into(),
                },
                Failure::Local(error) => WebError::Broken {
                    authority,
                    source: error.into(),
                },
            }
        })?;
        let (head, body) = response.into_parts();
        let body = whole(body, limit, &authority).await?;
        Ok(HttpResponse {
            status: head.status,
            headers: head.headers,
            body,
            elapsed: started.elapsed(),
        })
    }
}

async fn in_time<T>(wait: impl Future<Output = T>, authority: &str) -> Result<T, WebError> {
    tokio::time::timeout(IDLE_TIMEOUT, wait)
        .await
        .map_err(|_| WebError::TimedOut {
            authority: authority.to_owned(),
        })
}

/// The whole of a body of at most `limit` bytes. Only the wait for the next bytes has a time limit.
async fn whole<B>(body: B, limit: usize, authority: &str) -> Result<Bytes, WebError>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut body = Limited::new(body, limit);
    let mut bytes = BytesMut::new();
    while let Some(frame) = in_time(body.frame(), authority).await? {
        let frame = frame.map_err(|source| {
            let authority = authority.to_owned();
            if source.is::<LengthLimitError>() {
                WebError::TooLong { authority, limit }
            } else {
                WebError::Broken { authority, source }
            }
        })?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    Ok(bytes.freeze())
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;
    use http_body_util::StreamBody;
    use hyper::body::Frame;

    use super::*;

    /// A body of `pieces` pieces of ten bytes, one every `seconds`.
    fn slow_body(pieces: u32, seconds: u64) -> impl Body<Data = Bytes, Error = Infallible> + Unpin {
        let pieces = stream::unfold(0, move |done| async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            let piece = Frame::data(Bytes::from_static(b"0123456789"));
            (done < pieces).then_some((Ok(piece), done + 1))
        });
        StreamBody::new(Box::pin(pieces))
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_response_is_awaited_and_a_silent_one_is_not() {
        let slow = whole(slow_body(100, 29), 1000, "a").await.unwrap();
        assert_eq!(slow.len(), 1000);
        let silent = whole(slow_body(100, 31), 1000, "a").await.unwrap_err();
        assert!(matches!(silent, WebError::TimedOut { .. }), "{silent}");
        let long = whole(slow_body(100, 1), 999, "a").await.unwrap_err();
        assert!(matches!(long, WebError::TooLong { .. }), "{long}");
    }
}
