//! Checks of the files domain, as a reader of it sees them.
//!
//! `domain` reads, `probe` puts objects there to be read, `checks` decides what is right,
//! `health` is what the worker says of itself, `purge` tries the cache buster, `samples` picks media
//! that are there already, `redirect` looks at their old addresses, `page` shows them in a browser.
//! The command `verify` runs them in this order.

pub mod checks;
pub mod domain;
pub mod health;
pub mod page;
pub mod probe;
pub mod purge;
pub mod redirect;
pub mod samples;

pub use self::domain::{Domain, FilesUrl};
pub use self::probe::Probes;
