//! `docs/examples.md`: what the commands print, taken from the snapshots that other tests hold the
//! real binary to. Made again with `UPDATE_DOCS=1 cargo test -p e2e --test examples`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

/// What stands on the page: heading, command line, snapshot (below `tests/tests`).
const EXAMPLES: &[(&str, &str, &str)] = &[
    (
        "What would move",
        "medialift plan system --upload-mbit 40",
        "snapshots/plan__plan.snap",
    ),
    (
        "Making the bucket and its key",
        "",
        "snapshots/provision__what_it_prints_reads_well.snap",
    ),
    (
        "The master key is recognised",
        "medialift check --bucket example-social-media",
        "snapshots/check__what_it_prints_reads_well.snap",
    ),
    (
        "A key that was mistyped",
        "medialift sync system",
        "sync/snapshots/sync__bad_input__a_wrong_key.snap",
    ),
    (
        "Every wrong setting at once",
        "medialift sync system",
        "sync/snapshots/sync__bad_input__every_wrong_setting_at_once.snap",
    ),
    (
        "A look before the upload",
        "medialift sync system --dry-run",
        "sync/snapshots/sync__flags__a_dry_run_changes_nothing_and_tells_the_same.snap",
    ),
    (
        "An upload with one file refused",
        "medialift sync system",
        "sync/snapshots/sync__faults__a_file_that_is_refused_is_named_and_the_rest_arrives.snap",
    ),
    (
        "Pointing Mastodon at the bucket",
        "medialift env",
        "snapshots/env__env_switch.snap",
    ),
    (
        "Looking for mistakes in `.env.production`",
        "medialift env --lint",
        "snapshots/env__env_lint.snap",
    ),
    (
        "The old nginx set-up, verified",
        "medialift verify --files-url http://127.0.0.1:PORT",
        "snapshots/verify__what_it_prints_reads_well.snap",
    ),
    (
        "A cutover that is refused",
        "medialift cutover",
        "snapshots/cutover__cutover_refused.snap",
    ),
    (
        "A cutover",
        "medialift cutover",
        "snapshots/cutover__cutover.snap",
    ),
    (
        "The way back",
        "medialift rollback",
        "snapshots/cutover__rollback.snap",
    ),
    (
        "Freeing the disk, with files that are not proven",
        "medialift prune",
        "snapshots/prune__prune_kept.snap",
    ),
];

#[test]
fn the_page_of_examples_is_what_the_snapshots_hold() -> Result<()> {
    let root = xtask::root();
    let page = page(&root.join("tests/tests"))?;
    let path = root.join("docs/examples.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, &page)?;
    }
    assert!(
        fs::read_to_string(&path).unwrap_or_default() == page,
        "`docs/examples.md` is not what the snapshots hold\n\nhint: `UPDATE_DOCS=1 cargo test -p e2e --test examples`, then commit the page"
    );
    Ok(())
}

fn page(snapshots: &Path) -> Result<String> {
    let mut page = String::from(
        "<!-- Made from the snapshots of the tests; do not edit. To make it again: UPDATE_DOCS=1 cargo test -p e2e --test examples -->\n# What the commands print\n\nA test runs each of these and holds the command to it. Times, sizes and addresses that differ from run to run are replaced by words.\n",
    );
    for (heading, command, file) in EXAMPLES {
        let path = snapshots.join(file);
        let text = fs::read_to_string(&path)
            .with_context(|| format!("read the snapshot `{}`", path.display()))?;
        write!(page, "\n## {heading}\n\n```text\n")?;
        if !command.is_empty() {
            writeln!(page, "$ {command}")?;
        }
        writeln!(page, "{}\n```", printed(&text)?)?;
    }
    Ok(page)
}

/// What a snapshot holds, without its head and the mark between the two streams.
fn printed(snapshot: &str) -> Result<String> {
    let (_, body) = snapshot
        .strip_prefix("---\n")
        .and_then(|rest| rest.split_once("\n---\n"))
        .context("the head of a snapshot")?;
    let lines: Vec<&str> = body.lines().filter(|line| *line != "---- stderr").collect();
    Ok(lines.join("\n").trim().to_owned())
}
