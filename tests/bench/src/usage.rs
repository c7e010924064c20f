//! What a child takes of the machine: time, processor and memory, as the system's `time` reports it.

use std::fmt;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

use testkit::process::{Guarded, ScratchDirectory, tail};
use testkit::setup::debian_program;

/// Fails, and says why, on a system where nothing can be measured.
///
/// The measurements read `/proc`, take GNU `time` and remove files from the system's cache.
pub(crate) fn require_linux() -> Result<()> {
    ensure!(
        cfg!(target_os = "linux"),
        "measuring works on Linux only\n\nhint: run it in a container or a virtual machine with Linux"
    );
    Ok(())
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// From start to end, seconds.
    pub(crate) wall: f64,
    /// Of all its threads and children, in user and kernel mode, seconds.
    pub(crate) cpu: f64,
    /// Peak memory, KiB.
    pub(crate) peak_kib: u64,
}

impl Usage {
    pub(crate) fn peak_mib(self) -> f64 {
        self.peak_kib as f64 / 1024.0
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wall, cpu, peak) = (self.wall, self.cpu, self.peak_mib());
        write!(f, "{wall:.2} s, CPU {cpu:.2} s, {peak:.1} MiB")
    }
}

/// Runs commands and measures them. Its files go into a scratch directory.
#[derive(Debug)]
pub(crate) struct Meter {
    time: PathBuf,
    usage: PathBuf,
    output: PathBuf,
    talk: PathBuf,
}

impl Meter {
    /// Fails where there is no `time`.
    pub(crate) fn new(scratch: &ScratchDirectory) -> Result<Self> {
        let time = debian_program("time")?;
        let inside = |name: &str| scratch.path().join(name);
        Ok(Self {
            time,
            usage: inside("usage.txt"),
            output: inside("output.txt"),
            talk: inside("talk.log"),
        })
    }

    /// Runs `command` to its end; also returns its standard output.
    ///
    /// Fails, with the end of its output, where it does not succeed.
    pub(crate) fn run(&self, name: &str, command: &Command) -> Result<(Usage, String)> {
        let mut timed = Command::new(&self.time);
        timed
            .args(["-f", "%U %S %M", "-o"])
            .arg(&self.usage)
            .arg(command.get_program())
            .args(command.get_args());
        if let Some(directory) = command.get_current_dir() {
            timed.current_dir(directory);
        }
        for (variable, value) in command.get_envs() {
            match value {
                Some(value) => timed.env(variable, value),
                None => timed.env_remove(variable),
            };
        }
        timed
            .stdout(File::create(&self.output)?)
            .stderr(File::create(&self.talk)?);
        let begin = Instant::now();
        let status = Guarded::spawn_with_streams(name, timed, &self.talk)?.wait()?;
        let wall = begin.elapsed().as_secs_f64();
        if !status.success() {
            bail!("{name} failed ({status})\n{}", tail(&self.talk, 40));
        }
        let usage = fs::read_to_string(&self.usage).context("cannot read what `time` wrote")?;
        let output = fs::read_to_string(&self.output)
            .with_context(|| format!("cannot read what {name} printed"))?;
        Ok((read(wall, &usage)?, output))
    }
}

/// Reads `USER KERNEL KIB`; `time` would report hundredths of a second of the wall clock only.
fn read(wall: f64, text: &str) -> Result<Usage> {
    let fields: Vec<f64> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .with_context(|| format!("`time` wrote something else: `{}`", text.trim()))?;
    ensure!(fields.len() == 3, "`time` wrote something else: `{text}`");
    Ok(Usage {
        wall,
        cpu: fields[0] + fields[1],
        peak_kib: fields[2] as u64,
    })
}

/// Seconds of processor that a running process has used so far.
pub(crate) fn cpu_of(id: u32) -> Result<f64> {
    let path = format!("/proc/{id}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("cannot read `{path}`"))?;
    // `PID (NAME) STATE …`: the name may hold spaces; user and kernel time are the 12th and 13th after it.
    let ticks: u64 = stat
        .rsplit_once(") ")
        .map(|(_, rest)| rest.split(' ').skip(11).take(2))
        .into_iter()
        .flatten()
        .filter_map(|field| field.parse::<u64>().ok())
        .sum();
    Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
}
