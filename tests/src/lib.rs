//! What the end-to-end tests share.

pub mod compare;
pub mod nginx;
pub mod origin;
pub mod scripted;
