//! `env` on the real binary: what it writes, what it prints, what it keeps to itself.

mod announce;
mod lint;
mod refusals;
mod switch;
mod undo;
mod world;
