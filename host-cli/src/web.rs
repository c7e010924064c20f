//! A plain HTTP client for the two places that are not the bucket: the native API and the files
//! domain.
//!
//! Every request has a connection of its own. Backblaze asks for a new one on each retry, and a
//! check of a proxy should not depend on what the last request left behind. Retries are left to
//! the callers, who know what may be repeated; the bucket has its own client in `s3`.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Longest wait for one whole exchange.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A client that trusts the system's certificates, or Mozilla's where the system has none.
#[derive(Clone, Debug)]
pub struct Web {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, complete.
    pub body: Bytes,
    /// From the first byte sent to the last received.
    pub elapsed: Duration,
}

impl Answer {
    /// A header's value where it has one that is text; several lines are joined as HTTP allows.
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

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// No connection: nothing reached the server.
    #[error("no connection to `{authority}`")]
    Connect {
        /// Host and port.
        authority: String,
        /// What the network said.
        #[source]
        source: hyper_util::client::legacy::Error,
    },
    /// The connection broke; the server may or may not have acted.
    #[error("the connection to `{authority}` broke")]
    Broken {
        /// Host and port.
        authority: String,
        /// What the network said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// No whole answer in time; the server may or may not have acted.
    #[error("`{authority}` did not answer within {} seconds", TIMEOUT.as_secs())]
    TimedOut {
        /// Host and port.
        authority: String,
    },
    /// The body is longer than the caller asked for.
    #[error("`{authority}` answered more than {limit} bytes")]
    TooLong {
        /// Host and port.
        authority: String,
        /// What the caller would take.
        limit: usize,
    },
}

impl WebError {
    /// Whether the server cannot have seen the request.
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
    /// Makes the client. Nothing is sent.
    pub fn new() -> Self {
        let provider = rustls::crypto::ring::default_provider();
        let builder = HttpsConnectorBuilder::new();
        let builder = match builder.with_provider_and_native_roots(provider.clone()) {
            Ok(builder) => builder,
            // The ring provider always supports TLS 1.2 and 1.3, so this cannot fail.
            Err(_) => match HttpsConnectorBuilder::new().with_provider_and_webpki_roots(provider) {
                Ok(builder) => builder,
                Err(impossible) => unreachable!("{impossible}"),
            },
        };
        let connector = builder.https_or_http().enable_http1().build();
        let client = Client::builder(TokioExecutor::new())
            .pool_max_idle_per_host(0)
            .retry_canceled_requests(false)
            .build(connector);
        Web { client }
    }

    /// Sends `request` and reads the whole answer, at most `limit` bytes of body.
    pub async fn send(
        &self,
        request: Request<Full<Bytes>>,
        limit: usize,
    ) -> Result<Answer, WebError> {
        let authority = request
            .uri()
            .authority()
            .map(ToString::to_string)
            .unwrap_or_default();
        match tokio::time::timeout(TIMEOUT, self.exchange(request, limit, &authority)).await {
            Ok(result) => result,
            Err(_) => Err(WebError::TimedOut { authority }),
        }
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        limit: usize,
        authority: &str,
    ) -> Result<Answer, WebError> {
        let authority = || authority.to_owned();
        let started = Instant::now();
        let response = self.client.request(request).await.map_err(|source| {
            if source.is_connect() {
                WebError::Connect {
                    authority: authority(),
                    source,
                }
            } else {
                WebError::Broken {
                    authority: authority(),
                    source: source.into(),
                }
            }
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, limit)
            .collect()
            .await
            .map_err(|source| {
                if source.is::<LengthLimitError>() {
                    WebError::TooLong {
                        authority: authority(),
                        limit,
                    }
                } else {
                    WebError::Broken {
                        authority: authority(),
                        source,
                    }
                }
            })?
            .to_bytes();
        Ok(Answer {
            status: head.status,
            headers: head.headers,
            body,
            elapsed: started.elapsed(),
        })
    }
}
