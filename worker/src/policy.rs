//! The rules of the cache, as functions of what is given to them.
//!
//! Two decisions carry a read: [`plan::lookup`] before a fetch and [`plan::after_response`] (or
//! [`plan::after_failure`]) after it. The other modules answer one question each for these two.
//!
//! **Architecture Invariant:** nothing in here is asynchronous, asks a clock, logs, or knows the
//! runtime's SDK. The time is a parameter. Fetching, storing and waiting are the engine's.

pub mod conditional;
pub mod entry;
pub mod fields;
pub mod freshness;
pub mod headers;
pub mod number;
pub mod plan;
pub mod range;
pub mod status;
pub mod time;
