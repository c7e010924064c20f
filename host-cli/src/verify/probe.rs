//! Probes: objects that are uploaded, read through the files domain and removed.

use bytes::Bytes;
use md5::{Digest, Md5};

use crate::s3::{Body, Client, PutRequest, S3Error};

/// Directory of the probes, below the key prefix.
const DIRECTORY: &str = "medialift-probe";
/// Size of a probe in bytes: enough for ranges.
const LENGTH: usize = 20_000;
/// Content type of the probes: an unusual one shows whether the proxy keeps it.
pub const CONTENT_TYPE: &str = "application/x-medialift-probe";

/// The probes of one run. Their names are random, so that no cache has them.
#[derive(Clone, Debug)]
pub struct Probes {
    /// The content of each probe.
    pub body: Bytes,
    /// Its first read is of the whole object.
    pub plain: String,
    /// Its first read is of a range.
    pub cold_range: String,
    /// A name with a space, a letter beyond ASCII, `+` and `%`.
    pub odd_name: String,
    /// In the directories of account archives and imported lists, which nobody may read.
    pub denied: [String; 2],
    /// Never uploaded.
    pub missing: String,
    uploaded: Vec<String>,
}

impl Probes {
    /// Chooses names and content. `key_prefix` is empty or ends in `/`.
    pub fn new(key_prefix: &str) -> Probes {
        let run: String = std::iter::repeat_with(fastrand::alphanumeric)
            .take(16)
            .collect();
        let body: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(b' '..b'~'))
            .take(LENGTH)
            .collect();
        let key = |name: &str| format!("{key_prefix}{DIRECTORY}/{run}{name}");
        Probes {
            body: body.into(),
            plain: key("/plain.bin"),
            cold_range: key("/cold-range.bin"),
            odd_name: key("/odd näme+50%.bin"),
            denied: ["backups", "imports"]
                .map(|folder| format!("{key_prefix}{folder}/{DIRECTORY}-{run}.bin")),
            missing: key("/missing.bin"),
            uploaded: Vec::new(),
        }
    }

    /// Uploads the probes.
    pub async fn upload(&mut self, bucket: &Client) -> Result<(), S3Error> {
        let read = [&self.plain, &self.cold_range, &self.odd_name];
        let keys: Vec<String> = read.into_iter().chain(&self.denied).cloned().collect();
        for key in keys {
            // Recorded before the upload: if only its response is lost, the object must be removed.
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

    /// Removes the uploaded probes. Continues after an error; returns the keys that remain.
    pub async fn remove(&mut self, bucket: &Client) -> Vec<String> {
        let mut remaining = Vec::new();
        for key in self.uploaded.drain(..) {
            match bucket.delete_object(&key).await {
                Ok(()) => {}
                Err(error) if error.is_not_found() => {}
                Err(_) => remaining.push(key),
            }
        }
        remaining
    }
}
