//! The edge worker.

pub mod admission;
pub mod policy;
pub mod settings;
