//! Checks of the files domain by requests as readers send them.
//!
//! [`domain`] sends requests, [`probe`] uploads objects to read, [`checks`] checks the responses,
//! [`health`] reads the worker's report about itself, [`purge`] tries the cache buster, [`samples`]
//! reads existing media, [`redirect`] checks their old addresses, [`page`] shows them in a browser.
//! The command `verify` runs them in this order.

pub mod checks;
pub mod domain;
pub mod health;
pub mod page;
pub mod probe;
pub mod purge;
pub mod redirect;
pub mod samples;

pub use self::domain::{Domain, SiteUrl};
pub use self::probe::Probes;
