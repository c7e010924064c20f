//! `verify` against the edge worker, against nginx as instances have it, and against broken set-ups; and its
//! page in a real browser.

mod bucket;
mod command;
mod old_addresses;
mod page;
mod samples;
mod setups;
