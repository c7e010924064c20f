//! Which key is used: that of a flag, of the environment or of the settings file; and a wrong one.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use anyhow::Result;
use e2e::media::{files, write};
use e2e::medialift;
use testkit::stack::OriginOptions;

use super::{FILES, uploaded};

#[test]
fn a_wrong_key_changes_nothing_and_is_explained() -> Result<()> {
    let media = uploaded()?;
    let mut command = media.command(&["cutover", "public/system"])?;
    command.env("B2_APPLICATION_KEY_ID", "161f959a5f87");
    let ran = medialift::run(&mut command)?.expect(1);
    assert!(ran.stderr.contains("\nhint: "), "{}", ran.stderr);
    assert_eq!(files(&media.live())?.len(), FILES.len());
    Ok(())
}

/// Flags outrank the environment, which outranks the settings file.
#[test]
fn the_key_is_that_of_the_flag_then_of_the_environment_then_of_the_configuration() -> Result<()> {
    let media = uploaded()?;
    let right = (OriginOptions::KEY_ID, OriginOptions::KEY);
    let wrong = ("00161f959a5f87b0000000009", "wrong");
    for (name, (id, key)) in [("right.key", right), ("wrong.key", wrong)] {
        let path = media.path().join(name);
        let text = format!("B2_APPLICATION_KEY_ID={id}\nB2_APPLICATION_KEY={key}\n");
        write(&path, &text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    }
    let check = |flag: &[&str], variables, configured: &str, code| -> Result<()> {
        let config = media.path().join("medialift.toml");
        write(&config, &format!("key_file = \"{configured}\"\n"))?;
        let mut command = media.command(&["cutover", "public/system", "--dry-run"])?;
        command
            .env_remove("B2_APPLICATION_KEY_ID")
            .env_remove("B2_APPLICATION_KEY");
        if let Some((id, key)) = variables {
            command
                .env("B2_APPLICATION_KEY_ID", id)
                .env("B2_APPLICATION_KEY", key);
        }
        medialift::run(command.args(flag))?.expect(code);
        Ok(())
    };
    check(&["--key-file", "right.key"], Some(wrong), "wrong.key", 0)?;
    check(&["--key-file", "wrong.key"], Some(right), "right.key", 1)?;
    check(&[], Some(right), "wrong.key", 0)?;
    check(&[], Some(wrong), "right.key", 1)?;
    check(&[], None, "right.key", 0)
}
