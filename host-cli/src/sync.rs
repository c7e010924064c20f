//! One-way copy of a directory into a bucket, from the walk of the directory to the [`Summary`].
//!
//! One request a file and one listing request per 1,000 objects. Nothing in the bucket is overwritten or
//! deleted unless [`crate::decide`] decides it.

mod delete;
pub(crate) mod journal_rules;
mod options;
mod ownership;
mod run;
mod summary;

pub use self::options::SyncOptions;
pub use self::ownership::{Guard, Ownership, OwnershipCheck};
pub use self::run::{Finished, run};
pub use self::summary::Summary;
