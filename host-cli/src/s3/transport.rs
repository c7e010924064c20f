//! Connections: a pool for ordinary requests, and none at all for retries.

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

use super::error::ErrorKind;
use super::patience::Life;

/// Body of every request; it fails where the local file does.
pub(super) type RequestBody = UnsyncBoxBody<Bytes, io::Error>;

type Pool = Client<HttpsConnector<HttpConnector>, RequestBody>;

/// Sends requests. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    pooled: Pool,
    /// Keeps no connection: Backblaze asks for a new one after an error, since it leads to
    /// another of its servers.
    fresh: Pool,
}

impl Transport {
    pub(super) fn new() -> Result<Self, ErrorKind> {
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
                .map_err(|e| ErrorKind::Tls(e.to_string()))?,
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

    /// Sends `request`, `fresh` on a connection of its own, and gives up where `life` shows none.
    pub(super) async fn send(
        &self,
        request: Request<RequestBody>,
        fresh: bool,
        life: &Life,
    ) -> Result<Response<Incoming>, ErrorKind> {
        let pool = if fresh { &self.fresh } else { &self.pooled };
        life.watch(pool.request(request))
            .await?
            .map_err(|e| classify(&e))
    }
}

/// Tells a name that is not found, an untrusted certificate, a broken connection and a local file
/// that cannot be read from each other.
fn classify(error: &ClientError) -> ErrorKind {
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
        return ErrorKind::Local(local);
    }
    // The last cause is the one that tells something; the others repeat "client error".
    let cause = words.pop().unwrap_or_else(|| error.to_string());
    match (tls, error.is_connect()) {
        (true, _) => ErrorKind::Tls(cause),
        (_, true) => ErrorKind::Connect(cause),
        _ => ErrorKind::Broken(cause),
    }
}

/// Marks an error of the local file inside a request's body, so that it is not taken for one of
/// the connection.
#[derive(Debug)]
pub(super) struct LocalFailure(pub(super) io::Error);

impl std::fmt::Display for LocalFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for LocalFailure {}
