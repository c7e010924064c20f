//! How much memory a group of processes holds at most, by looking again and again.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Time between two samples.
const STEP: Duration = Duration::from_millis(250);

/// Samples one group until it is dropped or asked.
#[derive(Debug)]
pub(super) struct Watch {
    end: Arc<AtomicBool>,
    peaks: Arc<Peaks>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Peaks {
    all: AtomicU64,
    workerd: AtomicU64,
}

/// Peak memory, MiB. Pages that processes share count for each of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Peak {
    /// All processes of the group together.
    pub(super) all: f64,
    /// Those called `workerd`.
    pub(super) workerd: f64,
}

impl Watch {
    /// Starts sampling the group that the process `leader` leads.
    pub(super) fn start(leader: u32) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let peaks = Arc::new(Peaks::default());
        let (ended, kept) = (Arc::clone(&end), Arc::clone(&peaks));
        let thread = std::thread::spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                let used = resident(leader);
                let sum = |name: &str| -> u64 {
                    let of = used.iter().filter(|(other, _)| other.starts_with(name));
                    of.map(|(_, kib)| kib).sum()
                };
                kept.all.fetch_max(sum(""), Ordering::Relaxed);
                kept.workerd.fetch_max(sum("workerd"), Ordering::Relaxed);
                std::thread::sleep(STEP);
            }
        });
        Self {
            end,
            peaks,
            thread: Some(thread),
        }
    }

    /// Peak memory so far.
    pub(super) fn peak(&self) -> Peak {
        let mib = |kib: &AtomicU64| kib.load(Ordering::Relaxed) as f64 / 1024.0;
        Peak {
            all: mib(&self.peaks.all),
            workerd: mib(&self.peaks.workerd),
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Name and resident KiB of each process of a group.
fn resident(group: u32) -> Vec<(String, u64)> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    let of_group = |process: fs::DirEntry| {
        // `PID (NAME) STATE PARENT GROUP …`; the name may hold spaces and brackets.
        let stat = fs::read_to_string(process.path().join("stat")).ok()?;
        let (start, rest) = stat.rsplit_once(") ")?;
        if rest.split(' ').nth(2)?.parse() != Ok(group) {
            return None;
        }
        let (_, name) = start.split_once('(')?;
        let status = fs::read_to_string(process.path().join("status")).ok()?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some((
            name.to_owned(),
            line.trim().strip_suffix(" kB")?.parse().ok()?,
        ))
    };
    processes.flatten().filter_map(of_group).collect()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn our_own_group_holds_something() {
        let group = rustix::process::getpgrp().as_raw_nonzero().get();
        let used = resident(u32::try_from(group).unwrap());
        assert!(used.iter().map(|(_, kib)| kib).sum::<u64>() > 1_000);
    }
}
