//! The page of commands is what the command's help says; what all flags and settings have in common.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use clap::{Args as _, CommandFactory as _, Parser as _};
use medialift::cli::{Cli, Command as Subcommand, Global};
use medialift::config::{self, TargetArgs};

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
        "purge-secret-file",
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

/// The heading of a flattened struct applies to every later argument that has none.
#[test]
fn a_shared_heading_is_over_its_own_arguments_alone() {
    let of_bucket = TargetArgs::augment_args(clap::Command::new("bucket"));
    let global = Global::augment_args(clap::Command::new("global"));
    let mut cli = Cli::command();
    cli.build();
    for command in cli.get_subcommands() {
        for (heading, shared) in [("Bucket", &of_bucket), ("Global options", &global)] {
            let is_shared = |id: &clap::Id| {
                shared
                    .get_arguments()
                    .any(|argument| argument.get_id() == id)
            };
            let others: Vec<&str> = command
                .get_arguments()
                .filter(|argument| argument.get_help_heading() == Some(heading))
                .map(|argument| argument.get_id())
                .filter(|id| !is_shared(id))
                .map(clap::Id::as_str)
                .collect();
            // `nginx` takes the bucket's visibility, and no key.
            let expected: &[&str] = match (command.get_name(), heading) {
                ("nginx", "Bucket") => &["visibility"],
                _ => &[],
            };
            assert_eq!(others, expected, "`{}`: {heading}", command.get_name());
        }
        for argument in global.get_arguments() {
            let there = command
                .get_arguments()
                .find(|there| there.get_id() == argument.get_id())
                .expect("a global argument");
            assert_eq!(there.get_help_heading(), Some("Global options"));
        }
    }
}

/// Scripts may have the names of 0.1.0.
#[test]
fn flags_of_0_1_0_still_work() {
    let parse = |arguments: &[&str]| {
        let arguments = ["medialift"].iter().chain(arguments);
        Cli::try_parse_from(arguments)
            .expect("a command line")
            .command
    };
    let Subcommand::Cutover(cutover) = parse(&["cutover", "--readers", "7"]) else {
        panic!("not `cutover`");
    };
    assert_eq!(cutover.concurrency, 7);
    let Subcommand::Prune(prune) = parse(&["prune", "--at-a-time", "7", "--dir", "copy"]) else {
        panic!("not `prune`");
    };
    assert_eq!(prune.concurrency, 7);
    assert_eq!(prune.delete_from.as_deref(), Some(Path::new("copy")));
    let purge = [
        "purge",
        "a",
        "--method",
        "post",
        "--header",
        "X-A",
        "--secret-file",
        "b",
    ];
    let Subcommand::Purge(purge) = parse(&purge) else {
        panic!("not `purge`");
    };
    assert_eq!(purge.purge_method.as_str(), "POST");
    assert_eq!(purge.secret.purge_header, "X-A");
    assert_eq!(
        purge.secret.purge_secret_file.as_deref(),
        Some(Path::new("b"))
    );
}

#[test]
fn every_dry_run_has_a_short_flag() {
    for command in Cli::command().get_subcommands() {
        for argument in command.get_arguments() {
            if argument.get_long() == Some("dry-run") {
                assert_eq!(argument.get_short(), Some('n'), "`{}`", command.get_name());
            }
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
