//! The directories and files of an installation.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use super::settings::Settings;

/// The settings of a new instance, whose media are on the disk.
pub const ENV_FILE: &str = "# This instance's settings
LOCAL_DOMAIN=example.com
DB_PASS='p@ss # word'

SMTP_SERVER=localhost # keep me
";

const COMPOSE_FILE: &str = "services:
  web:
    image: ghcr.io/mastodon/mastodon:v4.4.3
    restart: always
    env_file: .env.production
    command: bundle exec puma -C config/puma.rb
    ports:
      - '127.0.0.1:3000:3000'
    volumes:
      - ./public/system:/mastodon/public/system
  streaming:
    image: ghcr.io/mastodon/mastodon-streaming:v4.4.3
    restart: always
    env_file: .env.production
    command: node ./streaming/index.js
  sidekiq:
    image: ghcr.io/mastodon/mastodon:v4.4.3
    restart: always
    env_file: .env.production
    command: bundle exec sidekiq
    volumes:
      - ./public/system:/mastodon/public/system
";

const VERSION_FILE: &str = "# frozen_string_literal: true

module Mastodon
  module Version
    module_function

    def major
      4
    end

    def minor
      4
    end

    def patch
      3
    end
  end
end
";

/// How the processes are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployment {
    /// Units of systemd, in a checkout of Mastodon.
    Systemd,
    /// Containers of Docker Compose, with the media directory mounted into them.
    Docker,
}

/// An installation.
#[derive(Clone, Debug)]
pub struct Installation {
    /// Its directory: `/home/mastodon/live`.
    pub live: PathBuf,
    /// How its processes are run.
    pub deployment: Deployment,
    /// Whether the bucket is written to by Mastodon's own gems.
    pub ruby: bool,
}

impl Installation {
    /// Lays it out in `live`.
    ///
    /// # Errors
    /// Fails when a file cannot be written.
    pub fn create(live: &Path, deployment: Deployment) -> Result<Installation> {
        let installation = Installation {
            live: live.to_owned(),
            deployment,
            ruby: false,
        };
        fs::create_dir_all(installation.media())?;
        fs::set_permissions(installation.media(), fs::Permissions::from_mode(0o755))?;
        fs::write(installation.env_file(), ENV_FILE)?;
        fs::set_permissions(installation.env_file(), fs::Permissions::from_mode(0o600))?;
        match deployment {
            Deployment::Systemd => {
                fs::create_dir_all(live.join("lib/mastodon"))?;
                fs::write(live.join("lib/mastodon/version.rb"), VERSION_FILE)?;
            }
            Deployment::Docker => {
                fs::write(live.join("docker-compose.yml"), COMPOSE_FILE)?;
                fs::create_dir_all(installation.mount_point())?;
            }
        }
        Ok(installation)
    }

    /// Its media directory.
    #[must_use]
    pub fn media(&self) -> PathBuf {
        self.live.join("public/system")
    }

    /// What a cutover puts aside.
    #[must_use]
    pub fn kept(&self) -> PathBuf {
        self.live.join("public/system_")
    }

    /// Its settings.
    #[must_use]
    pub fn env_file(&self) -> PathBuf {
        self.live.join(".env.production")
    }

    /// Where containers have the media directory.
    pub(super) fn mount_point(&self) -> PathBuf {
        self.live
            .with_extension("container")
            .join("mastodon/public/system")
    }

    /// What a process that starts now reads.
    pub(super) fn settings(&self) -> Result<Settings> {
        match self.deployment {
            Deployment::Systemd => Settings::from_dotenv(&self.live),
            Deployment::Docker => Settings::from_env_file(&self.env_file()),
        }
    }
}
