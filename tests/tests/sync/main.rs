//! `medialift sync` end to end: the real binary against real servers.

mod backends;
mod bad_input;
mod disks;
mod encrypted;
mod faults;
mod flags;
mod interruption;
mod large;
mod mastodon;
mod special;
mod world;
