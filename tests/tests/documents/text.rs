//! The commands in the text of the pages: each is run once, on one of two machines.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;

use anyhow::{Result, ensure};

use super::machine::{Machine, ended};
use super::table::{ENDS, PLACEHOLDERS, SWITCH};
use super::{commands, pages, program};

/// Programs whose commands are about the worker or this repository. The others are run on the Mastodon host.
const OF_THE_REPOSITORY: [&str; 6] = ["b2", "cargo", "git", "npm", "npx", "wrangler"];

/// A command with texts in the place of its placeholders.
fn replaced(code: &str) -> String {
    let start = code.to_owned();
    PLACEHOLDERS
        .iter()
        .fold(start, |command, (text, with)| command.replace(text, with))
}

/// A run of commands in the text of the pages, and those that did not end as they should.
struct Text<'a> {
    machine: &'a Machine,
    faults: Vec<String>,
}

impl Text<'_> {
    /// Runs each command of the pages once whose program is `selected`, without those of [`SWITCH`].
    fn check_all(&mut self, selected: impl Fn(&str) -> bool) -> Result<()> {
        let mut done = BTreeSet::new();
        for (name, page) in &pages()? {
            for (line, command) in commands(page)? {
                if selected(program(command).unwrap_or_default())
                    && !SWITCH.contains(&command)
                    && done.insert(replaced(command))
                {
                    self.check(&format!("{name}:{line}"), command)?;
                }
            }
        }
        Ok(())
    }

    fn check(&mut self, place: &str, code: &str) -> Result<()> {
        let command = replaced(code);
        let end = ENDS.iter().find(|(text, ..)| *text == code);
        if let Err(error) = ended(self.machine.run(&command)?, end.map_or(0, |end| end.1)) {
            self.faults.push(format!("{place}: `{command}`: {error}"));
        }
        Ok(())
    }

    fn ensure_no_faults(self) -> Result<()> {
        let log = self.machine.world.edge.as_ref().map(|edge| edge.log());
        ensure!(
            self.faults.is_empty(),
            "{}\nThe worker's log:\n{}",
            self.faults.join("\n"),
            log.unwrap_or_default()
        );
        Ok(())
    }
}

#[test]
fn every_command_of_the_host_in_the_text_ends_as_it_should() -> Result<()> {
    let mut machine = Machine::start("private", true)?;
    machine.steps(&["secret", "provision", "bulk"])?;
    machine.start_edge()?;
    symlink(machine.world.live().join("lib"), machine.file("lib"))?;
    fs::write(machine.file("Gemfile.lock"), "    aws-sdk-s3 (1.201.0)\n")?;
    fs::write(machine.file("purges.txt"), "accounts/avatars/1.png\n")?;
    // As messages of the dead-letter queue have it.
    fs::write(machine.file("paths"), "/accounts/avatars/a%20b.png\n")?;
    fs::write(machine.file("secrets.env"), "")?;
    let mut text = Text {
        machine: &machine,
        faults: Vec::new(),
    };
    text.check_all(|program| !OF_THE_REPOSITORY.contains(&program))?;
    for command in SWITCH {
        text.check("the switch", command)?;
    }
    text.ensure_no_faults()
}

#[test]
fn every_command_of_the_repository_in_the_text_ends_as_it_should() -> Result<()> {
    let mut machine = Machine::start("private", true)?;
    machine.steps(&["secret", "provision"])?;
    fs::write(machine.file("secrets.env"), "")?;
    let mut text = Text {
        machine: &machine,
        faults: Vec::new(),
    };
    text.check_all(|program| OF_THE_REPOSITORY.contains(&program))?;
    text.ensure_no_faults()
}
