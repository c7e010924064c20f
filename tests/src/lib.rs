//! What the end-to-end tests share.

pub mod client;
pub mod b2sim;
pub mod browser;
pub mod compare;
pub mod medialift;
pub mod nginx;
pub mod origin;
pub mod scripted;
