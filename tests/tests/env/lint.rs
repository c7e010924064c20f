//! Which mistakes `--lint` finds, and how it reads what the file refers to.

use std::fs;

use anyhow::Result;

use super::world::{KEY, World, shown};

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
