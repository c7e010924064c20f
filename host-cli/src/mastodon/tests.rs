//! Tests of `mastodon`: what is found of an installation on a disk.

mod directories;
#[cfg(target_os = "linux")]
mod processes;
mod settings;

use std::fs;

use super::*;

/// A Mastodon in `live`, whose `.env.production` has this text, with files in `public/system`.
struct TestInstallation {
    dir: tempfile::TempDir,
}

impl TestInstallation {
    fn new(env: &str) -> TestInstallation {
        let dir = tempfile::tempdir().unwrap();
        let installation = TestInstallation { dir };
        fs::create_dir_all(installation.path("live/public/system/cache/a")).unwrap();
        fs::create_dir_all(installation.path("live/lib/mastodon")).unwrap();
        installation.write(
            "live/lib/mastodon/version.rb",
            "def major\n 4\nend\ndef minor\n 4\nend\ndef patch\n 1\nend\n",
        );
        installation.write("live/.env.production", env);
        installation
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    fn find(&self, path: &str) -> Installation {
        self.find_with(path, &config::File::default())
    }

    fn find_with(&self, path: &str, settings: &config::File) -> Installation {
        Installation::find(Some(&self.path(path)), settings).unwrap()
    }
}

fn media_bucket() -> Option<Storage> {
    Some(Storage {
        bucket: "media".to_owned(),
        key_prefix: String::new(),
        endpoint: "s3.amazonaws.com".to_owned(),
    })
}
