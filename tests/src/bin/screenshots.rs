//! `screenshots`: makes the pictures of the documents, `docs/images/*.png`: `cargo xtask demo --keep` as a
//! terminal shows it, and the page that it writes by `medialift verify --html` as a browser shows it.
//!
//! To be run after a change of what these two show. Look at the pictures before you commit them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use e2e::browser::{Browser, Window};
use testkit::process::{Guarded, scratch_directory};
use testkit::stack::binary;

/// The terminal, in characters.
const COLUMNS: u16 = 124;
const ROWS: u16 = 60;

/// How long the demonstration may take, which builds what is missing.
const PATIENCE: Duration = Duration::from_secs(900);
/// Its last line.
const UP: &str = "  control ";

/// What the terminal's window shows besides.
const STYLE: &str = "body { margin: 0; background: #1d2026 } pre { margin: 0; padding: 14px 18px; \
color: #d8dbe2; font: 11px/1.35 'DejaVu Sans Mono', 'Liberation Mono', monospace; width: max-content }";

/// The sixteen colours of a terminal.
const COLOURS: [&str; 16] = [
    "#1d2026", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d8dbe2",
    "#7f848e", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#ffffff",
];

fn main() -> Result<()> {
    let images = testkit::root().join("docs/images");
    fs::create_dir_all(&images)?;
    let scratch = scratch_directory("screenshots")?;
    let mut demo = Command::new("script");
    demo.args(["--quiet", "--flush", "--command"])
        .arg(format!(
            "stty cols {COLUMNS} rows {ROWS}; exec '{}' demo --keep",
            binary("xtask")?.display()
        ))
        .arg("/dev/null")
        .env("TERM", "xterm-256color");
    let mut demo = Guarded::spawn("script", demo, &scratch.path().join("script.log"))?;
    let shown = demo.wait_until(PATIENCE, |demo| {
        Some(demo.log()).filter(|log| log.contains(UP))
    })?;
    let browser = Browser::start()?;

    // What follows names files of this machine.
    let shown = shown
        .split("\nopen `")
        .next()
        .unwrap_or_default()
        .trim_end();
    let terminal = scratch.path().join("terminal.html");
    fs::write(&terminal, as_page("cargo xtask demo --keep", shown)?)?;
    picture(&browser, &terminal, None, &images.join("demo.png"))?;
    // The stack is still up: the page's pictures come through the worker.
    let page = testkit::target_directory().join("demo.html");
    let window = Window {
        width: 1000,
        height: 500,
        mobile: false,
    };
    picture(&browser, &page, Some(window), &images.join("verify.png"))
}

/// Takes a picture of a page: of what fits into `window`, or of all of it.
fn picture(browser: &Browser, page: &Path, window: Option<Window>, file: &Path) -> Result<()> {
    let url = format!("file://{}", page.display());
    // The page of `verify` says when its script has looked at all media.
    let loaded = "document.readyState === 'complete' && \
                  (document.documentElement.dataset.state ?? 'done') === 'done'";
    let window = match window {
        Some(window) => window,
        None => {
            let small = Window {
                width: 100,
                height: 100,
                mobile: false,
            };
            let mut page = browser.page(small)?;
            page.open(&url, loaded)?;
            let mut size = |of: &str| -> Result<u32> {
                let size = page.evaluate(&format!("document.querySelector('pre').{of}"))?;
                Ok(u32::try_from(size.as_u64().unwrap_or_default())?)
            };
            Window {
                width: size("offsetWidth")?,
                height: size("offsetHeight")?,
                mobile: false,
            }
        }
    };
    let mut page = browser.page(window)?;
    page.open(&url, loaded)?;
    page.screenshot_of_window(file)
}

/// What a terminal shows after a command and this output.
fn as_page(command: &str, output: &str) -> Result<String> {
    let mut terminal = vt100::Parser::new(ROWS, COLUMNS, 0);
    terminal.process(format!("\x1b[1m$ {command}\x1b[m\r\n").as_bytes());
    terminal.process(output.as_bytes());
    let screen = terminal.screen();
    // Wrapped lines are several rows.
    let rows: Vec<String> = screen.rows(0, COLUMNS).collect();
    let used = rows.iter().rposition(|row| !row.trim().is_empty());
    let used = used.map_or(0, |last| last + 1);
    let mut text = String::new();
    for row in 0..u16::try_from(used)? {
        for column in 0..COLUMNS {
            let Some(cell) = screen.cell(row, column) else {
                continue;
            };
            let colour = match cell.fgcolor() {
                vt100::Color::Idx(index) => COLOURS.get(usize::from(index)).copied(),
                _ => None,
            };
            let shown = match cell.contents() {
                "" => " ",
                shown => shown,
            };
            let shown = shown.replace('&', "&amp;").replace('<', "&lt;");
            let (colour, bold) = (colour.unwrap_or("inherit"), cell.bold());
            let weight = if bold { "bold" } else { "normal" };
            write!(
                text,
                "<span style='color:{colour};font-weight:{weight}'>{shown}</span>"
            )?;
        }
        text.push('\n');
    }
    Ok(format!(
        "<!doctype html><meta charset=utf-8><style>{STYLE}</style><pre>{text}</pre>"
    ))
}
