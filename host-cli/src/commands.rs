//! One module a command. Each has its `Args` and `run(args, context) -> Result<Exit>`.

pub mod env;
pub mod provision;
pub mod version;
