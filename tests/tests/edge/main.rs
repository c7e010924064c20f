//! The edge worker in the real runtime, in front of the B2-like origin or a scripted one.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ages;
mod bytes;
mod crowds;
mod expiry;
mod faults;
mod keys;
mod lock;
mod operations;
mod preflight;
mod private;
mod purges;
mod reads;
mod refusals;
mod runtime;
mod scripted;
mod stack;
mod stalls;
mod uncacheable;
