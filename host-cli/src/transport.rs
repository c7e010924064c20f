//! The HTTP transport: pooled connections, and a new connection for requests that must not depend on an
//! earlier one.
//!
//! Leaves to others: the requests, time limits and retries.

use std::error::Error as _;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error as ClientError};
use hyper_util::rt::{TokioExecutor, TokioTimer};

/// The body of a request; it fails where reading its local file fails.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

type Pool = Client<HttpsConnector<HttpConnector>, RequestBody>;

/// Why there is no response.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No connection: name not found, refused, unreachable. The request did not reach the server.
    Connect(String),
    /// TLS failed: certificate or protocol.
    Tls(String),
    /// The connection broke before the response was complete.
    Broken(String),
    /// The body could not be read from its file.
    Local(io::Error),
}

/// Sends requests. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    pooled: Pool,
    /// Keeps no idle connections: Backblaze recommends a new connection after an error, because it reaches
    /// another server.
    fresh: Pool,
}

impl Transport {
    /// Trusts the system's certificates, or Mozilla's where the system has none. Sends nothing.
    pub(crate) fn new() -> Result<Self, Failure> {
        let provider = rustls::crypto::ring::default_provider;
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(Duration::from_secs(10)));
        http.set_keepalive(Some(Duration::from_secs(60)));
        // Without a certificate store the compiled-in list is used.
        let builder = match HttpsConnectorBuilder::new().with_provider_and_native_roots(provider())
        {
            Ok(builder) => builder,
            Err(_) => HttpsConnectorBuilder::new()
                .with_provider_and_webpki_roots(provider())
                .map_err(|e| Failure::Tls(e.to_string()))?,
        };
        let connector = builder.https_or_http().enable_http1().wrap_connector(http);
        let build = |idle: usize| -> Pool {
            Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(Duration::from_secs(30))
                .pool_max_idle_per_host(idle)
                .http1_max_buf_size(64 * 1024)
                .build(connector.clone())
        };
        Ok(Transport {
            pooled: build(usize::MAX),
            fresh: build(0),
        })
    }

    /// Sends `request`; with `fresh`, on a new connection.
    pub(crate) async fn send(
        &self,
        request: Request<RequestBody>,
        fresh: bool,
    ) -> Result<Response<Incoming>, Failure> {
        let pool = if fresh { &self.fresh } else { &self.pooled };
        pool.request(request).await.map_err(|e| classify(&e))
    }
}

/// Classifies an error of the client by its causes.
fn classify(error: &ClientError) -> Failure {
    let mut tls = false;
    let mut local = None;
    let mut causes: Vec<String> = Vec::new();
    let mut source = error.source();
    while let Some(e) = source {
        // The causes of an `io::Error` are those of its content, without the content itself.
        let mut content = e.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        while let Some(inner) = content {
            tls |= inner.is::<rustls::Error>();
            if let Some(failure) = inner.downcast_ref::<LocalFailure>() {
                local = Some(io::Error::new(failure.0.kind(), failure.0.to_string()));
            }
            content = inner
                .downcast_ref::<io::Error>()
                .and_then(io::Error::get_ref);
        }
        tls |= e.is::<rustls::Error>();
        let text = e.to_string();
        if !causes.iter().any(|known| known.contains(&text)) {
            causes.push(text);
        }
        source = e.source();
    }
    if let Some(local) = local {
        return Failure::Local(local);
    }
    // The last cause is specific; the others only say "client error".
    let cause = causes.pop().unwrap_or_else(|| error.to_string());
    match (tls, error.is_connect()) {
        (true, _) => Failure::Tls(cause),
        (_, true) => Failure::Connect(cause),
        _ => Failure::Broken(cause),
    }
}

/// Marks an error of reading the local file of a body, to distinguish it from errors of the connection.
#[derive(Debug)]
pub(crate) struct LocalFailure(pub(crate) io::Error);

impl std::fmt::Display for LocalFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for LocalFailure {}
