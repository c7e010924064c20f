//! What `--undo` restores, and which edits by hand it does not discard.

use std::fs;

use anyhow::Result;

use super::world::{BEFORE, World, mode};

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
