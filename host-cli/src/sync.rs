//! One-way copy of a directory into a bucket: [`run()`] is the whole way, from the first look at the
//! directory to the [`Summary`].
//!
//! One request a file, one listing request per 1,000 objects, and no other. Nothing in the bucket is
//! overwritten or deleted but by [`crate::decide`].

mod delete;
mod owner;
pub(crate) mod remember;
mod run;
mod summary;

pub use self::owner::{Answer, Question};
pub use self::run::{Finished, Options, run};
pub use self::summary::Summary;
