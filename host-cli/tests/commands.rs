//! The page of commands is what the command's help says; what all flags and settings have in common.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::CommandFactory as _;
use medialift::cli::Cli;
use medialift::config;

/// `UPDATE_DOCS=1` writes the page instead of comparing it.
#[test]
fn the_page_of_commands_is_what_the_help_says() {
    let overview = help(&[]);
    let mut page = String::from(
        "# Commands\n\nMade from `medialift help` by `cargo xtask docs`; do not edit it.\n",
    );
    write!(page, "\n```text\n{overview}\n```\n").unwrap();
    let commands = overview
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // A name stands two columns in; what wraps stands further.
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help");
    for name in commands {
        let help = help(&[name]);
        write!(page, "\n## medialift {name}\n\n```text\n{help}\n```\n").unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert!(
        fs::read_to_string(&path).unwrap() == page,
        "`docs/commands.md` is not what the command's help says: run `cargo xtask docs`"
    );
}

/// A flag's value shows in the list of processes.
#[test]
fn no_flag_takes_a_secret() {
    let harmless = [
        "another-key",
        "key-file",
        "key-name",
        "key-prefix",
        "secret-file",
    ];
    let secret = ["key", "secret", "password", "token"];
    for command in Cli::command().get_subcommands() {
        for argument in command.get_arguments() {
            let flag = argument.get_long().unwrap_or_default();
            assert!(
                harmless.contains(&flag) || !secret.iter().any(|word| flag.contains(word)),
                "`{} --{flag}`",
                command.get_name()
            );
        }
    }
}

#[test]
fn the_page_of_the_migration_names_every_setting_of_the_file() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/migrate.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, tables) = page
        .split_once("\n## Settings of `medialift.toml`")
        .unwrap();
    for table in ["", "[mastodon]\n", "[nginx]\n"] {
        let refusal = toml::from_str::<config::File>(&format!("{table}unknown = 1")).unwrap_err();
        let (_, names) = refusal.message().split_once("expected one of ").unwrap();
        for name in names.split(", ") {
            let name = name.replace(['`', '\n'], "");
            let named = if ["mastodon", "nginx"].contains(&&*name) {
                format!("`[{name}]`")
            } else {
                format!("`{name}`")
            };
            assert!(tables.contains(&named), "{named}");
        }
    }
}

/// What `--help` prints; it shows what variables hold, so none of ours may be set.
fn help(command: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_medialift"))
        .args(command)
        .arg("--help")
        .env_clear()
        .env("NO_COLOR", "1")
        .output()
        .expect("the help");
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
    lines.join("\n")
}
