//! The one HTTP transport: a pool of connections for ordinary requests, and a connection of its own for
//! whatever must not depend on an earlier one.
//!
//! Leaves to others: what is sent, how long an answer is waited for, and what is tried again.

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

/// Body of every request; it fails where the local file does.
pub(crate) type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

type Pool = Client<HttpsConnector<HttpConnector>, RequestBody>;

/// Why no answer came.
#[derive(Debug)]
pub(crate) enum Failure {
    /// No connection: name not found, refused, unreachable. Nothing reached the server.
    Connect(String),
    /// The connection is not trusted: certificate or protocol.
    Tls(String),
    /// The connection broke before the answer was whole.
    Broken(String),
    /// The body could not be read from its file.
    Local(io::Error),
}

/// Sends requests. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Transport {
    pooled: Pool,
    /// Keeps no connection: Backblaze asks for a new one after an error, since it leads to
    /// another of its servers.
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
        // A machine without a certificate store still has the list compiled in.
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

    /// Sends `request`, `fresh` on a connection of its own.
    pub(crate) async fn send(
        &self,
        request: Request<RequestBody>,
        fresh: bool,
    ) -> Result<Response<Incoming>, Failure> {
        let pool = if fresh { &self.fresh } else { &self.pooled };
        pool.request(request).await.map_err(|e| classify(&e))
    }
}

/// Tells a name that is not found, an untrusted certificate, a broken connection and a local file
/// that cannot be read from each other.
fn classify(error: &ClientError) -> Failure {
    let mut tls = false;
    let mut local = None;
    let mut words: Vec<String> = Vec::new();
    let mut source = error.source();
    while let Some(e) = source {
        // An `io::Error` shows its content's causes as its own, and not the content itself.
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
        let word = e.to_string();
        if !words.iter().any(|known| known.contains(&word)) {
            words.push(word);
        }
        source = e.source();
    }
    if let Some(local) = local {
        return Failure::Local(local);
    }
    // The last cause is the one that tells something; the others repeat "client error".
    let cause = words.pop().unwrap_or_else(|| error.to_string());
    match (tls, error.is_connect()) {
        (true, _) => Failure::Tls(cause),
        (_, true) => Failure::Connect(cause),
        _ => Failure::Broken(cause),
    }
}

/// Marks an error of the local file inside a request's body, so that it is not taken for one of
/// the connection.
#[derive(Debug)]
pub(crate) struct LocalFailure(pub(crate) io::Error);

impl std::fmt::Display for LocalFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for LocalFailure {}
