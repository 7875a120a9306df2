//! The `aspine` binary: runs the command line, and turns its error into one line and an exit code.

use std::process::ExitCode;

/// Values are allocated and freed on their own core, which is what mimalloc keeps one heap per
/// thread for.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match aspine::cli::run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => error.report(),
    }
}
