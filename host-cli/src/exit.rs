//! Exit codes, on which scripts may rely.

/// How a command ended. `main` is the only place that turns this into a process exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Everything asked for is done.
    Done,
    /// The operation failed.
    Failed,
    /// A flag, a setting or the configuration is wrong; nothing was done.
    Usage,
    /// A check was completed and found a problem.
    Problem,
    /// Some files were processed and some were not; the report names the latter.
    Partly,
    /// Ended by Ctrl-C or SIGTERM; the next run continues.
    Interrupted,
}

impl Exit {
    /// The process exit code.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::Failed => 1,
            Exit::Usage => 2,
            Exit::Problem => 3,
            Exit::Partly => 4,
            Exit::Interrupted => 130,
        }
    }
}
