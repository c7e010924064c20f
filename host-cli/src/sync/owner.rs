//! Who owns the media, asked before a run, and again while it goes on: a run may take days, and
//! somebody may switch Mastodon to the bucket meanwhile.

use std::mem::discriminant;
use std::path::PathBuf;

use crate::config::{self, Target};
use crate::error::{Error, Result};
use crate::guards::{may_overwrite, may_sync, may_sync_delete, may_sync_without_mastodon};
use crate::mastodon::{Installation, Owner};

/// What to ask, and for what.
#[derive(Clone, Debug)]
pub struct Question {
    /// The media directory.
    pub directory: PathBuf,
    /// The bucket.
    pub target: Target,
    /// What the settings file says.
    pub settings: config::File,
    /// `--not-mastodon`.
    pub not_mastodon: bool,
    /// `--delete`.
    pub delete: bool,
    /// `--replace`.
    pub replace: bool,
}

/// Who owns the media in the bucket.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The owner.
    pub owner: Owner,
    /// The owner by the settings alone, whatever the running instance shows.
    pub by_settings: Owner,
    /// No Mastodon has to do with the directory, as far as can be seen.
    pub alone: bool,
}

impl Question {
    /// Looks at the installation and asks the running instance.
    ///
    /// # Errors
    /// Where a guard refuses what is asked for.
    pub async fn ask(&self) -> Result<Answer> {
        let Some(mut installation) = self.find()? else {
            return Ok(Answer {
                owner: Owner::Disk,
                by_settings: Owner::Disk,
                alone: true,
            });
        };
        let (directory, target) = (self.directory.display(), &self.target);
        may_sync(&installation).or_refuse(format!("copy `{directory}` to `{target}`"))?;
        installation.query_instance().await;
        if self.delete {
            let operation = format!("delete what is only in `{target}`");
            may_sync_delete(&installation, target).or_refuse(operation)?;
        }
        if self.replace {
            let operation = format!("replace objects of `{target}`");
            may_overwrite(&installation, target).or_refuse(operation)?;
        }
        let owner = installation.owner_of(target);
        Ok(Answer {
            alone: installation.unrelated && matches!(owner, Owner::Unknown(_)),
            by_settings: installation.owner_by_settings(target),
            owner,
        })
    }

    /// Asks again right before something is deleted.
    ///
    /// # Errors
    /// As [`Question::ask`], and where the owner is another than `before`.
    pub async fn ask_again(&self, before: &Answer) -> Result<()> {
        let now = self.ask().await?.owner;
        self.compare(&before.owner, &now)
    }

    /// Reads the settings again, which costs little. The instance is not asked, so the owner by the
    /// settings is compared, and the one that the run works by stays.
    ///
    /// # Errors
    /// Where the settings say another owner than `before`.
    pub async fn look_again(&self, before: &Answer) -> Result<()> {
        let again = self.clone();
        let found = tokio::task::spawn_blocking(move || again.find()).await;
        let installation = found.map_err(|e| Error::new("look who owns the media").cause(e))??;
        let now = installation.map_or(Owner::Disk, |found| found.owner_by_settings(&self.target));
        self.compare(&before.by_settings, &now)
    }

    /// None with `--not-mastodon`, where that is true.
    fn find(&self) -> Result<Option<Installation>> {
        let installation = Installation::find(Some(&self.directory), &self.settings)?;
        if self.not_mastodon {
            may_sync_without_mastodon(&installation)
                .or_refuse("take the directory for the truth")?;
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
            Error::new(format!("go on copying `{directory}` to `{target}`"))
                .cause(format!(
                    "Mastodon's settings have changed since this run began: {}, and now {}",
                    words(before),
                    words(now)
                ))
                .hint("run the same command again: it goes on from here by what is true now"),
        )
    }
}

fn words(owner: &Owner) -> String {
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

    fn question(directory: PathBuf) -> Question {
        Question {
            directory,
            target: Target {
                endpoint: Endpoint::parse("s3.us-west-004.backblazeb2.com").unwrap(),
                region: "us-west-004".to_owned(),
                bucket: "media".to_owned(),
                key_prefix: String::new(),
            },
            settings: config::File::default(),
            not_mastodon: false,
            delete: false,
            replace: false,
        }
    }

    #[tokio::test]
    async fn a_switch_in_the_middle_of_a_run_is_seen() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("public/system");
        fs::create_dir_all(&directory).unwrap();
        let write = |text: &str| fs::write(root.path().join(".env.production"), text).unwrap();
        write("S3_ENABLED=false\n");
        let question = question(directory);
        let answer = question.ask().await.unwrap();
        assert_eq!(answer.owner, Owner::Disk);
        question.look_again(&answer).await.unwrap();
        // A change that means the same here.
        write("S3_ENABLED=true\nS3_BUCKET=another\n");
        question.look_again(&answer).await.unwrap();
        for changed in [
            "S3_ENABLED=true\nS3_BUCKET=media\n",
            "S3_ENABLED=true\nS3_BUCKET=${SAID_ELSEWHERE}\n",
        ] {
            write(changed);
            let error = question.look_again(&answer).await.unwrap_err();
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
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        url
    }

    #[tokio::test]
    async fn an_instance_that_still_uses_the_bucket_is_believed_for_the_whole_run() {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path().join("public/system");
        fs::create_dir_all(&directory).unwrap();
        let settings = "LOCAL_DOMAIN=social.example\nS3_ENABLED=false\n";
        fs::write(root.path().join(".env.production"), settings).unwrap();
        let mut question = question(directory);
        let own = "https://social.example/system/site_uploads/files/1/original/a.png";
        question.settings.instance_url = Some(instance(own).await);
        assert_eq!(question.ask().await.unwrap().owner, Owner::Disk);

        let bucket = "https://files.example/site_uploads/files/1/original/a.png";
        question.settings.instance_url = Some(instance(bucket).await);
        let answer = question.ask().await.unwrap();
        assert!(matches!(&answer.owner, Owner::Unknown(why) if why.contains("restart Mastodon")));
        // A look that does not ask the instance says nothing new.
        question.look_again(&answer).await.unwrap();
        question.delete = true;
        let error = question.ask().await.unwrap_err();
        assert!(
            error
                .hint_text()
                .is_some_and(|hint| hint.contains("restart"))
        );
    }
}
