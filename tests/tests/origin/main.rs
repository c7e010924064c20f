//! The B2-like origin: that it is S3, that it is B2, that its faults happen, that it keeps what it answered.

use e2e::client::Client;
use testkit::stack::{Origin, OriginOptions};

mod access;
mod clients;
mod disk;
mod faults;
mod objects;

/// An origin with a public bucket `media` and a private bucket `closed`.
fn origin() -> Origin {
    let buckets = vec!["media=public".to_owned(), "closed=private".to_owned()];
    Origin::start(OriginOptions {
        buckets,
        ..OriginOptions::default()
    })
    .expect("the origin starts")
}

fn signing(origin: &Origin) -> Client {
    Client::signing(&origin.s3_url, OriginOptions::KEY_ID, OriginOptions::KEY)
}

fn anonymous(origin: &Origin) -> Client {
    Client::anonymous(&origin.s3_url)
}
