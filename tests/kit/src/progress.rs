//! What somebody sees who waits for a long step.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::{Guarded, tail};

/// How often something is said where lines cannot be rewritten.
const REMINDER: Duration = Duration::from_secs(30);

/// Runs `command` with its output kept in `log`, showing on standard error how long it has been going
/// and its last line: rewritten in place on a terminal, every half minute elsewhere.
///
/// # Errors
/// Fails when the command cannot be started or does not succeed, with the end of the log.
pub fn run(command: Command, log: &Path) -> Result<()> {
    let name = command.get_program().display().to_string();
    let start = Instant::now();
    let terminal = std::io::stderr().is_terminal();
    let mut child = Guarded::spawn(&name, command, log)?;
    let mut said = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if terminal {
            let line = last_line(log);
            eprint!("\r\x1b[2K  {}  {line}", duration(start.elapsed()));
            std::io::stderr().flush().ok();
        } else if said.elapsed() > REMINDER {
            said = Instant::now();
            eprintln!("  {}  {}", duration(start.elapsed()), last_line(log));
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    if terminal {
        eprint!("\r\x1b[2K");
    }
    child.end();
    if !status.success() {
        bail!("`{name}` failed ({status})\n{}", tail(log, 25));
    }
    Ok(())
}

fn last_line(log: &Path) -> String {
    let text = tail(log, 1);
    text.trim()
        .chars()
        .filter(|c| !c.is_control())
        .take(70)
        .collect()
}

/// A length of time as a person says it.
#[must_use]
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1} s", time.as_secs_f64()),
        10..120 => format!("{seconds} s"),
        _ => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
