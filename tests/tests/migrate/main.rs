//! `docs/migrate.md`, and `docs/migrate-docker.md` in its place where that has a command of its own,
//! run from the first command to the last on one machine: Backblaze's model of the native API, the
//! B2-like origin, the real worker, a real nginx, and a simulated Mastodon that writes and deletes
//! media during every step, while somebody reads its pictures.

mod host;
mod steps;

use anyhow::{Result, ensure};
use e2e::mastodon::Deployment;
use e2e::script::{Block, Kind, read};

use host::Host;

const PAGE: &str = include_str!("../../../docs/migrate.md");
const DOCKER_PAGE: &str = include_str!("../../../docs/migrate-docker.md");

const STEPS: [&str; 14] = [
    "secret",
    "plan",
    "provision",
    "check",
    "announce",
    "bulk",
    "verify",
    "last",
    "switch",
    "rest",
    "cutover",
    "verify-again",
    "rollback",
    "prune",
];
/// Before `prune`, and instead of it.
const WAY_BACK: &str = "undo";

/// The page's marked blocks, those of the other page in the place of their namesakes.
fn page(deployment: Deployment) -> Result<Vec<Block>> {
    let mut page = read(PAGE)?.blocks;
    page.retain(|block| block.kind != Kind::Plain);
    if deployment == Deployment::Docker {
        for other in read(DOCKER_PAGE)?.blocks {
            let place = page.iter_mut().find(|block| block.name == other.name);
            let Some(place) = place else {
                anyhow::bail!("migrate.md has no step `{}`", other.name);
            };
            *place = other;
        }
    }
    let names: Vec<&str> = page
        .iter()
        .filter(|block| block.kind == Kind::Step && block.name != WAY_BACK)
        .map(|block| block.name.as_str())
        .collect();
    ensure!(names == STEPS, "the page has the steps {names:?}");
    Ok(page)
}

/// Runs the steps from the first to `last`, and checks the invariants after each.
fn migrate(deployment: Deployment, last: &str) -> Result<Host> {
    let mut host = Host::start(deployment, page(deployment)?)?;
    for name in STEPS {
        host.step(name)?;
        if name == "rollback" {
            host.step("cutover")?;
        }
        if name == last {
            break;
        }
    }
    Ok(host)
}

#[test]
fn the_page_is_a_migration_from_plan_to_prune() -> Result<()> {
    migrate(Deployment::Systemd, "prune").map(drop)
}

#[test]
fn the_page_with_the_commands_for_docker_is_one_too() -> Result<()> {
    migrate(Deployment::Docker, "prune").map(drop)
}

#[test]
fn back_on_the_disk_every_picture_is_still_found() -> Result<()> {
    let mut host = migrate(Deployment::Systemd, "verify-again")?;
    host.step("rollback")?;
    host.step(WAY_BACK)
}
