//! A media directory, a bucket, and `medialift` between them: what the tests of the migration's
//! commands start from.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use testkit::stack::{Origin, OriginOptions, Requests};

use crate::client::Client;
use crate::medialift::{self, Ran};

/// The bucket's name.
pub const BUCKET: &str = "media";

/// Files of a media directory, path and content: one's own, another server's, a name to be encoded, an empty one.
pub const FILES: &[(&str, &str)] = &[
    ("accounts/avatars/000/000/001/original/a.png", "avatar"),
    ("cache/accounts/avatars/1/original/b.png", "cached avatar"),
    ("media_attachments/files/1/original/c d é.jpg", "attachment"),
    ("media_attachments/files/1/original/empty", ""),
    ("media_attachments/files/1/small/c.jpg", "thumbnail"),
];

/// A temporary directory with `public/system` in it, and a running origin.
#[derive(Debug)]
pub struct Media {
    /// The origin.
    pub origin: Origin,
    directory: tempfile::TempDir,
}

impl Media {
    /// Starts the origin and writes `files` (path and content) below `public/system`.
    ///
    /// # Errors
    /// Fails when the origin does not come up or a file cannot be written.
    pub fn with(files: &[(&str, &str)]) -> Result<Self> {
        let media = Media {
            origin: Origin::start(OriginOptions::default())?,
            directory: tempfile::tempdir()?,
        };
        fs::create_dir_all(media.live())?;
        for (path, content) in files {
            write(&media.live().join(path), content)?;
        }
        Ok(media)
    }

    /// The same, uploaded, with settings that say that Mastodon uses the bucket.
    ///
    /// # Errors
    /// As [`Media::with`], and when the origin refuses a file.
    pub fn switched(files: &[(&str, &str)]) -> Result<Self> {
        let media = Self::with(files)?;
        media.upload()?;
        media.switch()?;
        // A file within one tick of the kernel's clock would count as written during the run.
        std::thread::sleep(std::time::Duration::from_millis(50));
        Ok(media)
    }

    /// The working directory of the commands.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The media directory that Mastodon uses.
    #[must_use]
    pub fn live(&self) -> PathBuf {
        self.path().join("public/system")
    }

    /// The directory to which a cutover moves the media.
    #[must_use]
    pub fn kept(&self) -> PathBuf {
        self.path().join("public/system_")
    }

    /// A client that signs with the key the commands use.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::signing(
            &self.origin.s3_url,
            OriginOptions::KEY_ID,
            OriginOptions::KEY,
        )
    }

    /// Uploads every file below `public/system`, as a sync would have done.
    ///
    /// # Errors
    /// Fails when the origin refuses one.
    pub fn upload(&self) -> Result<()> {
        for (path, content) in files(&self.live())? {
            self.put(&path, &content)?;
        }
        Ok(())
    }

    /// Sets Mastodon to store its media in this bucket, as `medialift env` does.
    ///
    /// # Errors
    /// Fails when the file cannot be written.
    pub fn switch(&self) -> Result<()> {
        let settings = format!(
            "LOCAL_DOMAIN=example.com\nS3_ENABLED=true\nS3_BUCKET={BUCKET}\nS3_ENDPOINT={}\n",
            self.origin.s3_url
        );
        write(&self.path().join(".env.production"), &settings)
    }

    /// Sets Mastodon to store its media on the disk.
    ///
    /// # Errors
    /// Fails when the file cannot be written.
    pub fn switch_back(&self) -> Result<()> {
        write(
            &self.path().join(".env.production"),
            "LOCAL_DOMAIN=example.com\n",
        )
    }

    /// Waits until the origin has had this many requests since the last reset.
    ///
    /// # Errors
    /// Fails when that does not happen within half a minute.
    pub fn wait_for_requests(&self, count: u64) -> Result<()> {
        self.wait_until(|requests| requests.total >= count)
    }

    /// Waits until the origin has had a request of this operation since the last reset.
    ///
    /// # Errors
    /// Fails when that does not happen within half a minute.
    pub fn wait_for_operation(&self, operation: &str) -> Result<()> {
        self.wait_until(|requests| requests.of(operation) > 0)
    }

    fn wait_until(&self, is_there: impl Fn(&Requests) -> bool) -> Result<()> {
        let begun = Instant::now();
        while !is_there(&self.origin.requests()?) {
            anyhow::ensure!(begun.elapsed() < Duration::from_secs(30), "no request came");
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Uploads one object.
    ///
    /// # Errors
    /// Fails when the origin refuses it.
    pub fn put(&self, key: &str, content: &[u8]) -> Result<()> {
        let answer = self.client().put(BUCKET, key, &[], content)?;
        anyhow::ensure!(answer.status == 200, "PUT {key}: {}", answer.error());
        Ok(())
    }

    /// Deletes one object.
    ///
    /// # Errors
    /// Fails when the origin refuses.
    pub fn delete(&self, key: &str) -> Result<()> {
        let path = Client::path(BUCKET, key);
        let answer = self.client().send("DELETE", &path, &[], &[])?;
        anyhow::ensure!(answer.status < 300, "DELETE {key}: {}", answer.error());
        Ok(())
    }

    /// A `medialift` command for this bucket, with these arguments.
    ///
    /// # Errors
    /// Fails when the binary has not been built.
    pub fn command(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = medialift::command(self.path())?;
        command
            .args(arguments)
            .env("B2_BUCKET", BUCKET)
            .env("B2_ENDPOINT", &self.origin.s3_url)
            .env("B2_REGION", "us-west-004")
            .env("B2_APPLICATION_KEY_ID", OriginOptions::KEY_ID)
            .env("B2_APPLICATION_KEY", OriginOptions::KEY);
        Ok(command)
    }

    /// Runs `medialift` with `public/system` after the command's name.
    ///
    /// # Errors
    /// Fails when it cannot be started.
    pub fn run(&self, name: &str, arguments: &[&str]) -> Result<Ran> {
        let mut all = vec![name, "public/system"];
        all.extend(arguments);
        let ran = medialift::run(&mut self.command(&all)?)?;
        for text in [&ran.stdout, &ran.stderr] {
            assert!(!text.contains(OriginOptions::KEY), "it shows the key");
        }
        Ok(ran)
    }

    /// Both streams, without this run's directories and ports.
    #[must_use]
    pub fn shown(&self, ran: &Ran) -> String {
        let directory = fs::canonicalize(self.path()).unwrap_or_else(|_| self.path().to_owned());
        format!("{}---- stderr\n{}", ran.stdout, ran.stderr)
            .replace(&directory.display().to_string(), "/home/mastodon/live")
            .replace(
                &self.origin.s3_url,
                "https://s3.us-west-004.backblazeb2.com",
            )
    }
}

/// Writes a file and the directories above it.
///
/// # Errors
/// Fails when that is not possible.
pub fn write(path: &Path, content: &str) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, content).with_context(|| format!("write {}", path.display()))
}

/// Every file below `root`: path with `/`, and content. Empty where there is no such directory.
///
/// # Errors
/// Fails when one cannot be read.
pub fn files(root: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut found = BTreeMap::new();
    if root.is_dir() {
        collect(root, root, &mut found)?;
    }
    Ok(found)
}

fn collect(root: &Path, directory: &Path, found: &mut BTreeMap<String, Vec<u8>>) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            collect(root, &path, found)?;
        } else if entry.file_type()?.is_file() {
            let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
            found.insert(name, fs::read(&path)?);
        }
    }
    Ok(())
}
