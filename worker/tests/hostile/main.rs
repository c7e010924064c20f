//! Hostile input against everything that reads what a client or a bucket wrote: nothing panics, no
//! key lies outside the prefix, and no refusal is the server's fault.

#![cfg(not(target_arch = "wasm32"))]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod corpus;
mod model;
mod paths;
mod ranges;
mod settings;
mod strategies;

use proptest::prelude::ProptestConfig;
use proptest::test_runner::FileFailurePersistence;

/// So many cases, after those that were found before.
fn config(cases: u32) -> ProptestConfig {
    let found = FileFailurePersistence::Direct("tests/corpus/found.txt");
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(found)),
        ..ProptestConfig::default()
    }
}
