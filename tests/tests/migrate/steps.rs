//! Checks of what the page states after **Then**, for each step.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::MetadataExt as _;

use anyhow::{Result, bail, ensure};
use e2e::client::Client;
use e2e::mastodon::ENV_FILE;
use e2e::media::files;
use e2e::medialift::Ran;
use e2e::migration::BUCKET;
use md5::{Digest as _, Md5};
use testkit::stack::OriginOptions;

use super::host::Host;

/// What was there when a step began.
pub(crate) struct Before {
    /// Public pictures, with their content.
    pictures: BTreeMap<String, Vec<u8>>,
    /// Objects in the bucket, with their ETags.
    objects: BTreeMap<String, String>,
    uploads: u64,
}

impl Host {
    pub(crate) fn before(&self) -> Result<Before> {
        let pictures = self
            .world
            .mastodon
            .lock()
            .pictures
            .iter()
            .filter(|(_, picture)| !picture.hidden)
            .map(|(key, picture)| (key.clone(), picture.content().to_vec()))
            .collect();
        let is_there = self
            .world
            .b2
            .calls()?
            .calls
            .contains_key("b2_create_bucket");
        let objects = if is_there {
            self.world.client().list(BUCKET)?
        } else {
            BTreeMap::new()
        };
        Ok(Before {
            pictures,
            objects,
            uploads: self.uploads()?,
        })
    }

    /// Actions before a step that are not commands of the page.
    pub(crate) fn prepare(&mut self, name: &str) -> Result<()> {
        match name {
            "secret" => self.write_files(),
            // The worker is deployed, and the redirect put into nginx.
            "verify" => {
                let secret = self.secret()?;
                self.fallback = true;
                self.world.start_edge(&secret, true)?;
                self.write_files()
            }
            // It is deployed again, without the fallback.
            "cutover" if self.fallback => {
                let secret = self.secret()?;
                self.fallback = false;
                self.world.start_edge(&secret, false)
            }
            _ => Ok(()),
        }
    }

    fn secret(&self) -> Result<String> {
        let secret = fs::read_to_string(self.world.work().join("purge.secret"))?;
        Ok(secret.trim().to_owned())
    }

    pub(crate) fn look(&mut self, name: &str, before: &Before, ran: &Ran) -> Result<()> {
        let world = &self.world;
        match name {
            "secret" => {
                let secret = fs::metadata(world.work().join("purge.secret"))?;
                assert_eq!(secret.mode() & 0o777, 0o600);
                assert_eq!(secret.len(), 65);
            }
            "plan" => ensure!(ran.stdout.contains("media_attachments"), "{}", ran.stdout),
            "provision" => {
                let buckets = world.b2.b2_json(&["bucket", "list", "--json"])?;
                assert_eq!(buckets[0]["bucketName"], BUCKET);
                assert_eq!(buckets[0]["bucketType"], "allPrivate");
                let key = fs::metadata(world.work().join("b2.key"))?;
                assert_eq!(key.mode() & 0o777, 0o600);
                let calls = world.b2.calls()?.calls;
                assert_eq!((calls["b2_create_bucket"], calls["b2_create_key"]), (1, 1));
            }
            "check" => ensure!(
                self.world.client().list(BUCKET)?.is_empty(),
                "a probe is left in the bucket"
            ),
            "announce" => {
                let text = self.env_file("EXTRA_MEDIA_HOSTS=")?;
                ensure!(!text.contains("S3_ENABLED"), "{text}");
            }
            "bulk" | "last" | "rest" => self.bucket_has_what_was_there(name, before)?,
            "verify" | "verify-again" => {
                let left = self.world.client().list(BUCKET)?;
                let left: Vec<_> = left.keys().filter(|key| key.contains("probe")).collect();
                ensure!(left.is_empty(), "left in the bucket: {left:?}");
            }
            "switch" => {
                let text = self.env_file("S3_PERMISSION=private")?;
                ensure!(text.lines().any(|line| line == "S3_ENABLED=true"), "{text}");
                ensure!(text.contains(OriginOptions::KEY_ID), "{text}");
            }
            "cutover" => self.moved_aside()?,
            "rollback" => {
                ensure!(!world.kept().exists(), "the media are still aside");
                ensure!(!files(&world.media())?.is_empty(), "no media came back");
            }
            "undo" => {
                let text = self.env_file("EXTRA_MEDIA_HOSTS=")?;
                ensure!(!text.contains("S3_ENABLED=true"), "{text}");
            }
            "prune" => {
                ensure!(world.media().is_dir(), "there is no media directory");
                self.only_hidden_and_replaced_files_are_left(before)?;
                self.domain_gives_every_picture_and_no_deleted_one()?;
            }
            other => bail!("nothing looks at the step `{other}`"),
        }
        Ok(())
    }

    /// The env file with `part` in it, all else as it was.
    fn env_file(&self, part: &str) -> Result<String> {
        let path = self.world.env_file();
        let text = fs::read_to_string(&path)?;
        ensure!(text.starts_with(ENV_FILE), "{text}");
        ensure!(text.contains(part), "{text}");
        assert_eq!(fs::metadata(path)?.mode() & 0o777, 0o600);
        Ok(text)
    }

    /// Pictures that were there when a `sync` began, and are still the same, are in the bucket; and
    /// what was in the bucket was not sent again.
    fn bucket_has_what_was_there(&self, name: &str, before: &Before) -> Result<()> {
        let state = self.world.mastodon.lock();
        let objects = self.world.client().list(BUCKET)?;
        for (key, content) in &before.pictures {
            let picture = state.pictures.get(key);
            let unchanged = picture.is_some_and(|picture| picture.content() == content);
            if unchanged && !state.history.hidden_on_disk.contains(key) {
                assert_eq!(
                    objects.get(key),
                    Some(&hex::encode(Md5::digest(content))),
                    "`{key}`"
                );
            }
        }
        if name != "bulk" {
            let new = objects
                .iter()
                .filter(|(key, etag)| before.objects.get(*key) != Some(etag))
                .count() as u64;
            let sent = self.uploads()? - before.uploads;
            // Mastodon may write a picture and delete it.
            ensure!(
                sent < new + before.objects.len() as u64 / 2,
                "{sent} uploads for {new} new objects"
            );
        }
        Ok(())
    }

    fn moved_aside(&self) -> Result<()> {
        let (media, kept) = (self.world.media(), self.world.kept());
        ensure!(files(&media)?.is_empty(), "files are in `system`");
        ensure!(!files(&kept)?.is_empty(), "no files are in `system_`");
        let (new, old) = (fs::metadata(media)?, fs::metadata(kept)?);
        assert_eq!(
            (new.mode(), new.uid(), new.gid()),
            (old.mode(), old.uid(), old.gid())
        );
        Ok(())
    }

    /// What `prune` leaves has a reason: the bucket has other content by Mastodon's own hand, the file is
    /// hidden, or its object was deleted while `prune` ran.
    fn only_hidden_and_replaced_files_are_left(&self, before: &Before) -> Result<()> {
        let state = self.world.mastodon.lock();
        let objects = self.world.client().list(BUCKET)?;
        for (key, content) in files(&self.world.kept())? {
            let metadata = fs::metadata(self.world.kept().join(&key))?;
            let hidden = metadata.mode() & 0o077 == 0;
            let object = objects.get(&key);
            let replaced = object.is_some_and(|etag| *etag != hex::encode(Md5::digest(content)));
            // The next run takes it.
            let deleted_meanwhile = object.is_none()
                && before.objects.contains_key(&key)
                && state.history.deleted.contains(&key);
            ensure!(
                hidden || replaced || deleted_meanwhile,
                "`{key}` is neither hidden nor replaced, and was not deleted: {object:?}"
            );
        }
        Ok(())
    }

    fn domain_gives_every_picture_and_no_deleted_one(&self) -> Result<()> {
        let state = self.world.mastodon.lock();
        let domain = Client::anonymous(self.world.edge_url()?);
        let get = |key: &str| {
            let path = format!("/{}", Client::encoded(key));
            domain.send("GET", &path, &[], &[])
        };
        let visible = state.pictures.iter().filter(|(_, picture)| !picture.hidden);
        for (key, picture) in visible {
            let answer = get(key)?;
            ensure!(
                answer.status == 200 && picture.versions.contains(&answer.body),
                "`{key}` is answered {}",
                answer.status
            );
        }
        // Two sorts of deleted files the bucket may have, as the page says: those that were deleted
        // on the disk (step 7), and those that were deleted there before their first upload (step 9).
        let objects = self.world.client().list(BUCKET)?;
        let history = &state.history;
        for key in &history.deleted {
            let excepted = history.deleted_on_disk.contains(key)
                || history.deleted_before_upload.contains(key);
            ensure!(
                excepted || !objects.contains_key(key),
                "`{key}` was deleted in the bucket, and is there"
            );
            let answer = get(key)?;
            ensure!(
                excepted || history.deleted_in_batches.contains(key) || answer.status == 404,
                "the deleted `{key}` is answered {}",
                answer.status
            );
        }
        drop(state);
        let key = self.world.mastodon.upload()?;
        assert_eq!(get(&key)?.status, 200, "a new picture");
        self.world.mastodon.delete(&key)?;
        assert_eq!(get(&key)?.status, 404, "a deleted picture");
        Ok(())
    }
}
