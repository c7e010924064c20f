//! `env` on the real binary: what it writes, what it prints, what it keeps to itself.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use anyhow::Result;
use e2e::medialift::{self, Ran};

const KEY_ID: &str = "00161f959a5f87b0000000005";
const KEY: &str = "K001abcdefghijklmnopqrstuvwxyz1";
const PURGE_SECRET: &str = "correct horse battery staple";

/// A file as an instance has it before, with what an editor could break.
const BEFORE: &str = "# This is a sample configuration file\r
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

struct World {
    dir: tempfile::TempDir,
}

impl World {
    fn new(text: &str) -> Result<Self> {
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

    fn path(&self) -> std::path::PathBuf {
        self.dir.path().join(".env.production")
    }

    fn text(&self) -> Result<String> {
        Ok(fs::read_to_string(self.path())?)
    }

    fn env(&self, arguments: &[&str]) -> Result<Ran> {
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
    fn backups(&self) -> Result<Vec<std::path::PathBuf>> {
        let mut kept = self.kept()?;
        kept.retain(|path| path.extension().is_none_or(|end| end != "written"));
        Ok(kept)
    }

    /// The same, with what is kept beside each.
    fn kept(&self) -> Result<Vec<std::path::PathBuf>> {
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
    fn written(&self, key: &str) -> Result<Option<String>> {
        let text = self.text()?;
        let value = |line: &str| {
            let line = line.strip_prefix("export ").unwrap_or(line);
            Some(line.strip_prefix(key)?.strip_prefix('=')?.to_owned())
        };
        Ok(text.lines().filter_map(value).next_back())
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("the file").permissions().mode() & 0o7777
}

#[test]
fn the_switch_changes_the_media_settings_and_not_a_byte_besides() -> Result<()> {
    let world = World::new(BEFORE)?;
    let owner = fs::metadata(world.path())?.uid();
    let ran = world.env(&[])?.expect(0);
    insta::assert_snapshot!("env_switch", shown(&ran, world.dir.path()));
    let text = world.text()?;
    insta::assert_snapshot!("env_switched_file", text.replace('\r', "␍"));
    let kept = |text: &str| -> Vec<String> {
        text.lines()
            .filter(|l| !l.contains("S3_") && !l.contains("AWS_") && !l.contains("CACHE_BUSTER"))
            .map(str::to_owned)
            .collect()
    };
    assert_eq!(kept(BEFORE), kept(&text));
    assert_eq!(mode(&world.path()), 0o640);
    assert_eq!(fs::metadata(world.path())?.uid(), owner);
    let backups = world.backups()?;
    assert_eq!(backups.len(), 1);
    assert_eq!(fs::read_to_string(&backups[0])?, BEFORE);
    assert_eq!(mode(&backups[0]), 0o640);
    Ok(())
}

/// Root alone may give a file away; for anybody else the owner is the test's own.
#[test]
fn owner_group_and_a_narrow_mode_are_kept() -> Result<()> {
    let world = World::new(BEFORE)?;
    let given_away = std::os::unix::fs::chown(world.path(), Some(1234), Some(5678)).is_ok();
    fs::set_permissions(world.path(), fs::Permissions::from_mode(0o600))?;
    let before = fs::metadata(world.path())?;
    assert_eq!(given_away, before.uid() == 1234);
    world.env(&[])?.expect(0);
    for path in [world.path(), world.backups()?.remove(0)] {
        let after = fs::metadata(path)?;
        assert_eq!((after.uid(), after.gid()), (before.uid(), before.gid()));
        assert_eq!(after.mode(), before.mode());
    }
    Ok(())
}

#[test]
fn run_twice_it_changes_nothing_and_reports_that() -> Result<()> {
    let world = World::new(BEFORE)?;
    world.env(&[])?.expect(0);
    let after_first = world.text()?;
    let ran = world.env(&[])?.expect(0);
    assert!(ran.stdout.contains("nothing to change"), "{}", ran.stdout);
    assert_eq!(world.text()?, after_first);
    assert_eq!(world.backups()?.len(), 1);
    Ok(())
}

#[test]
fn a_dry_run_shows_the_changes_and_makes_none() -> Result<()> {
    let world = World::new(BEFORE)?;
    let ran = world.env(&["--dry-run"])?.expect(0);
    assert!(
        ran.stdout
            .contains("-S3_BUCKET=older-bucket\n+S3_BUCKET=my-instance-media")
    );
    assert!(ran.stdout.contains("+AWS_SECRET_ACCESS_KEY=(new secret)"));
    assert_eq!(world.text()?, BEFORE);
    assert!(world.backups()?.is_empty());
    Ok(())
}

#[test]
fn announcing_adds_the_files_domain_to_what_is_there() -> Result<()> {
    let world = World::new("EXTRA_MEDIA_HOSTS=https://old.example\nA=b\n")?;
    let ran = world.env(&["--announce"])?.expect(0);
    assert_eq!(
        world.text()?,
        "EXTRA_MEDIA_HOSTS=https://old.example,https://files.example.com\nA=b\n"
    );
    assert!(ran.stderr.contains("about a week") && ran.stderr.contains("4.4.0"));
    let ran = world.env(&["--announce"])?.expect(0);
    assert!(ran.stdout.contains("nothing to change"));
    Ok(())
}

#[test]
fn lint_names_each_pitfall_with_a_hint() -> Result<()> {
    let world = World::new(&format!(
        "S3_ENABLED=true\nS3_BUCKET=my-instance-media \nS3_REGION=us-west-001\n\
         S3_ENDPOINT=s3.us-west-004.backblazeb2.com\nS3_ALIAS_HOST=https://files.example.com/\n\
         S3_PERMISSION=private\nAWS_ACCESS_KEY_ID=161f959a5f87\n\
         AWS_SECRET_ACCESS_KEY='\"{KEY}\"'\nCACHE_BUSTER_ENABLED=true\n"
    ))?;
    let ran = world.env(&["--lint", "--visibility", "public"])?.expect(3);
    insta::assert_snapshot!("env_lint", shown(&ran, world.dir.path()));
    let json = world
        .env(&["--lint", "--visibility", "public", "--json"])?
        .expect(3)
        .json()?;
    let rules: Vec<&str> = json["findings"]
        .as_array()
        .expect("findings")
        .iter()
        .filter_map(|f| f["rule"].as_str())
        .collect();
    for rule in [
        "master-key",
        "endpoint-scheme",
        "region",
        "alias-host",
        "permission",
    ] {
        assert!(rules.contains(&rule), "{rule} in {rules:?}");
    }
    Ok(())
}

#[test]
fn what_the_switch_writes_has_nothing_to_lint() -> Result<()> {
    let world = World::new("LOCAL_DOMAIN=example.com\n")?;
    world.env(&[])?.expect(0);
    let ran = world.env(&["--lint", "--visibility", "public"])?.expect(0);
    assert!(ran.stdout.contains("no mistake found"), "{}", ran.stdout);
    world.env(&["--visibility", "private"])?.expect(0);
    world.env(&["--lint", "--visibility", "private"])?.expect(0);
    Ok(())
}

/// With the wrong one every upload is refused, so it is never guessed.
#[test]
fn who_may_read_the_bucket_must_be_said() -> Result<()> {
    let world = World::new(BEFORE)?;
    fs::remove_file(world.dir.path().join("medialift.toml"))?;
    let ran = world.env(&[])?.expect(2);
    assert!(
        ran.stderr.contains("public or private") && ran.stderr.contains("\nhint: "),
        "{}",
        ran.stderr
    );
    assert_eq!(world.text()?, BEFORE);
    world.env(&["--visibility", "private"])?.expect(0);
    assert!(world.text()?.contains("S3_PERMISSION=private"));
    let ran = world.env(&["--lint"])?.expect(0);
    assert!(
        ran.stdout.contains("not checked: whether `S3_PERMISSION`"),
        "{}",
        ran.stdout
    );
    let report = world.env(&["--lint", "--json"])?.expect(0).json()?;
    assert_eq!(report["unchecked"], serde_json::json!(["permission"]));
    let report = world
        .env(&["--lint", "--visibility", "public", "--json"])?
        .expect(3)
        .json()?;
    assert_eq!(report["unchecked"], serde_json::json!([]));
    Ok(())
}

#[test]
fn a_link_stays_a_link() -> Result<()> {
    let world = World::new("A=b\n")?;
    fs::rename(world.path(), world.dir.path().join("shared.env"))?;
    std::os::unix::fs::symlink("shared.env", world.path())?;
    world.env(&[])?.expect(0);
    assert!(fs::symlink_metadata(world.path())?.is_symlink());
    assert!(world.text()?.contains("S3_ENABLED=true"));
    Ok(())
}

#[test]
fn a_master_key_is_refused_before_anything_is_written() -> Result<()> {
    let world = World::new(BEFORE)?;
    let mut command = medialift::command(world.dir.path())?;
    command
        .args(["env", "--files-url", "https://files.example.com"])
        .args(["--bucket", "my-instance-media"])
        .args(["--endpoint", "s3.us-west-004.backblazeb2.com"])
        .env("B2_APPLICATION_KEY_ID", "161f959a5f87")
        .env("B2_APPLICATION_KEY", KEY);
    let ran = medialift::run(&mut command)?.expect(2);
    assert!(ran.stderr.contains("master key"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: "), "{}", ran.stderr);
    assert_eq!(world.text()?, BEFORE);
    Ok(())
}

#[test]
fn an_open_quote_before_the_settings_stops_it() -> Result<()> {
    let before = "DB_PASS='oops\n";
    let world = World::new(before)?;
    let mut command = medialift::command(world.dir.path())?;
    command
        .args(["env", "--visibility", "private"])
        .args(["--files-url", "https://files.example.com"])
        .args(["--bucket", "my-instance-media"])
        .args(["--endpoint", "s3.us-west-004.backblazeb2.com"])
        .env("B2_APPLICATION_KEY_ID", KEY_ID)
        .env("B2_APPLICATION_KEY", KEY)
        .env("PURGE_SECRET", " #");
    medialift::run(&mut command)?.expect(1);
    assert_eq!(world.text()?, before);
    Ok(())
}

/// Mastodon does not start with `export NAME=`.
#[test]
fn nothing_is_written_so_that_no_version_misreads_it() -> Result<()> {
    for (before, line) in [
        (
            "export S3_PERMISSION=public-read\n",
            "export S3_PERMISSION=''",
        ),
        (
            "S3_PERMISSION=public-read # as the guide says\n",
            "# as the guide says\nS3_PERMISSION=''",
        ),
        ("S3_PERMISSION=private \n", "S3_PERMISSION=''"),
        ("S3_PERMISSION='private' # x\n", "# x\nS3_PERMISSION=''"),
        (
            "S3_PERMISSION=public-read\n\"--- mail ---\"\n",
            "S3_PERMISSION=''\n",
        ),
    ] {
        let world = World::new(before)?;
        world.env(&[])?.expect(0);
        assert!(world.text()?.starts_with(line), "{}", world.text()?);
        world.env(&["--lint", "--visibility", "public"])?.expect(0);
    }
    let world = World::new("S3_PERMISSION='private'\nCACHE_BUSTER_SECRET='a'\n")?;
    world.env(&["--no-quotes"])?.expect(0);
    let secret = world.written("CACHE_BUSTER_SECRET")?;
    assert_eq!(secret.as_deref(), Some(PURGE_SECRET));
    assert_eq!(world.written("S3_PERMISSION")?.as_deref(), Some(""));
    Ok(())
}

#[test]
fn a_broken_line_stops_it_and_is_named() -> Result<()> {
    for (before, line) in [
        ("S3_ENABLED=false\nS3_BUCKET=old\nS3_BUCKET\n", 3),
        (
            "S3_ENABLED=true AWS_SECRET_ACCESS_KEY=K001abc CACHE_BUSTER_SECRET=p@ss\n",
            1,
        ),
        ("A=b\nexport SOMETHING=\n", 2),
        ("A=b\nSMTP_SERVER\n", 2),
        ("A=b\nDB_HOST='a' DB_PORT='5432'\n", 2),
    ] {
        let world = World::new(before)?;
        let ran = world.env(&["--visibility", "private"])?.expect(3);
        let place = format!(".env.production:{line}: error: ");
        assert!(ran.stdout.contains(&place), "{}", ran.stdout);
        assert!(ran.stdout.contains("was not changed"), "{}", ran.stdout);
        assert_eq!(world.text()?, before);
        assert!(world.backups()?.is_empty());
        let ran = world.env(&["--lint", "--visibility", "private"])?.expect(3);
        assert!(ran.stdout.contains(&place), "{}", ran.stdout);
    }
    Ok(())
}

#[test]
fn no_secret_shows_however_the_file_is_broken() -> Result<()> {
    let secret = "p@ss-0123456789abcdef";
    for before in [
        format!("S3_ENABLED=true AWS_SECRET_ACCESS_KEY={KEY} CACHE_BUSTER_SECRET={secret}\n"),
        format!("S3_BUCKET=$(echo {secret})\nS3_REGION='{secret}\nS3_BUCKET={KEY}'\n"),
        format!("{KEY}\nexport {KEY}\nS3_ENDPOINT=https://user:{secret}@host/\n"),
        format!("AWS_SECRET_ACCESS_KEY=\"{KEY}\nS3_BUCKET=${KEY}\n"),
    ] {
        for arguments in [
            &["--lint"][..],
            &["--lint", "--json"],
            &["--dry-run"],
            &["--dry-run", "--json"],
            &["--announce", "--dry-run"],
        ] {
            // `env` fails where a secret shows.
            World::new(&before)?.env(arguments)?;
        }
    }
    Ok(())
}

#[test]
fn references_are_read_as_mastodon_reads_them() -> Result<()> {
    let world = World::new("LOCAL_DOMAIN=example.com\n")?;
    world.env(&[])?.expect(0);
    let text = world
        .text()?
        .replace("=files.example.com", "=files.${LOCAL_DOMAIN}")
        .replace("=my-instance-media", "=$NAME-media")
        .replace("S3_ENABLED", "NAME=my-instance\nS3_ENABLED");
    fs::write(world.path(), &text)?;
    let ran = world.env(&["--lint", "--visibility", "public"])?.expect(0);
    assert!(ran.stdout.contains("no mistake found"), "{}", ran.stdout);
    let ran = world.env(&[])?.expect(0);
    assert!(ran.stdout.contains("nothing to change"), "{}", ran.stdout);
    fs::write(world.path(), text.replace("$NAME", "$ELSEWHERE"))?;
    let ran = world.env(&["--lint", "--visibility", "public"])?.expect(0);
    assert!(
        ran.stdout.contains("cannot be determined"),
        "{}",
        ran.stdout
    );
    Ok(())
}

#[test]
fn a_file_that_outranks_it_is_named() -> Result<()> {
    for name in [".env.production.local", ".env.local"] {
        let world = World::new("LOCAL_DOMAIN=example.com\n")?;
        world.env(&[])?.expect(0);
        fs::write(world.dir.path().join(name), "S3_ENABLED=false\n")?;
        let ran = world.env(&["--lint", "--visibility", "public"])?.expect(3);
        assert!(ran.stdout.contains(name), "{}", ran.stdout);
        let before = world.text()?;
        let ran = world.env(&["--visibility", "private"])?.expect(3);
        assert!(ran.stdout.contains("outranks"), "{}", ran.stdout);
        assert_eq!(world.text()?, before);
    }
    Ok(())
}

#[test]
fn retries_and_timeouts_are_written_unless_they_are_set() -> Result<()> {
    let world = World::new("S3_READ_TIMEOUT=60\n")?;
    world.env(&[])?.expect(0);
    assert_eq!(world.written("S3_RETRY_LIMIT")?.as_deref(), Some("3"));
    assert_eq!(world.written("S3_READ_TIMEOUT")?.as_deref(), Some("60"));
    assert_eq!(world.written("S3_OPEN_TIMEOUT")?.as_deref(), Some("10"));
    Ok(())
}

#[test]
fn announcing_needs_a_mastodon_that_reads_it() -> Result<()> {
    for (minor, reads_it) in [(3, false), (4, true)] {
        let world = World::new("A=b\n")?;
        fs::create_dir_all(world.dir.path().join("lib/mastodon"))?;
        fs::write(
            world.dir.path().join("lib/mastodon/version.rb"),
            format!("def major\n  4\nend\ndef minor\n  {minor}\nend\ndef patch\n  1\nend\n"),
        )?;
        let ran = world.env(&["--announce"])?.expect(0);
        assert_eq!(
            ran.stderr.contains("about a week"),
            reads_it,
            "{}",
            ran.stderr
        );
        assert_eq!(
            ran.stdout.contains("does not read"),
            !reads_it,
            "{}",
            ran.stdout
        );
    }
    Ok(())
}

#[test]
fn each_undo_takes_one_change_back() -> Result<()> {
    let world = World::new(BEFORE)?;
    world.env(&["--announce"])?.expect(0);
    let announced = world.text()?;
    world.env(&[])?.expect(0);
    let ran = world.env(&["--undo", "--dry-run"])?.expect(0);
    assert!(
        ran.stdout.contains("-S3_ENABLED=true\n+S3_ENABLED=false"),
        "{}",
        ran.stdout
    );
    world.env(&["--undo"])?.expect(0);
    assert_eq!(world.text()?, announced);
    world.env(&["--undo"])?.expect(0);
    assert_eq!(world.text()?, BEFORE);
    assert_eq!(mode(&world.path()), 0o640);
    let ran = world.env(&["--undo"])?.expect(2);
    assert!(ran.stderr.contains("no backup"), "{}", ran.stderr);
    Ok(())
}

/// Another setting, such as a password, was changed since the switch.
#[test]
fn an_undo_that_would_lose_edits_by_hand_is_refused() -> Result<()> {
    let world = World::new(BEFORE)?;
    world.env(&[])?.expect(0);
    let edited = format!("{}\nSMTP_PASSWORD=p@ss-by-hand # mine\n", world.text()?);
    fs::write(world.path(), &edited)?;
    for flags in [&["--undo"][..], &["--undo", "--dry-run"]] {
        let ran = world.env(flags)?.expect(3);
        assert!(ran.stderr.contains("was edited since"), "{}", ran.stderr);
        assert!(ran.stderr.contains("--discard-edits"), "{}", ran.stderr);
        assert!(ran.stderr.contains(".before-"), "{}", ran.stderr);
        assert_eq!(world.text()?, edited);
    }
    // What would change is named, and no value of it is shown.
    let ran = world.env(&["--undo", "--dry-run"])?.expect(3);
    assert!(ran.stdout.contains("-SMTP_PASSWORD="), "{}", ran.stdout);
    world.env(&["--discard-edits"])?.expect(2);
    let json = world
        .env(&["--undo", "--discard-edits", "--json"])?
        .expect(0)
        .json()?;
    assert_eq!(world.text()?, BEFORE);
    let kept = json["backup"].as_str().expect("a path");
    assert_eq!(fs::read_to_string(kept)?, edited);
    Ok(())
}

/// An earlier version kept no hash of what it wrote.
#[test]
fn an_undo_without_a_record_of_what_was_written_is_refused() -> Result<()> {
    let world = World::new(BEFORE)?;
    world.env(&[])?.expect(0);
    for path in world.kept()? {
        if path.extension().is_some_and(|end| end == "written") {
            fs::remove_file(path)?;
        }
    }
    let ran = world.env(&["--undo"])?.expect(3);
    assert!(ran.stderr.contains("is not known"), "{}", ran.stderr);
    world.env(&["--undo", "--discard-edits"])?.expect(0);
    assert_eq!(world.text()?, BEFORE);
    Ok(())
}

/// Both streams, without what differs from run to run.
fn shown(ran: &Ran, directory: &Path) -> String {
    let text = format!("{}---- stderr\n{}", ran.stdout, ran.stderr);
    let directory = fs::canonicalize(directory).expect("the directory");
    let text = text.replace(&format!("{}/", directory.display()), "");
    let Some((before, after)) = text.split_once(".env.production.") else {
        return text;
    };
    let end = after.find('Z').map_or(0, |at| at + 1);
    format!("{before}.env.production.PLACE.before-DATE{}", &after[end..])
}
