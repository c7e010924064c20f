//! Objects of our own in the bucket, to be read through the files domain and removed at the end.

use bytes::Bytes;
use md5::{Digest, Md5};

use crate::s3::{Body, Client, PutRequest, S3Error};

/// Where probes go, under the key prefix.
const FOLDER: &str = "medialift-probe";
/// Long enough for ranges, short enough to cost nothing.
const LENGTH: usize = 20_000;
/// What probes say they are. A type of its own shows that it was kept on the way.
pub const CONTENT_TYPE: &str = "application/x-medialift-probe";

/// The probes of one run. Every name is new, so that no cache knows it.
#[derive(Clone, Debug)]
pub struct Probes {
    /// The bytes of each.
    pub body: Bytes,
    /// Read whole first.
    pub plain: String,
    /// Its first read is a range.
    pub cold_range: String,
    /// A name with a space, a letter beyond ASCII, `+` and `%`.
    pub odd_name: String,
    /// In the folder of account archives, and in that of imported lists of follows: nobody may read them.
    pub denied: [String; 2],
    /// Never uploaded.
    pub missing: String,
    uploaded: Vec<String>,
}

impl Probes {
    /// Chooses names and bytes. `key_prefix` is empty or ends in `/`.
    pub fn new(key_prefix: &str) -> Probes {
        let run: String = std::iter::repeat_with(fastrand::alphanumeric)
            .take(16)
            .collect();
        let body: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(b' '..b'~'))
            .take(LENGTH)
            .collect();
        let key = |name: &str| format!("{key_prefix}{FOLDER}/{run}{name}");
        Probes {
            body: body.into(),
            plain: key("/plain.bin"),
            cold_range: key("/cold-range.bin"),
            odd_name: key("/odd näme+50%.bin"),
            denied: ["backups", "imports"]
                .map(|folder| format!("{key_prefix}{folder}/{FOLDER}-{run}.bin")),
            missing: key("/missing.bin"),
            uploaded: Vec::new(),
        }
    }

    /// Puts them into the bucket.
    pub async fn upload(&mut self, bucket: &Client) -> Result<(), S3Error> {
        let read = [&self.plain, &self.cold_range, &self.odd_name];
        let keys: Vec<String> = read.into_iter().chain(&self.denied).cloned().collect();
        for key in keys {
            // Noted first: an upload whose answer was lost must be removed too.
            self.uploaded.push(key.clone());
            bucket
                .put_object(&PutRequest {
                    key,
                    body: Body::Bytes(self.body.clone()),
                    md5: Md5::digest(&self.body).into(),
                    content_type: CONTENT_TYPE.to_owned(),
                    cache_control: Some("public, max-age=315576000, immutable".to_owned()),
                })
                .await?;
        }
        Ok(())
    }

    /// Removes what was uploaded. Goes on past a failure; returns the keys that are left.
    pub async fn remove(&mut self, bucket: &Client) -> Vec<String> {
        let mut left = Vec::new();
        for key in self.uploaded.drain(..) {
            match bucket.delete_object(&key).await {
                Ok(()) => {}
                Err(error) if error.is_not_found() => {}
                Err(_) => left.push(key),
            }
        }
        left
    }
}
