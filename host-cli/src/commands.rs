//! The commands, a module each, with their flags and `run(args, context) -> Result<Exit>`.

pub mod check;
pub mod completions;
pub mod cutover;
pub mod env;
pub mod man;
pub mod nginx;
pub mod plan;
pub mod provision;
pub mod prune;
pub mod purge;
pub mod rollback;
pub mod status;
pub mod sync;
pub mod verify;
