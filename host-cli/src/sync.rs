//! One-way copy of a directory into a bucket: [`run`] is the whole way, from the first look at the
//! directory to the [`Summary`].
//!
//! One request a file, one listing request per 1,000 objects, and no other. Nothing in the bucket is
//! overwritten or deleted but by [`crate::decide`].

mod delete;
mod run;
mod summary;

/// Where the walk's rules were.
pub mod walk {
    pub use crate::tree::name_fault;
}
/// Where the digests were.
pub mod digest {
    pub use crate::upload::digest::*;
}
/// Where the listing was.
pub mod list {
    pub use crate::s3::Listing;
}

pub use self::run::{Finished, Options, run};
pub use self::summary::Summary;
