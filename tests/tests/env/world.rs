//! A directory with an instance's `.env.production`, and `env` run in it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::Result;
use e2e::medialift::{self, Ran};

pub(crate) const KEY_ID: &str = "00161f959a5f87b0000000005";
pub(crate) const KEY: &str = "K001abcdefghijklmnopqrstuvwxyz1";
pub(crate) const PURGE_SECRET: &str = "correct horse battery staple";

/// A file as an instance has it before, with what an editor could break.
pub(crate) const BEFORE: &str = "# This is a sample configuration file\r
LOCAL_DOMAIN=example.com\r
\r
export DB_PASS='p@ss # word'   # keep me\r
SECRET_KEY_BASE=\"0123456789abcdef\"\r
\r
# File storage\r
S3_ENABLED=false\r
S3_BUCKET=old-bucket # the first try\r
S3_BUCKET=older-bucket\r
S3_ENDPOINT=s3.us-west-004.backblazeb2.com\r
\r
SMTP_SERVER=localhost";

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
}

impl World {
    pub(crate) fn new(text: &str) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        fs::write(dir.path().join(".env.production"), text)?;
        fs::set_permissions(
            dir.path().join(".env.production"),
            fs::Permissions::from_mode(0o640),
        )?;
        fs::write(
            dir.path().join("medialift.toml"),
            "visibility = \"public\"\n",
        )?;
        Ok(World { dir })
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.dir.path().join(".env.production")
    }

    pub(crate) fn text(&self) -> Result<String> {
        Ok(fs::read_to_string(self.path())?)
    }

    pub(crate) fn env(&self, arguments: &[&str]) -> Result<Ran> {
        let mut command = medialift::command(self.dir.path())?;
        command
            .arg("env")
            .args(arguments)
            .args(["--files-url", "https://files.example.com"])
            .args(["--bucket", "my-instance-media"])
            .args(["--endpoint", "s3.us-west-004.backblazeb2.com"])
            .env("B2_APPLICATION_KEY_ID", KEY_ID)
            .env("B2_APPLICATION_KEY", KEY)
            .env("PURGE_SECRET", PURGE_SECRET);
        let ran = medialift::run(&mut command)?;
        for secret in [KEY, PURGE_SECRET, "p@ss", "0123456789abcdef"] {
            assert!(!ran.stdout.contains(secret), "stdout shows {secret}");
            assert!(!ran.stderr.contains(secret), "stderr shows {secret}");
        }
        Ok(ran)
    }

    /// The backups in the state directory; nothing lies beside the file.
    pub(crate) fn backups(&self) -> Result<Vec<std::path::PathBuf>> {
        let mut kept = self.kept()?;
        kept.retain(|path| path.extension().is_none_or(|end| end != "written"));
        Ok(kept)
    }

    /// The same, with what is kept beside each.
    pub(crate) fn kept(&self) -> Result<Vec<std::path::PathBuf>> {
        let beside = |name: &str| name.starts_with(".env.production") && name != ".env.production";
        for entry in fs::read_dir(self.dir.path())? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            assert!(!beside(&name) || name.ends_with("local"), "{name}");
        }
        let Ok(entries) = fs::read_dir(self.dir.path().join("state/medialift/env")) else {
            return Ok(Vec::new());
        };
        let mut found: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        found.sort();
        Ok(found)
    }

    /// The last value of a key, as written.
    pub(crate) fn written(&self, key: &str) -> Result<Option<String>> {
        let text = self.text()?;
        let value = |line: &str| {
            let line = line.strip_prefix("export ").unwrap_or(line);
            Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned())
        };
        Ok(text.lines().filter_map(value).next_back())
    }
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("the file").permissions().mode() & 0o7777
}

/// Both streams, without what differs from run to run.
pub(crate) fn shown(ran: &Ran, directory: &Path) -> String {
    let text = format!("{}---- stderr\n{}", ran.stdout, ran.stderr);
    let directory = fs::canonicalize(directory).expect("the directory");
    let text = text.replace(&format!("{}/", directory.display()), "");
    let Some((before, after)) = text.split_once(".env.production.") else {
        return text;
    };
    let end = after.find('Z').map_or(0, |at| at + 1);
    format!("{before}.env.production.PLACE.before-DATE{}", &after[end..])
}
