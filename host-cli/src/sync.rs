//! One-way copy of a directory into a bucket. Modules in reading order: both sides are streamed
//! in key order ([`walk`], [`list`]), a pure function decides ([`plan`]), and what differs is sent.
//!
//! One request a file, one listing request per 1,000 objects, and no other; memory does not grow
//! with the number of files. Nothing is ever deleted unless asked for.

pub mod walk;

pub mod list;

pub mod plan;

pub mod digest;
pub mod filter;
pub mod journal;
pub mod summary;
pub mod tune;

mod apply;
mod content;
mod desk;
mod large;
mod merge;
mod progress;
mod read;
mod run;
mod scan;

pub use self::content::content_type;
pub use self::run::{Finished, Options, run};
