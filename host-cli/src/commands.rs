//! One module a command. Each has its `Args` and `run(args, context) -> Result<Exit>`.

pub mod version;
