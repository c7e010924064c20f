//! What the switch writes, and that all else of the file stays as it was.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use anyhow::Result;

use super::world::{BEFORE, PURGE_SECRET, World, mode, shown};

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
fn retries_and_timeouts_are_written_unless_they_are_set() -> Result<()> {
    let world = World::new("S3_READ_TIMEOUT=60\n")?;
    world.env(&[])?.expect(0);
    assert_eq!(world.written("S3_RETRY_LIMIT")?.as_deref(), Some("3"));
    assert_eq!(world.written("S3_READ_TIMEOUT")?.as_deref(), Some("60"));
    assert_eq!(world.written("S3_OPEN_TIMEOUT")?.as_deref(), Some("10"));
    Ok(())
}
