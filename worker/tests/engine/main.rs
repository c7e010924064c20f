//! The engine over a simulated store, origin and clock: the read table row by row, and random
//! schedules.

#![cfg(not(target_arch = "wasm32"))]

mod bench;
mod errors;
mod parts;
mod purges;
mod read_table;
mod schedules;
mod simulation;
mod windows;
