//! The rules of the cache, as functions of what is given to them.
//!
//! Two decisions carry a read: [`decision::freshness_of`] before a fetch and [`decision::after_fetch`] or
//! [`decision::after_error`] after it. Each of the other modules answers one question for these two.
//!
//! **Architecture Invariant:** nothing in here is asynchronous, reads a clock, logs, or knows the
//! Workers SDK. The time is a parameter. Fetching, storing and waiting are the engine's.

pub mod conditional;
pub mod cors;
pub mod decision;
pub mod entry;
pub mod freshness;
pub mod headers;
pub mod origin_error;
pub mod platform;
pub mod range;
pub mod status;
pub mod time;
