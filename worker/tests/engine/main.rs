//! The engine over a simulated store, origin and clock: the read table row by row, and random
//! schedules.

mod bench;
mod purges;
mod read_table;
mod schedules;
mod simulation;
mod windows;
