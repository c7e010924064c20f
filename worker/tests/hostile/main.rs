//! Hostile input to all code that reads the text of a client or a bucket: nothing panics, every key is under
//! the prefix, and every refusal is a 4xx.

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

/// Runs the failing cases of former runs, then this number of new ones.
fn config(cases: u32) -> ProptestConfig {
    let found = FileFailurePersistence::Direct("tests/corpus/found.txt");
    ProptestConfig {
        cases,
        failure_persistence: Some(Box::new(found)),
        ..ProptestConfig::default()
    }
}
