//! Parses the command line, runs the command and returns its exit code.

use std::process::ExitCode;

use clap::Parser;
use medialift::{cli::Cli, exit::Exit, ui::Ui};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn main() -> ExitCode {
    let cli = Cli::parse();
    raise_file_limit();
    let ui = Ui::new(cli.global.json, cli.global.quiet, cli.global.verbose);
    // One thread for all connections: moving tasks between threads costs more than a second thread
    // gains, since digests are computed on the blocking threads.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        // Blocking threads read and digest files; more than eight only cost memory.
        .max_blocking_threads(8)
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(e) => {
            eprintln!("error: cannot start the runtime: {e}");
            return ExitCode::from(Exit::Failed.code());
        }
    };
    let exit = match runtime.block_on(medialift::run(cli, ui)) {
        Ok(exit) => exit,
        Err(error) => {
            ui.error(&error);
            error.exit_status()
        }
    };
    // After Ctrl-C a blocking thread may still digest a large file: it is not waited for.
    runtime.shutdown_background();
    ExitCode::from(exit.code())
}

/// Raises the soft limit of open files to the hard limit: 256 concurrent uploads, each with a file and a
/// connection, come near the usual soft limit of 1,024.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // If this fails, the limit stays as it was, and files that cannot be opened are reported.
    let _ = setrlimit(Resource::Nofile, raised);
}
