//! The rules of the cache, as pure functions.
//!
//! A read in engine mode depends on two decisions: [`decision::freshness_of`] before a fetch, and
//! [`freshness::record_for`], [`decision::after_refresh`] or [`decision::after_error`] after it. The shape of
//! the answer, in both modes, is [`shape::shape_for`]'s.
//!
//! **Architecture Invariant:** nothing here is asynchronous, reads a clock, logs, or knows the Workers SDK.
//! The time is a parameter. `engine` fetches, stores and waits.

pub mod decision;

pub mod freshness;
pub mod record;

pub mod shape;

pub mod conditional;
pub mod range;

pub mod headers;
pub mod origin_error;
pub mod status;
pub mod time;

pub mod cors;
pub mod platform_cache;
