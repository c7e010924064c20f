//! Where media are kept, written and deleted as Paperclip and Mastodon's batches do.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};

use super::ruby::Ruby;
use super::settings::Settings;
use crate::client::Client;

/// The storage of a process, by the settings that it read when it started.
#[derive(Debug)]
pub(super) enum Storage {
    /// A directory.
    Disk(PathBuf),
    /// A bucket, asked as Mastodon's gems ask it.
    Bucket(Bucket),
    /// A bucket, asked by the gems themselves.
    Ruby(Ruby),
}

#[derive(Debug)]
pub(super) struct Bucket {
    client: Client,
    name: String,
    key_prefix: String,
    acl: Option<String>,
}

impl Storage {
    pub(super) fn bucket(
        settings: &Settings,
        routed: &dyn Fn(&str) -> Result<String>,
    ) -> Result<Storage> {
        let get = |name: &str| {
            settings
                .get(name)
                .with_context(|| format!("Mastodon does not start: `{name}` is not set"))
        };
        let mut client = Client::signing(
            &routed(get("S3_ENDPOINT")?)?,
            get("AWS_ACCESS_KEY_ID")?,
            get("AWS_SECRET_ACCESS_KEY")?,
        );
        client.region = get("S3_REGION")?.to_owned();
        Ok(Storage::Bucket(Bucket {
            client,
            name: get("S3_BUCKET")?.to_owned(),
            key_prefix: settings.key_prefix(),
            acl: settings.acl().map(str::to_owned),
        }))
    }

    pub(super) fn is_bucket(&self) -> bool {
        !matches!(self, Storage::Disk(_))
    }

    /// An existing file or object is written over.
    pub(super) fn write(&self, key: &str, content: &[u8]) -> Result<()> {
        match self {
            Storage::Disk(root) => {
                // Without its media directory Mastodon fails on every upload.
                ensure!(root.is_dir(), "`{}` is not there", root.display());
                let path = root.join(key);
                let parent = path.parent().context("a directory")?;
                fs::create_dir_all(parent)?;
                fs::write(&path, content).with_context(|| format!("write {}", path.display()))
            }
            Storage::Bucket(bucket) => bucket.put(key, content),
            Storage::Ruby(ruby) => ruby.put(key, content),
        }
    }

    /// Whether it has this picture.
    pub(super) fn has(&self, key: &str) -> Result<bool> {
        match self {
            Storage::Disk(root) => Ok(root.join(key).exists()),
            Storage::Bucket(bucket) => bucket.exists(key),
            Storage::Ruby(ruby) => ruby.has(key),
        }
    }

    /// Deletes those that are there, and returns them.
    pub(super) fn delete(&self, keys: &[String], batch: bool) -> Result<Vec<String>> {
        match self {
            Storage::Disk(root) => {
                let mut deleted = Vec::new();
                for key in keys {
                    match fs::remove_file(root.join(key)) {
                        Ok(()) => deleted.push(key.clone()),
                        Err(error) if error.kind() == ErrorKind::NotFound => {}
                        Err(error) => return Err(error.into()),
                    }
                    remove_empty_parents(root, key);
                }
                Ok(deleted)
            }
            Storage::Bucket(bucket) => bucket.delete(keys, batch),
            Storage::Ruby(ruby) => ruby.delete(keys, batch),
        }
    }

    /// On a disk by permissions; in a bucket by an ACL, where the settings send one.
    pub(super) fn set_hidden(&self, key: &str, hidden: bool, settings: &Settings) -> Result<()> {
        match self {
            Storage::Disk(root) => {
                let mode = if hidden { 0o600 } else { 0o644 };
                match fs::set_permissions(root.join(key), fs::Permissions::from_mode(mode)) {
                    Err(error) if error.kind() != ErrorKind::NotFound => Err(error.into()),
                    _ => Ok(()),
                }
            }
            Storage::Bucket(bucket) => match (settings.acl(), hidden) {
                (None, _) => Ok(()),
                (Some(_), true) => bucket.put_acl(key, "private"),
                (Some(acl), false) => bucket.put_acl(key, acl),
            },
            Storage::Ruby(ruby) => ruby.set_hidden(key, hidden),
        }
    }
}

/// Paperclip removes directories that become empty.
fn remove_empty_parents(root: &Path, key: &str) {
    for parent in Path::new(key).ancestors().skip(1) {
        if parent == Path::new("") || fs::remove_dir(root.join(parent)).is_err() {
            return;
        }
    }
}

impl Bucket {
    fn path(&self, key: &str) -> String {
        Client::path(&self.name, &format!("{}{key}", self.key_prefix))
    }

    fn put(&self, key: &str, content: &[u8]) -> Result<()> {
        let mut headers = vec![
            ("content-type", "image/png"),
            ("cache-control", "public, max-age=315576000, immutable"),
        ];
        headers.extend(self.acl.as_deref().map(|acl| ("x-amz-acl", acl)));
        let answer = self
            .client
            .send("PUT", &self.path(key), &headers, content)?;
        ensure!(
            answer.status == 200,
            "an upload of `{key}`: {}",
            answer.error()
        );
        Ok(())
    }

    fn exists(&self, key: &str) -> Result<bool> {
        Ok(self.client.send("HEAD", &self.path(key), &[], &[])?.status == 200)
    }

    fn delete(&self, keys: &[String], batch: bool) -> Result<Vec<String>> {
        let mut there = Vec::new();
        for key in keys {
            if self.exists(key)? {
                there.push(key.clone());
            }
        }
        if batch && !keys.is_empty() {
            self.delete_batch(keys)?;
        } else {
            for key in keys {
                let answer = self.client.send("DELETE", &self.path(key), &[], &[])?;
                ensure!(
                    answer.status == 204,
                    "a deletion of `{key}`: {}",
                    answer.error()
                );
            }
        }
        Ok(there)
    }

    fn delete_batch(&self, keys: &[String]) -> Result<()> {
        use base64::Engine as _;
        use md5::{Digest as _, Md5};
        let objects: String = keys
            .iter()
            .map(|key| {
                let key = format!("{}{key}", self.key_prefix);
                let key = quick_xml::escape::escape(&key).into_owned();
                format!("<Object><Key>{key}</Key></Object>")
            })
            .collect();
        let body = format!("<Delete>{objects}<Quiet>true</Quiet></Delete>");
        let digest = base64::engine::general_purpose::STANDARD.encode(Md5::digest(&body));
        let answer = self.client.send(
            "POST",
            &format!("/{}?delete=", self.name),
            &[
                ("content-md5", &digest),
                ("content-type", "application/xml"),
            ],
            body.as_bytes(),
        )?;
        ensure!(
            answer.status == 200 && answer.element("Code").is_empty(),
            "a batch of deletions: {}",
            answer.error()
        );
        Ok(())
    }

    /// B2 answers 200 and changes nothing.
    fn put_acl(&self, key: &str, acl: &str) -> Result<()> {
        let path = format!("{}?acl", self.path(key));
        let answer = self.client.send("PUT", &path, &[("x-amz-acl", acl)], &[])?;
        ensure!(
            matches!(answer.status, 200 | 404),
            "an ACL of `{key}`: {}",
            answer.error()
        );
        Ok(())
    }
}
