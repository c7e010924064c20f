//! Mastodon's Compose files: whether the containers have the settings of `.env.production` and no others.
//!
//! YAML is not parsed. Where the text has a key that Mastodon's own file does not have and that may
//! change settings, this is reported, and only the environments of running containers count.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// Of each group Compose reads the first that exists; the second group overrides the first.
const NAMES: [[&str; 4]; 2] = [
    [
        "compose.yaml",
        "compose.yml",
        "docker-compose.yml",
        "docker-compose.yaml",
    ],
    [
        "compose.override.yml",
        "compose.override.yaml",
        "docker-compose.override.yml",
        "docker-compose.override.yaml",
    ],
];

/// The Compose files of a directory.
#[derive(Debug)]
pub(super) struct Compose {
    /// Those that exist.
    pub(super) files: Vec<PathBuf>,
    /// Their text without comments.
    text: String,
    /// The reason why one of them cannot be read.
    unreadable: Option<String>,
}

#[expect(clippy::unwrap_used, reason = "a constant that a test compiles")]
fn pattern(text: &str) -> Regex {
    Regex::new(text).unwrap()
}

/// The Compose files in `root`; none where there are none.
pub(super) fn find(root: &Path) -> Option<Compose> {
    let mut compose = Compose {
        files: Vec::new(),
        text: String::new(),
        unreadable: None,
    };
    for names in NAMES {
        let paths = names.map(|name| root.join(name));
        let exists = |path: &&PathBuf| !absent(path);
        let Some(path) = paths.iter().find(exists) else {
            continue;
        };
        match fs::read_to_string(path) {
            Ok(text) => compose.text.extend(text.lines().map(without_comment)),
            Err(e) => {
                compose.unreadable = Some(format!("`{}` cannot be read: {e}", path.display()));
            }
        }
        compose.files.push(path.clone());
    }
    (!compose.files.is_empty()).then_some(compose)
}

fn absent(path: &Path) -> bool {
    matches!(fs::symlink_metadata(path), Err(e) if e.kind() == ErrorKind::NotFound)
}

fn without_comment(line: &str) -> String {
    let code = match line.split_once(" #") {
        _ if line.trim_start().starts_with('#') => "",
        Some((code, _)) => code,
        None => line,
    };
    format!("{}\n", code.trim_end())
}

impl Compose {
    /// Why the containers may have other settings than those of `env_file`; none where they cannot.
    pub(super) fn deviation(&self, root: &Path, env_file: &Path) -> Option<String> {
        static OTHER_FILES: LazyLock<Regex> =
            LazyLock::new(|| pattern(r#"(?m)^[\s-]*["']?(include|extends)["']?\s*:"#));
        static PRODUCTION: LazyLock<Regex> =
            LazyLock::new(|| pattern(r#"(?m)RAILS_ENV["']?\s*[=:]\s*["']?production["']?$"#));
        static VARIABLE: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"\b(S3_\w+|PAPERCLIP_\w+|RAILS_ENV|SWIFT_ENABLED|AZURE_ENABLED|AWS_ENDPOINT_URL\w*)",
            )
        });
        static COMPOSE_FILE: LazyLock<Regex> =
            LazyLock::new(|| pattern(r"(?m)^\s*(?:export\s+)?COMPOSE_(?:FILE|ENV_FILES)\b"));
        if self.unreadable.is_some() {
            return self.unreadable.clone();
        }
        if let Some(found) = OTHER_FILES.captures(&self.text) {
            return Some(format!("the Compose file uses `{}`", &found[1]));
        }
        let text = PRODUCTION.replace_all(&self.text, "");
        if let Some(found) = VARIABLE.captures(&text) {
            return Some(format!("the Compose file sets `{}` itself", &found[1]));
        }
        let of_project = root.join(".env");
        match fs::read_to_string(&of_project) {
            Ok(text) if COMPOSE_FILE.is_match(&text) => {
                return Some(format!(
                    "`{}` names the Compose files",
                    of_project.display()
                ));
            }
            Err(e) if e.kind() != ErrorKind::NotFound => {
                return Some(format!("`{}` cannot be read: {e}", of_project.display()));
            }
            _ => {}
        }
        self.env_file_deviation(root, env_file)
    }

    fn env_file_deviation(&self, root: &Path, env_file: &Path) -> Option<String> {
        static ENV_FILE: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r#"(?m)^\s*env_file:(?:\s*|\s*\n\s*-\s+)["']?([^"'\s\[\]{}&*:,]+)["']?$(\n\s*-)?"#,
            )
        });
        let expected = ENV_FILE
            .captures_iter(&self.text)
            .filter(|found| root.join(found[1].trim_start_matches("./")) == env_file)
            .filter(|found| found.get(2).is_none());
        let other = expected.count() != self.text.matches("env_file").count();
        other.then(|| {
            format!(
                "the Compose file gives the containers another `env_file` than `{}`",
                env_file.display()
            )
        })
    }

    /// `v4.3.1` of `image: ghcr.io/mastodon/mastodon:v4.3.1`.
    pub(super) fn image_tag(&self) -> Option<&str> {
        static IMAGE: LazyLock<Regex> =
            LazyLock::new(|| pattern(r#"(?m)^\s*image:\s*["']?\S*mastodon:(\S+?)["']?\s*$"#));
        let found = IMAGE.captures_iter(&self.text).last()?;
        found.get(1).map(|tag| tag.as_str())
    }

    /// `./public/system` of `- ./public/system:/mastodon/public/system`.
    pub(super) fn mounted_media_dir(&self) -> Option<&str> {
        static VOLUME: LazyLock<Regex> = LazyLock::new(|| {
            pattern(r#"(?m)^\s*-\s*["']?([./][^:"'\n]*):/[^:"'\n]*public/system(?::\w+)?["']?\s*$"#)
        });
        let found = VOLUME.captures_iter(&self.text).last()?;
        found.get(1).map(|path| path.as_str())
    }

    /// Whether the files name Mastodon's media directory.
    pub(super) fn names_media(&self) -> bool {
        self.text.contains("public/system")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MASTODONS_OWN: &str = "services:\n  web:\n    image: ghcr.io/mastodon/mastodon:v4.3.17\n    # environment: { S3_ENABLED: true }\n    env_file: .env.production # edit this\n    volumes:\n      - ./public/system:/mastodon/public/system\n  sidekiq:\n    env_file:\n      - ./.env.production\n    environment:\n      RAILS_ENV: production\n";

    /// The deviation of Mastodon's own file with these texts appended.
    #[track_caller]
    fn check(files: &[(&str, &str)], expected: Option<&str>) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("compose.yml"), MASTODONS_OWN).unwrap();
        for (name, added) in files {
            let path = dir.path().join(name);
            let before = fs::read_to_string(&path).unwrap_or_default();
            fs::write(path, before + added).unwrap();
        }
        let compose = find(dir.path()).unwrap();
        let why = compose.deviation(dir.path(), &dir.path().join(".env.production"));
        match (&why, expected) {
            (None, None) => {}
            (Some(why), Some(part)) => assert!(why.contains(part), "{files:?}: {why}"),
            _ => panic!("{files:?}: {why:?}"),
        }
    }

    #[test]
    fn whatever_may_change_settings_is_a_deviation() {
        fn own(added: &str) -> [(&str, &str); 1] {
            [("compose.yml", added)]
        }
        check(&[], None);
        check(&own("    environment:\n      - LOCAL_DOMAIN=a\n"), None);
        check(
            &own("    environment:\n      - S3_ENABLED=true\n"),
            Some("`S3_ENABLED` itself"),
        );
        check(
            &own("    environment: { \"PAPERCLIP_ROOT_PATH\": /m }\n"),
            Some("`PAPERCLIP_ROOT_PATH`"),
        );
        check(
            &own("    environment:\n      RAILS_ENV: staging\n"),
            Some("`RAILS_ENV`"),
        );
        check(&own("      S3_BUCKET:\n"), Some("`S3_BUCKET`"));
        check(&own("include:\n  - other.yml\n"), Some("`include`"));
        check(
            &own("  more:\n    extends: { file: a.yml, service: web }\n"),
            Some("`extends`"),
        );
        for env_file in [
            " .env.other",
            "\n      - .env.production\n      - .env.s3",
            "\n      - path: .env.production",
            " [.env.production, .env.s3]",
            " ${FILE}",
            " *files",
        ] {
            let added = format!("  more:\n    env_file:{env_file}\n");
            check(&own(&added), Some("another `env_file`"));
        }
        check(
            &[(".env", "COMPOSE_FILE=a.yml:b.yml\n")],
            Some("names the Compose files"),
        );
        check(&[(".env", "VERSION=4\n")], None);
    }

    #[test]
    fn an_override_file_counts_too() {
        let name = "docker-compose.override.yml";
        check(&[(name, "services:\n  web:\n    ports: []\n")], None);
        check(
            &[(
                name,
                "services:\n  web:\n    environment:\n      S3_ENABLED: 'true'\n",
            )],
            Some("`S3_ENABLED`"),
        );
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("docker-compose.yaml"), MASTODONS_OWN).unwrap();
        let over = "services:\n  web:\n    volumes:\n      - /srv/media:/mastodon/public/system\n";
        fs::write(dir.path().join(name), over).unwrap();
        let compose = find(dir.path()).unwrap();
        assert_eq!(compose.mounted_media_dir(), Some("/srv/media"));
        assert_eq!(compose.image_tag(), Some("v4.3.17"));
        assert_eq!(compose.files.len(), 2);
        fs::remove_file(dir.path().join(name)).unwrap();
        std::os::unix::fs::symlink("nowhere", dir.path().join(name)).unwrap();
        let compose = find(dir.path()).unwrap();
        let why = compose.deviation(dir.path(), &dir.path().join(".env.production"));
        assert!(why.is_some_and(|why| why.contains("cannot be read")));
    }
}
