//! Who owns the media: determined before a run, and again during it, since a run may take days and Mastodon
//! may be switched to the bucket in that time.

use std::mem::discriminant;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{self, Target};
use crate::error::{Error, Result};
use crate::guards::{Permission, may_sync_without_mastodon};
use crate::mastodon::{Installation, Owner};

/// How often a run confirms the owner.
pub(super) const CONFIRM_OWNER_EVERY: Duration = Duration::from_secs(60);

/// The owner of the media, and how it was determined.
#[derive(Clone, Debug)]
pub struct Ownership {
    /// The owner.
    pub owner: Owner,
    /// The owner by the settings alone, without the running instance.
    by_settings: Owner,
    /// No Mastodon uses the directory, as far as can be seen.
    pub no_mastodon: bool,
}

/// What the owner is determined from, and the guards that depend on it.
#[derive(Clone, Debug)]
pub struct OwnershipCheck {
    /// The media directory.
    pub directory: PathBuf,
    /// The bucket.
    pub target: Target,
    /// The settings file.
    pub settings: config::File,
    /// `--not-mastodon`.
    pub not_mastodon: bool,
    /// Guards that must allow the run, where there is a Mastodon.
    pub guards: Vec<Guard>,
}

/// A guard, and the operation that it allows or refuses.
#[derive(Clone, Debug)]
pub struct Guard {
    /// The operation, as an error names it.
    pub operation: String,
    /// The guard.
    pub allows: fn(&Installation, &Target) -> Permission,
}

impl Ownership {
    /// Reads the installation's settings, queries the running instance, and checks the guards.
    ///
    /// # Errors
    /// Where a guard refuses.
    pub async fn examine(check: &OwnershipCheck) -> Result<Ownership> {
        let Some(mut installation) = check.installation()? else {
            return Ok(Ownership {
                owner: Owner::Disk,
                by_settings: Owner::Disk,
                no_mastodon: true,
            });
        };
        installation.query_instance().await;
        let target = &check.target;
        for guard in &check.guards {
            (guard.allows)(&installation, target).or_refuse(&guard.operation)?;
        }
        let owner = installation.owner_of(target);
        Ok(Ownership {
            no_mastodon: installation.unrelated && matches!(owner, Owner::Unknown(_)),
            by_settings: installation.owner_by_settings(target),
            owner,
        })
    }

    /// Examines it again and compares: before something is deleted.
    ///
    /// # Errors
    /// Where a guard refuses, or the owner is another now.
    pub async fn confirm(&self, check: &OwnershipCheck) -> Result<()> {
        let now = Ownership::examine(check).await?;
        check.compare(&self.owner, &now.owner)
    }

    /// Compares with the settings as they are now, which costs little: the instance is not queried.
    ///
    /// # Errors
    /// Where the owner by the settings is another now.
    pub async fn confirm_by_settings(&self, check: &OwnershipCheck) -> Result<()> {
        let owned = check.clone();
        let found = tokio::task::spawn_blocking(move || owned.installation()).await;
        let installation =
            found.map_err(|e| Error::new("determine who owns the media").cause(e))??;
        let now = installation.map_or(Owner::Disk, |found| found.owner_by_settings(&check.target));
        check.compare(&self.by_settings, &now)
    }
}

impl OwnershipCheck {
    /// None with `--not-mastodon`, which is refused where there is one.
    fn installation(&self) -> Result<Option<Installation>> {
        let installation = Installation::find(Some(&self.directory), &self.settings)?;
        if self.not_mastodon {
            may_sync_without_mastodon(&installation).or_refuse(format!(
                "use `--not-mastodon` for `{}`",
                self.directory.display()
            ))?;
            return Ok(None);
        }
        Ok(Some(installation))
    }

    fn compare(&self, before: &Owner, now: &Owner) -> Result<()> {
        if discriminant(before) == discriminant(now) {
            return Ok(());
        }
        let (directory, target) = (self.directory.display(), &self.target);
        Err(
            Error::new(format!("continue copying `{directory}` to `{target}`"))
                .cause(format!(
                    "Mastodon's settings have changed since this run began: {}, and now {}",
                    describe(before),
                    describe(now)
                ))
                .hint("run the same command again: it continues by the present settings"),
        )
    }
}

fn describe(owner: &Owner) -> String {
    match owner {
        Owner::Disk => "its media were in the directory, or in another bucket".to_owned(),
        Owner::Bucket => "its media are in this bucket".to_owned(),
        Owner::Unknown(why) => format!("where its media are cannot be determined ({why})"),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::config::Endpoint;
    use crate::guards::may_sync_delete;

    fn check(directory: PathBuf) -> OwnershipCheck {
        OwnershipCheck {
            directory,
            target: Target {
                endpoint: Endpoint::parse("s3.us-west-004.backblazeb2.com").unwrap(),
                region: "us-west-004".to_owned(),
                bucket: "media".to_owned(),
                key_prefix: String::new(),
            },
            settings: config::File::default(),
            not_mastodon: false,
            guards: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_switch_during_a_run_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("public/system");
        fs::create_dir_all(&directory).unwrap();
        let write = |text: &str| fs::write(root.path().join(".env.production"), text).unwrap();
        write("S3_ENABLED=false\n");
        let check = check(directory);
        let before = Ownership::examine(&check).await.unwrap();
        assert_eq!(before.owner, Owner::Disk);
        before.confirm_by_settings(&check).await.unwrap();
        // A change that means the same here.
        write("S3_ENABLED=true\nS3_BUCKET=another\n");
        before.confirm_by_settings(&check).await.unwrap();
        for changed in [
            "S3_ENABLED=true\nS3_BUCKET=media\n",
            "S3_ENABLED=true\nS3_BUCKET=${SAID_ELSEWHERE}\n",
        ] {
            write(changed);
            let error = before.confirm_by_settings(&check).await.unwrap_err();
            assert!(error.to_string().contains("have changed"), "{error}");
            assert!(error.hint_text().is_some());
        }
    }

    /// A Mastodon that answers every request with an address of its media.
    async fn instance(address: &str) -> String {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let body = serde_json::json!({
            "domain": "social.example",
            "thumbnail": { "url": address },
        })
        .to_string();
        let length = body.len();
        let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(response.as_bytes()).await;
            }
        });
        url
    }

    #[tokio::test]
    async fn an_instance_that_still_uses_the_bucket_outranks_the_settings() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("public/system");
        fs::create_dir_all(&directory).unwrap();
        let settings = "LOCAL_DOMAIN=social.example\nS3_ENABLED=false\n";
        fs::write(root.path().join(".env.production"), settings).unwrap();
        let mut check = check(directory);
        let own = "https://social.example/system/site_uploads/files/1/original/a.png";
        check.settings.instance_url = Some(instance(own).await);
        assert_eq!(Ownership::examine(&check).await.unwrap().owner, Owner::Disk);

        let bucket = "https://files.example/site_uploads/files/1/original/a.png";
        check.settings.instance_url = Some(instance(bucket).await);
        let before = Ownership::examine(&check).await.unwrap();
        assert!(matches!(&before.owner, Owner::Unknown(why) if why.contains("restart Mastodon")));
        // The settings have not changed, and the instance is not queried.
        before.confirm_by_settings(&check).await.unwrap();
        check.guards.push(Guard {
            operation: "delete".to_owned(),
            allows: may_sync_delete,
        });
        let error = Ownership::examine(&check).await.unwrap_err();
        assert!(
            error
                .hint_text()
                .is_some_and(|hint| hint.contains("restart"))
        );
    }
}
