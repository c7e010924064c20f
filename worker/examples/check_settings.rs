//! What the worker's own rules say of settings, for a deployment that checks them beforehand: reads a JSON
//! list of settings (name to text) from standard input, writes the faults of each and the table of all
//! variables as JSON. The text of a secret is in nothing that is written.
//!
//! A program of its own, run by `cargo xtask deploy`, so that `xtask` need not be built with the worker.

use std::error::Error;
use std::io::{Write, stdin, stdout};

use edge_worker::settings::{RawSettings, Settings, VARIABLES};
use serde_json::{Value, json};

fn main() -> Result<(), Box<dyn Error>> {
    let asked: Vec<RawSettings> = serde_json::from_reader(stdin().lock())?;
    let faults: Vec<Vec<Value>> = asked.iter().map(faults).collect();
    let variables: Vec<Value> = VARIABLES
        .iter()
        .map(|variable| {
            json!({
                "name": variable.name,
                "secret": variable.secret,
                "default": variable.default,
            })
        })
        .collect();
    let answer = json!({ "variables": variables, "faults": faults });
    writeln!(stdout().lock(), "{answer}")?;
    Ok(())
}

fn faults(raw: &RawSettings) -> Vec<Value> {
    let faults = Settings::parse(raw).err().unwrap_or_default();
    faults
        .iter()
        .map(|fault| json!({ "variable": fault.variable, "problem": fault.problem }))
        .collect()
}
