//! The end of a process group, by us or by its watchdog.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process_group, test_kill_process_group};

/// How long a group may take to end after TERM before it gets KILL.
const GRACE: Duration = Duration::from_secs(4);

/// What the watchdog runs; `$1` is the group to end.
const WATCHDOG: &str = r#"
trap '' INT TERM HUP
read -r word
[ "$word" = done ] && exit 0
kill -s TERM -- "-$1" 2>/dev/null
n=0
while [ "$n" -lt 30 ] && kill -s 0 -- "-$1" 2>/dev/null; do sleep 0.1; n=$((n + 1)); done
kill -s KILL -- "-$1" 2>/dev/null
"#;

/// Starts the process that ends the group when our end of its pipe closes.
pub(super) fn start_watchdog(group: Pid) -> Result<Child> {
    Command::new("sh")
        .args([
            "-c",
            WATCHDOG,
            "watchdog",
            &group.as_raw_nonzero().to_string(),
        ])
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("cannot start the watchdog (`sh`)")
}

/// Ends the group: TERM, and KILL for what is left after [`GRACE`]. `reap` reaps its leader.
pub(super) fn end(group: Pid, mut reap: impl FnMut()) {
    let alive = |reap: &mut dyn FnMut()| {
        reap();
        is_alive(group)
    };
    for (signal, patience) in [
        (Signal::TERM, GRACE),
        (Signal::KILL, Duration::from_secs(2)),
    ] {
        if !alive(&mut reap) || kill_process_group(group, signal).is_err() {
            return;
        }
        let start = Instant::now();
        while start.elapsed() < patience {
            if !alive(&mut reap) {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Whether a process of the group still runs. Ended ones that nobody has reaped do not count: in a
/// container whose first process does not reap they stay for ever.
pub(super) fn is_alive(group: Pid) -> bool {
    if test_kill_process_group(group).is_err() {
        return false;
    }
    let Ok(processes) = fs::read_dir("/proc") else {
        return true;
    };
    let wanted = group.as_raw_nonzero().to_string();
    processes.flatten().any(|process| {
        // `PID (NAME) STATE PARENT GROUP …`; the name may hold spaces and brackets.
        let stat = fs::read_to_string(process.path().join("stat")).unwrap_or_default();
        let mut fields = stat
            .rsplit_once(") ")
            .map(|(_, rest)| rest.split(' '))
            .into_iter()
            .flatten();
        let (state, _parent, group) = (fields.next(), fields.next(), fields.next());
        group == Some(&wanted) && !matches!(state, Some("Z" | "X"))
    })
}
