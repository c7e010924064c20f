//! The engine over a simulated store, origin and clock: each row of the read table, and random schedules.

#![cfg(not(target_arch = "wasm32"))]

mod errors;
mod fixture;
mod parts;
mod purges;
mod read_table;
mod schedules;
mod simulation;
mod windows;
