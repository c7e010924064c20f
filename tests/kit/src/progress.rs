//! The progress of a long step, on standard error.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};

use crate::process::{Guarded, tail};

/// How often a line is printed where it cannot be rewritten in place.
const REMINDER: Duration = Duration::from_secs(30);

/// Runs `command` with its output kept in `log`, showing on standard error how long it has been going
/// and its last line: rewritten in place on a terminal, every half minute elsewhere.
///
/// # Errors
/// Fails when the command cannot be started or does not succeed, with the end of the log.
pub fn run(command: Command, log: &Path) -> Result<()> {
    let name = command.get_program().display().to_string();
    let mut child = Guarded::spawn(&name, command, log)?;
    let style = ProgressStyle::with_template("  {elapsed}  {wide_msg}")?;
    let bar = ProgressBar::new_spinner().with_style(style);
    let mut last_printed = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if !bar.is_hidden() {
            bar.set_message(last_line(log));
        } else if last_printed.elapsed() > REMINDER {
            last_printed = Instant::now();
            eprintln!("  {}  {}", duration(bar.elapsed()), last_line(log));
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    bar.finish_and_clear();
    child.end();
    if !status.success() {
        bail!("`{name}` failed ({status})\n{}", tail(log, 25));
    }
    Ok(())
}

fn last_line(log: &Path) -> String {
    let text = tail(log, 1);
    text.trim().chars().filter(|c| !c.is_control()).collect()
}

/// A duration for people to read: `5.0 s`, `2 min 3 s`.
#[must_use]
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
