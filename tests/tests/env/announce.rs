//! What `--announce` writes before the switch, and which Mastodon reads it.

use std::fs;

use anyhow::Result;

use super::world::World;

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
