//! Where the time of a hit goes, as V8's own profiler sees it: some thousand looks at the stack while
//! the case runs, each counted for the innermost function that belongs to a part. The first half of them
//! is left out: until then the isolate starts and compiles.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::super::report::{Report, Target, figure};
use super::{CONTENDERS, CPU, Contender, HIT, LEAN, WORKER, configure, run};
use crate::process::output;
use crate::tools::Tools;

const LOOKS: &str = "looks";
const SHARE: &str = "share, %";

/// Looks below which their shares say nothing.
const LEAST_LOOKS: f64 = 500.0;

/// What V8 calls the state in which it collects garbage.
const COLLECTING: u8 = 1;

/// A part of a hit. Each is counted with what it calls of the runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    LookUp,
    Handler,
    Answer,
    Request,
    Record,
    Promises,
    Boundary,
    Driving,
    Bodies,
    Memory,
    Rules,
    Bench,
    Collector,
    Runtime,
}

impl Part {
    const ALL: [Self; 14] = [
        Self::LookUp,
        Self::Handler,
        Self::Answer,
        Self::Request,
        Self::Record,
        Self::Promises,
        Self::Boundary,
        Self::Driving,
        Self::Bodies,
        Self::Memory,
        Self::Rules,
        Self::Bench,
        Self::Collector,
        Self::Runtime,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::LookUp => "of a hit: the store looks up, and makes a response",
            Self::Handler => "of a hit: a handler in JavaScript, all of it",
            Self::Answer => "of a hit: the answer is copied, its headers edited",
            Self::Request => "of a hit: the request is looked at",
            Self::Record => "of a hit: the stored record is looked at",
            Self::Promises => "of a hit: promises, made and heard",
            Self::Boundary => "of a hit: strings and handles over the boundary",
            Self::Driving => "of a hit: WebAssembly, driving futures",
            Self::Bodies => {
                "of a hit: WebAssembly, closures and bodies of `async fn`, with what is inlined there"
            }
            Self::Memory => "of a hit: WebAssembly, memory",
            Self::Rules => "of a hit: WebAssembly, other functions (path, key, record, tables)",
            Self::Bench => "of a hit: the bench's own request",
            Self::Collector => "of a hit: the collector of garbage",
            Self::Runtime => "of a hit: the runtime, none of these on the stack",
        }
    }

    /// What a function is part of; `None` for the runtime's own, whose caller decides.
    fn of(function: &str, of_worker: bool) -> Option<Self> {
        let function = function.trim_start_matches(['*', '+', '^', '~']);
        let (name, file) = match function.rsplit_once(' ') {
            Some((name, place)) if place.contains(".mjs:") => (name, place.split(':').next()),
            None if function.contains(".mjs:") => ("", function.split(':').next()),
            _ => (function, None),
        };
        match file {
            Some("stub.mjs") => Some(Self::LookUp),
            Some("bench.mjs") => Some(Self::Bench),
            Some("handler.mjs") if of_worker => Some(Self::of_glue(name)),
            Some("handler.mjs") => Some(Self::Handler),
            _ => Self::of_wasm(name),
        }
    }

    /// Of a function in JavaScript around the module. `wasm-bindgen` names its own after ours.
    fn of_glue(name: &str) -> Self {
        let ours = name.trim_start_matches("__wbg_");
        let ours = ours.rsplit_once('_').map_or(ours, |(ours, _)| ours);
        match ours {
            "find" => Self::LookUp,
            "stored" => Self::Answer,
            "requestText" => Self::Request,
            "recordOf" | "status" => Self::Record,
            "listen" | "pending" | "promiseOf" | "fulfil" => Self::Promises,
            _ => Self::Boundary,
        }
    }

    /// Of a function in WebAssembly, by Rust's name for it.
    fn of_wasm(name: &str) -> Option<Self> {
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        if has(&["wasm-to-js", "js-to-wasm", "externref", "wasm_bindgen::"]) {
            Some(Self::Boundary)
        } else if has(&["::task::", "futures_", "core::future"]) {
            Some(Self::Driving)
        } else if has(&["edge_worker::"]) && has(&["::{{closure}}", "::{closure#"]) {
            Some(Self::Bodies)
        } else if has(&["rlsf::", "raw_vec", "alloc::alloc", "__rust_"]) {
            Some(Self::Memory)
        } else if has(&[
            "::",
            "memcpy",
            "memmove",
            "memset",
            "memcmp",
            "wasm-function",
        ]) {
            Some(Self::Rules)
        } else {
            None
        }
    }
}

/// What `node --prof-process --preprocess` makes of V8's log.
#[derive(Deserialize)]
struct Log {
    code: Vec<Code>,
    ticks: Vec<Tick>,
}

#[derive(Deserialize)]
struct Code {
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Tick {
    /// Number of a [`Code`] and an offset in it, alternating, the innermost first; -1: not known.
    #[serde(rename = "s")]
    stack: Vec<i64>,
    #[serde(rename = "vm")]
    state: u8,
}

impl Log {
    fn part_of(&self, tick: &Tick, of_worker: bool) -> Part {
        if tick.state == COLLECTING {
            return Part::Collector;
        }
        let frames = tick.stack.iter().step_by(2);
        frames
            .filter_map(|frame| self.code.get(usize::try_from(*frame).ok()?))
            .filter(|code| !matches!(&*code.kind, "SHARED_LIB" | "CPP"))
            .find_map(|code| Part::of(&code.name, of_worker))
            .unwrap_or(Part::Runtime)
    }

    /// How many looks each part has, in the second half.
    fn looks(&self, of_worker: bool) -> Vec<(Part, f64)> {
        let later = &self.ticks[self.ticks.len() / 2..];
        let parts: Vec<Part> = later
            .iter()
            .map(|tick| self.part_of(tick, of_worker))
            .collect();
        Part::ALL
            .map(|part| {
                (
                    part,
                    parts.iter().filter(|other| **other == part).count() as f64,
                )
            })
            .to_vec()
    }
}

/// Adds each part's share of a hit, and that share of the CPU that was measured without the profiler.
/// Where there is no profile the notes say why, and its target is missed.
pub(super) fn add(report: &mut Report, tools: &Tools, scratch: &Path) {
    let mut least = f64::INFINITY;
    for contender in CONTENDERS.iter().filter(|contender| contender.does(HIT)) {
        eprintln!("bench: where a hit's time goes: {}", contender.name);
        let looks = profile(tools, *contender, scratch).unwrap_or_else(|error| {
            let said = format!("No profile of {}: {error:#}", contender.name);
            eprintln!("bench: {said}");
            report.notes.push(said);
            Vec::new()
        });
        let all = looks.iter().fold(0.0, |all, (_, looks)| all + looks);
        least = least.min(all);
        let cpu = report.median(HIT, contender.name, CPU);
        for (part, looks) in looks.into_iter().filter(|(_, looks)| *looks > 0.0) {
            report.add(part.name(), contender.name, LOOKS, looks);
            report.add(part.name(), contender.name, SHARE, looks / all * 100.0);
            report.add(part.name(), contender.name, CPU, looks / all * cpu);
        }
    }
    in_order(report);
    if least > 0.0 {
        report.notes.push(described(report));
    }
    report.targets.push(Target::at_least(
        "of a hit: looks of each profile".to_owned(),
        least,
        LEAST_LOOKS,
    ));
}

/// Puts the lines of a part beside each other.
fn in_order(report: &mut Report) {
    let place = |case: &str| Part::ALL.iter().position(|part| part.name() == case);
    report
        .series
        .sort_by_key(|series| place(&series.case).map_or(0, |place| place + 1));
}

/// What the profile says of the worker beside the lean way, in its own figures.
fn described(report: &Report) -> String {
    let cpu = |who: &str, parts: &[Part]| -> f64 {
        let of = |part: &Part| report.median(part.name(), who, CPU);
        parts.iter().map(of).filter(|cpu| cpu.is_finite()).sum()
    };
    let wasm = [Part::Driving, Part::Bodies, Part::Memory, Part::Rules];
    let crossing = [Part::Promises, Part::Boundary];
    let looking = [Part::Answer, Part::Request, Part::Record];
    let own = cpu(WORKER, &wasm) + cpu(WORKER, &crossing) + cpu(WORKER, &looking);
    let both = |part: Part| {
        format!(
            "{} and {}",
            figure(cpu(WORKER, &[part])),
            figure(cpu(LEAN, &[part]))
        )
    };
    format!(
        "In this profile the worker's own part of a hit is {} µs: {} in WebAssembly, {} for promises and for \
         what crosses the boundary, {} for what it has the runtime do with request, record and answer. The \
         lean handler, all in all, has {}. Of the rest the worker's hit and the lean one's have {} µs in the \
         store's look-up, {} in the collector, and {} in the runtime without any of these on the stack, \
         which is what settling promises and freeing objects looks like, but is not told apart. A part is \
         good for some tenths of a microsecond and no more.",
        figure(own),
        figure(cpu(WORKER, &wasm)),
        figure(cpu(WORKER, &crossing)),
        figure(cpu(WORKER, &looking)),
        figure(cpu(LEAN, &[Part::Handler])),
        both(Part::LookUp),
        both(Part::Collector),
        both(Part::Runtime),
    )
}

/// Runs a hit under the profiler: how many looks each part has.
fn profile(tools: &Tools, contender: Contender, scratch: &Path) -> Result<Vec<(Part, f64)>> {
    let log = scratch.join(format!("{}.v8.log", contender.handler));
    let configuration = configure(tools, contender, scratch, Some(&log))?;
    run(tools, &configuration, &format!("main/{HIT}"), scratch)?;
    let text = output(
        &tools.node,
        &["--prof-process", "--preprocess", &log.display().to_string()],
    )
    .context("`node --prof-process` failed")?;
    fs::remove_file(&log).ok();
    // A word about V8's version stands before it.
    let begin = text
        .find('{')
        .context("`node --prof-process` wrote no JSON")?;
    let log: Log =
        serde_json::from_str(&text[begin..]).context("cannot understand `node --prof-process`")?;
    let looks = log.looks(contender.is_worker());
    // Where names are not what they were, everything would be somebody else's.
    let named: &[Part] = if contender.is_worker() {
        &[Part::LookUp, Part::Answer, Part::Bodies, Part::Rules]
    } else {
        &[Part::LookUp, Part::Handler]
    };
    for part in named {
        ensure!(
            looks
                .iter()
                .any(|(other, looks)| other == part && *looks > 0.0),
            "there is nothing \"{}\" in it",
            part.name()
        );
    }
    Ok(looks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(function: &str, of_worker: bool, part: Option<Part>) {
        assert_eq!(Part::of(function, of_worker), part, "{function}");
    }

    #[test]
    fn a_function_is_known_by_its_name_and_file() {
        check("*match stub.mjs:7:14", true, Some(Part::LookUp));
        check(
            "+__wbg_stored_fe689afdeff2e26a handler.mjs:397:44",
            true,
            Some(Part::Answer),
        );
        check("requestText handler.mjs:3:1", true, Some(Part::Request));
        check(
            "^passStringToWasm0 handler.mjs:3:1",
            true,
            Some(Part::Boundary),
        );
        check("+call handler.mjs:90:20", false, Some(Part::Handler));
        check(" bench.mjs:66:17", true, Some(Part::Bench));
        check(
            "*edge_worker::task::Isolate::run::h8c09b01d53f01641",
            true,
            Some(Part::Driving),
        );
        check(
            "*rlsf::tlsf::Tlsf<FLBitmap,SLBitmap,_,_>::allocate",
            true,
            Some(Part::Memory),
        );
        check(
            "*edge_worker::admission::admit::h3dc73651481b80ac",
            true,
            Some(Part::Rules),
        );
        check("wasm-to-js", true, Some(Part::Boundary));
        check(
            "setTimeout node-internal:internal_timers:102:27",
            true,
            None,
        );
    }

    #[test]
    fn a_look_of_the_second_half_counts_for_the_innermost_part() {
        let log: Log = serde_json::from_str(
            r#"{"code": [
                {"name": "/bin/workerd", "type": "SHARED_LIB"},
                {"name": "stored handler.mjs:1:1", "type": "JS"},
                {"name": "edge_worker::engine::serve", "type": "JS"}
            ], "ticks": [
                {"s": [2, 0], "vm": 0}, {"s": [2, 0], "vm": 0}, {"s": [2, 0], "vm": 0}, {"s": [2, 0], "vm": 0},
                {"s": [0, 5, 1, 0, 2, 0], "vm": 6},
                {"s": [2, 0], "vm": 0},
                {"s": [0, 1, -1, 0], "vm": 5},
                {"s": [0, 5, 1, 0], "vm": 1}
            ]}"#,
        )
        .unwrap();
        let looks = log.looks(true);
        for part in [Part::Answer, Part::Rules, Part::Runtime, Part::Collector] {
            assert!(looks.contains(&(part, 1.0)), "{part:?} in {looks:?}");
        }
    }
}
