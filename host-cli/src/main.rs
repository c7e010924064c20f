//! Parses, runs, and turns the outcome into an exit code.

use std::process::ExitCode;

use clap::Parser;
use medialift::{cli::Cli, exit::Exit, report::Ui};

fn main() -> ExitCode {
    let cli = Cli::parse();
    let ui = Ui::new(cli.global.json, cli.global.quiet, cli.global.verbose);
    // One thread for all connections: handing tasks from one thread to another costs more than the
    // second thread brings, since digests are made elsewhere.
    let runtime = match tokio::runtime::Builder::new_current_thread()
        // Files are read and digested there; many more threads only cost memory.
        .max_blocking_threads(16)
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
    ExitCode::from(exit.code())
}
