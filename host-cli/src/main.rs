//! Parses, runs, and turns the outcome into an exit code.

use std::process::ExitCode;

use clap::Parser;
use medialift::{cli::Cli, exit::Exit, report::Ui};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn main() -> ExitCode {
    let cli = Cli::parse();
    raise_file_limit();
    let ui = Ui::new(cli.global.json, cli.global.quiet, cli.global.verbose);
    // One thread for all connections: handing tasks from one thread to another costs more than the
    // second thread brings, since digests are made elsewhere.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        // Files are read and digested there; many more threads only cost memory.
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
    // After Ctrl-C a large file may still be being digested: nobody waits for that.
    runtime.shutdown_background();
    ExitCode::from(exit.code())
}

/// As many open files as the system allows: the usual soft limit, 1,024, is for programs that use
/// `select`, and 256 uploads at a time with a file and a connection each come near it.
fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    // Where that is refused, the limit stays what it was, and a file that cannot be opened is named.
    let _ = setrlimit(Resource::Nofile, raised);
}
