//! `cargo xtask demo`, as in a fresh clone of the repository: the main job from one
//! command, on the sample tree and on one's own, and nothing left of it however it ends.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Marks the processes of one run: children inherit it.
const MARK: &str = "MEDIALIFT_TEST_RUN";

/// How long a run may take on a busy machine, and what it started may take to be gone.
const LIMIT: Duration = Duration::from_secs(300);
const GONE: Duration = Duration::from_secs(30);

struct Demo {
    mark: String,
    child: Child,
}

impl Demo {
    fn start(arguments: &[&str]) -> Result<Self> {
        let mark = format!("{:032x}", fastrand::u128(..));
        let child = Command::new(testkit::stack::binary("xtask")?)
            .arg("demo")
            .args(arguments)
            .env(MARK, &mark)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("run `xtask demo`")?;
        Ok(Self { mark, child })
    }

    /// Exit code and JSON; fails where a process of it is left.
    fn result(self) -> Result<(Option<i32>, Value)> {
        let output = self.child.wait_with_output()?;
        wait_until(GONE, "its processes to be gone", || {
            processes(&self.mark).is_empty()
        })?;
        let report = serde_json::from_slice(&output.stdout).context("its report")?;
        Ok((output.status.code(), report))
    }

    /// Waits until a program of this name runs below it.
    fn wait_for(&self, program: &str) -> Result<()> {
        wait_until(LIMIT, program, || {
            processes(&self.mark).iter().any(|name| name == program)
        })
    }
}

fn wait_until(limit: Duration, what: &str, holds: impl Fn() -> bool) -> Result<()> {
    let begin = Instant::now();
    while !holds() {
        ensure!(begin.elapsed() < limit, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The names of the living processes with this mark.
fn processes(mark: &str) -> Vec<String> {
    let wanted = format!("{MARK}={mark}");
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|process| {
            let read = |name: &str| fs::read(process.path().join(name)).ok();
            // One that has ended and waits to be reaped shows no environment any more.
            let environment = read("environ")?;
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == wanted.as_bytes())
                .then(|| String::from_utf8_lossy(&read("comm").unwrap_or_default()).into_owned())
        })
        .map(|name| name.trim_end().to_owned())
        .collect()
}

#[track_caller]
fn check(result: (Option<i32>, Value), files: u64) {
    let (code, report) = result;
    assert_eq!(code, Some(0), "{report}");
    assert_eq!(report["passed"], true, "{report}");
    assert_eq!(report["upload_requests"], files);
    let read = report["verify"]["samples"].as_array();
    assert_eq!(read.map(|all| all.len() as u64), Some(files));
}

#[test]
fn the_sample_tree_comes_back_whole() -> Result<()> {
    let (code, report) = Demo::start(&["--json"])?.result()?;
    let files = report["sync"]["uploaded"]["files"]
        .as_u64()
        .context("a number of files")?;
    assert!(files >= 200, "{files} files are no media tree");
    check((code, report), files);
    Ok(())
}

#[test]
fn two_thousand_files_of_ones_own_come_back_whole() -> Result<()> {
    let directory = tempfile::tempdir()?;
    let mut random = fastrand::Rng::with_seed(2000);
    let endings = ["jpg", "png", "webp", "gif", "mp4", "ogg", "html", "bin"];
    let names = ["plain", "a b", "50%", "a+b", "ä", "猫", "🐘", "#&?=;"];
    for number in 0..2000_usize {
        let below = directory.path().join(format!("any/{}", number % 40));
        fs::create_dir_all(&below)?;
        let content: Vec<u8> = (0..random.usize(..4000)).map(|_| random.u8(..)).collect();
        let name = names[number % names.len()];
        let ending = endings[number / 8 % endings.len()];
        fs::write(below.join(format!("{name} {number}.{ending}")), content)?;
    }
    let path = directory.path().to_str().context("a path in UTF-8")?;
    check(Demo::start(&["--json", "--media", path])?.result()?, 2000);
    Ok(())
}

#[test]
fn a_directory_that_is_not_there_is_one_clear_error() -> Result<()> {
    let output = Command::new(testkit::stack::binary("xtask")?)
        .args(["demo", "--media", "/no/such/directory"])
        .stdin(Stdio::null())
        .output()?;
    assert_eq!(output.status.code(), Some(1));
    let printed = String::from_utf8(output.stderr)?;
    assert!(
        printed.contains("`/no/such/directory` is not a directory\n\nhint: "),
        "{printed}"
    );
    Ok(())
}

/// Ends a demonstration that is up with this signal, and fails where something of it stays.
#[track_caller]
fn ended_by(signal: Signal, program: &str) -> Result<Option<i32>> {
    let mut demo = Demo::start(&["--keep"])?;
    demo.wait_for(program)?;
    kill_process(Pid::from_child(&demo.child), signal)?;
    // Its children may hold its output open, so the output is polled.
    let code = demo.child.wait()?.code();
    wait_until(GONE, "its processes to be gone", || {
        processes(&demo.mark).is_empty()
    })?;
    Ok(code)
}

#[test]
fn ctrl_c_ends_all_of_it() -> Result<()> {
    assert_eq!(ended_by(Signal::INT, "workerd")?, Some(130));
    assert_eq!(ended_by(Signal::INT, "b2-origin")?, Some(130));
    Ok(())
}

#[test]
fn killed_it_leaves_no_process() -> Result<()> {
    assert_eq!(ended_by(Signal::KILL, "workerd")?, None);
    Ok(())
}
