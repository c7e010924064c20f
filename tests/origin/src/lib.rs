//! An S3 server that behaves as Backblaze B2 does, bytes on disk, with faults on demand.
//!
//! The crate `s3s` has the protocol and the signature check; here is what makes it B2: its rules of
//! access, its refusals, its headers, and a storage that lists fast. It is for loopback only.
//!
//! Not modelled: B2's hidden versions (an overwritten object is gone), lifecycle rules, the check of the
//! region in a signature, and limits of an account (set a fault for those).
//!
//! Modules in reading order.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use s3s::auth::SecretKey;
use s3s::service::S3ServiceBuilder;
use tokio::net::TcpListener;

pub mod access;
pub mod bodies;
pub mod conditions;
pub mod content;
pub mod control;
pub mod counts;
pub mod faults;
pub mod front;
mod index;
pub mod journal;
pub mod listing;
pub mod objects;
pub mod options;
pub mod records;
pub mod refusals;
pub mod service;
pub mod store;
pub mod target;
mod tls;
pub mod uploads;

use self::options::Options;

/// Runs the origin until the process is ended.
///
/// # Errors
/// When the directory cannot be opened or an address cannot be had.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let dir = &options.dir;
    let store = store::Store::open(dir, &options.buckets, options.bodies)
        .with_context(|| format!("could not open the buckets under `{}`", dir.display()))?;
    let store = Arc::new(store);
    let service = service::Service {
        store: store.clone(),
        region: options.region.clone(),
        min_part_size: options.min_part_size,
    };
    let secret = |(id, secret): &(String, String)| (id.clone(), SecretKey::from(secret.as_str()));
    let mut builder = S3ServiceBuilder::new(service);
    builder.set_auth(access::Keys(options.keys.iter().map(secret).collect()));
    builder.set_access(access::Rules(store.clone()));
    let front = Arc::new(front::Front {
        s3: builder.build(),
        faults: faults::Faults::default(),
        counter: counts::Counter::default(),
        latency: Duration::from_millis(options.latency_ms),
    });
    let listen = |address| async move {
        TcpListener::bind(address)
            .await
            .with_context(|| format!("could not listen on `{address}`"))
    };
    let (s3, control) = (
        listen(options.listen).await?,
        listen(options.control).await?,
    );
    let encrypted = match &options.tls {
        Some(certificate) => Some((
            listen(SocketAddr::new(options.listen.ip(), 0)).await?,
            tls::acceptor(certificate)?,
        )),
        None => None,
    };
    let tls_address = encrypted
        .as_ref()
        .map(|(listener, _)| listener.local_addr())
        .transpose()?;
    let ready = serde_json::json!({
        "s3": format!("http://{}", s3.local_addr()?),
        "tls": tls_address.map(|address| format!("https://{address}")),
        "control": format!("http://{}", control.local_addr()?),
        "pid": std::process::id(),
    });
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{ready}")
        .and_then(|()| stdout.flush())
        .context("could not say that it is ready")?;
    let controller = Arc::new(control::Control {
        front: front.clone(),
        store,
    });
    let over_tls = async {
        match encrypted {
            Some((listener, tls)) => front::serve(front.clone(), listener, Some(tls)).await,
            None => Ok(()),
        }
    };
    tokio::try_join!(
        front::serve(front.clone(), s3, None),
        over_tls,
        control::serve(controller, control)
    )
    .context("a listening socket failed")?;
    Ok(())
}
