//! What holds at every moment of a migration, whatever was killed or written meanwhile.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result, ensure};
use md5::{Digest as _, Md5};

use super::{Mastodon, State};
use crate::client::Client;
use crate::media::files;

/// The four rules, with what was on the disk and in the bucket when they were last looked at.
#[derive(Debug)]
pub struct Invariants {
    client: Client,
    bucket: String,
    local: BTreeMap<String, Vec<u8>>,
    objects: BTreeMap<String, String>,
}

impl Invariants {
    /// For media that are kept in this bucket, without a prefix.
    #[must_use]
    pub fn new(client: Client, bucket: &str) -> Self {
        Self {
            client,
            bucket: bucket.to_owned(),
            local: BTreeMap::new(),
            objects: BTreeMap::new(),
        }
    }

    /// Looks at the bucket, the disk and the instance, between two requests of the instance.
    ///
    /// # Errors
    /// Fails, naming the key, where a rule is broken.
    pub fn check(&mut self, mastodon: &Mastodon) -> Result<()> {
        let state = mastodon.lock();
        let objects = self.client.list(&self.bucket)?;
        let media = mastodon.installation().media();
        ensure!(media.is_dir(), "the instance has no media directory");
        let local = local_files(mastodon)?;
        owned_objects_are_as_mastodon_left_them(&state, &objects)?;
        for (key, picture) in &state.pictures {
            ensure!(
                is(&objects, key, picture.content())
                    || local.get(key).map(Vec::as_slice) == Some(picture.content()),
                "the picture `{key}` is lost"
            );
        }
        for (key, content) in &self.local {
            // Mastodon may have replaced the object after the file was proven by it and deleted.
            let proven = is(&objects, key, content) || is(&self.objects, key, content);
            ensure!(
                local.contains_key(key) || state.history.deleted.contains(key) || proven,
                "the file `{key}` is gone, and the bucket does not have it"
            );
        }
        self.local = local;
        self.objects = objects;
        Ok(())
    }
}

/// What Mastodon wrote to the bucket is there as it was written, and what it deleted is not.
fn owned_objects_are_as_mastodon_left_them(
    state: &State,
    objects: &BTreeMap<String, String>,
) -> Result<()> {
    for (key, last) in &state.history.in_bucket {
        match last {
            Some(content) => ensure!(
                is(objects, key, content),
                "Mastodon wrote the object `{key}`, and the bucket has {:?}",
                objects.get(key)
            ),
            None => ensure!(
                !objects.contains_key(key),
                "Mastodon deleted the object `{key}`, and it came back"
            ),
        }
    }
    Ok(())
}

/// Media wherever the commands may have moved them: `system`, `system_` and what lies beside them.
fn local_files(mastodon: &Mastodon) -> Result<BTreeMap<String, Vec<u8>>> {
    let media = mastodon.installation().media();
    let public = media.parent().context("a directory")?;
    let mut all = BTreeMap::new();
    for entry in fs::read_dir(public)? {
        all.extend(files(&entry?.path())?);
    }
    Ok(all)
}

/// Whether the bucket has this content. The ETag of an upload in parts does not show that.
fn is(objects: &BTreeMap<String, String>, key: &str, content: &[u8]) -> bool {
    objects
        .get(key)
        .is_some_and(|etag| etag.contains('-') || *etag == hex::encode(Md5::digest(content)))
}
