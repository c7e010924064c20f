//! Every command of the documents is run: blocks of `sh` in the order of their page, then the commands
//! within the text. They are read from the pages; `table.rs` has what is run in place of a command that cannot
//! run here. The steps of `docs/migrate.md` are run by the suite `migrate`.

mod machine;
mod messages;
mod names;
mod table;
mod text;

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, bail, ensure};
use e2e::client::Client;
use e2e::script::{Kind, Page, read};
use regex::Regex;
use testkit::process::scratch_directory;
use testkit::stack::{Nginx, free_address};

use machine::{Machine, ended, page, program_of};
use table::{ENDS, INSTEAD, NO_COMMANDS, PLACEHOLDERS, REAL, SWITCH};

/// Pages with blocks of `sh`, by the test that runs them.
const HOST: &[&str] = &["README.md"];
const DEPLOYMENT: &[&str] = &["docs/deploy.md", "deploy/README.md"];
const OPERATION: &[&str] = &["docs/operate.md", "docs/migrate.md", "docs/release.md"];
const OWN_HOST: &[&str] = &["docs/self-host.md"];
const REPOSITORY: &[&str] = &["docs/CONTRIBUTING.md", "tests/scenarios/README.md"];

/// Pages that programs make.
const GENERATED: [&str; 4] = [
    "settings.md",
    "commands.md",
    "examples.md",
    "performance.md",
];

/// All pages that people write, with what is in them.
fn pages() -> Result<Vec<(String, Page)>> {
    let mut names = vec![
        "README.md".to_owned(),
        "deploy/README.md".to_owned(),
        "tests/scenarios/README.md".to_owned(),
    ];
    for folder in ["docs", "docs/decisions"] {
        for entry in fs::read_dir(testkit::root().join(folder))? {
            let name = entry?.file_name().into_string().unwrap_or_default();
            if name.ends_with(".md") && !GENERATED.contains(&name.as_str()) {
                names.push(format!("{folder}/{name}"));
            }
        }
    }
    names.sort();
    names
        .into_iter()
        .map(|name| {
            let read = read(&page(&name)?).with_context(|| name.clone())?;
            Ok((name, read))
        })
        .collect()
}

/// The program of a command, after the variables that are set for it.
fn program(code: &str) -> Option<&str> {
    let assignment = Regex::new(r#"^[A-Z][A-Z0-9_]*=("[^"]*"|\S*) "#).expect("an expression");
    let mut rest = code;
    while let Some(found) = assignment.find(rest) {
        rest = &rest[found.end()..];
    }
    rest.trim_end().split_once(' ').map(|(program, _)| program)
}

fn is_known(program: &str) -> bool {
    REAL.contains(&program)
        || INSTEAD
            .iter()
            .any(|entry| program_of(entry.command) == program)
}

/// The commands in the text of a page, with their lines.
fn commands(page: &Page) -> Result<Vec<(usize, &str)>> {
    let mut commands = Vec::new();
    for (line, code) in &page.spans {
        let Some(program) = program(code) else {
            continue;
        };
        let is_none = |(text, _): &(&str, &str)| match text.strip_suffix('…') {
            Some(beginning) => code.starts_with(beginning),
            None => text == code,
        };
        if NO_COMMANDS.iter().any(is_none) {
            continue;
        }
        if is_known(program) {
            commands.push((*line, code.as_str()));
        } else {
            let is_flag = program.starts_with('-');
            ensure!(
                is_flag || !code.contains(" --"),
                "line {line}: is `{code}` a command? `table.rs` names neither its program nor it"
            );
        }
    }
    Ok(commands)
}

#[test]
fn every_command_is_one_that_a_test_runs() -> Result<()> {
    let run = [HOST, DEPLOYMENT, OPERATION, OWN_HOST, REPOSITORY].concat();
    let mut text = String::new();
    for (name, page) in pages()? {
        let in_page = || format!("in `{name}`");
        for block in &page.blocks {
            if block.language == "sh" {
                let is_run = run.contains(&name.as_str()) || block.kind == Kind::Step;
                ensure!(is_run, "`{name}` has commands, and no test runs them");
                text += &block.text;
                continue;
            }
            // A block of another language is not run.
            let command = block.text.lines().find(|line| {
                let program = program_of(line.trim_start_matches("$ "));
                block.language != "toml" && line.contains(' ') && is_known(program)
            });
            if let Some(command) = command {
                bail!(
                    "{}:{}: `{command}` in a block that is not `sh`",
                    name,
                    block.line
                );
            }
        }
        for (_, command) in commands(&page).with_context(in_page)? {
            text += &format!("{command}\n");
        }
        for (_, code) in &page.spans {
            text += &format!("`{code}`\n");
        }
    }
    // Entries of the table that no page needs.
    let words: BTreeSet<&str> = text.split([' ', '\n', '(', ';', '`', '$']).collect();
    let unused_programs = REAL.iter().filter(|program| !words.contains(*program));
    let named = (INSTEAD.iter().map(|entry| entry.command))
        .chain(PLACEHOLDERS.iter().map(|(text, _)| *text))
        .chain(ENDS.iter().map(|(text, ..)| *text))
        .chain(NO_COMMANDS.iter().map(|(text, _)| *text))
        .chain(SWITCH.iter().copied());
    // As bash passes it on.
    let as_passed = text.replace("\"\"", "");
    let unused: Vec<&str> = named
        .filter(|part| {
            let beginning = part.strip_suffix('…').unwrap_or(part);
            !text.contains(beginning) && !as_passed.contains(beginning)
        })
        .chain(unused_programs.copied())
        .collect();
    ensure!(
        unused.is_empty(),
        "no page has this of the table any more: {unused:#?}"
    );
    Ok(())
}

/// Runs the blocks of these pages that no other suite runs.
fn run_blocks(machine: &mut Machine, names: &[&str]) -> Result<()> {
    for name in names {
        for block in read(&page(name)?)?.blocks {
            if block.language != "sh" || block.kind != Kind::Plain {
                continue;
            }
            let is_of_the_worker = ["https://files.example.com", "medialift verify"]
                .iter()
                .any(|part| block.text.contains(part));
            if is_of_the_worker && machine.world.edge.is_none() && *name != OWN_HOST[0] {
                machine.start_edge()?;
            }
            let place = match *name {
                "deploy/README.md" => "cd medialift-worker\n",
                _ => "",
            };
            machine
                .run(&format!("{place}{}", block.text))
                .and_then(|ran| ended(ran, 0))
                .with_context(|| format!("{name}:{}:\n{}", block.line, block.text))?;
        }
    }
    Ok(())
}

#[test]
fn the_migration_in_eight_lines_is_one() -> Result<()> {
    let mut machine = Machine::start("private", true)?;
    machine.steps(&["secret"])?;
    machine.start_edge()?;
    run_blocks(&mut machine, HOST)?;
    ensure!(!machine.world.kept().exists() || !machine.world.kept().join("accounts").exists());
    Ok(())
}

/// Checks that Cloudflare's API has had each of these requests.
fn ensure_requests(machine: &Machine, wanted: &[&str]) -> Result<()> {
    let changes = machine.account.changes()?;
    for wanted in wanted {
        ensure!(
            changes.iter().any(|(request, _)| request == wanted),
            "no `{wanted}` in {changes:#?}"
        );
    }
    Ok(())
}

#[test]
fn the_worker_is_deployed_as_the_pages_say() -> Result<()> {
    let mut machine = Machine::start("private", false)?;
    machine.steps(&["secret", "provision", "bulk"])?;
    // Written by hand.
    fs::write(
        machine.file("staging.env"),
        "PURGE_SECRET=sixteen-letters-x\nB2_APPLICATION_KEY_ID=00161f959a5f87b0000000005\nB2_APPLICATION_KEY=K001\n",
    )?;
    // The archive of a release.
    ended(machine.run("cargo xtask package-worker")?, 0)?;
    run_blocks(&mut machine, DEPLOYMENT)?;
    ensure_requests(
        &machine,
        &["PUT /workers/scripts/medialift-edge", "POST /queues"],
    )
}

#[test]
fn the_worker_is_operated_and_released_as_the_pages_say() -> Result<()> {
    let mut machine = Machine::start("private", true)?;
    machine.steps(&["secret", "provision"])?;
    // Written by hand.
    fs::write(machine.file("query.sql"), "SELECT 1\n")?;
    let repository =
        "git init -q . && git init -q --bare ~/origin && git remote add origin ~/origin";
    ended(machine.run(repository)?, 0)?;
    ended(machine.run("cargo xtask package-worker")?, 0)?;
    run_blocks(&mut machine, OPERATION)?;
    ensure_requests(&machine, &["POST /analytics_engine/sql"])
}

/// nginx of the host, into which the page's files are put.
const OWN_NGINX: &str = "daemon off;
pid FOLDER/nginx.pid;
error_log FOLDER/error.log;
events {}
http {
  client_body_temp_path FOLDER/temp-body;
  proxy_temp_path FOLDER/temp-proxy;
  fastcgi_temp_path FOLDER/temp-fastcgi;
  uwsgi_temp_path FOLDER/temp-uwsgi;
  scgi_temp_path FOLDER/temp-scgi;
  server { listen 127.0.0.1:PORT; }
  include ETC/sites-enabled/*;
}
";

#[test]
fn a_host_of_ones_own_serves_as_the_page_says() -> Result<()> {
    let mut machine = Machine::start("public", true)?;
    let etc = machine.world.home().join("etc");
    for folder in ["sites-available", "sites-enabled", "snippets"] {
        fs::create_dir_all(etc.join(folder))?;
    }
    let etc = etc.to_str().context("a path in UTF-8")?.to_owned();
    let cache = machine.world.home().join("cache").display().to_string();
    let address = free_address()?;
    let files_url = format!("http://{address}");
    machine.replaced.extend([
        ("/etc/nginx", etc.clone()),
        ("/var/cache/medialift", cache),
        ("https://files.example.com", files_url.clone()),
        // The page has no purge secret.
        ("purge_secret_file = \"purge.secret\"\n", String::new()),
    ]);
    let folder = scratch_directory("own-nginx")?;
    let configuration = folder.path().join("nginx.conf");
    let nginx = Nginx::start_in(folder, &OWN_NGINX.replace("ETC", &etc), "")?;
    let pids = format!("{} {}", nginx.id(), machine.world.nginx.id());
    machine.variables.extend([
        ("NGINX_CONF", configuration.into()),
        ("NGINX_PIDS", pids.into()),
    ]);
    fs::write(
        machine.world.media_conf(),
        format!("include {etc}/snippets/*.conf;\n"),
    )?;

    // Step 1 to 5 of the migration, and the table of this page.
    let own = read(&page("docs/self-host.md")?)?;
    let settings = own.blocks.iter().find(|block| block.language == "toml");
    let settings = &settings.context("no block of settings")?.text;
    machine.write_settings(settings)?;
    ended(
        machine.run("medialift provision --public --key-file b2.key && medialift sync")?,
        0,
    )?;
    run_blocks(&mut machine, OWN_HOST)?;

    let key = machine.world.mastodon.upload()?;
    let answer = Client::anonymous(&files_url).send("GET", &format!("/{key}"), &[], &[])?;
    ensure!(
        answer.status == 200,
        "what is on the disk only is answered {}",
        answer.status
    );
    Ok(())
}

#[test]
fn the_repository_has_what_its_pages_run() -> Result<()> {
    let mut machine = Machine::start("private", true)?;
    run_blocks(&mut machine, REPOSITORY)
}
