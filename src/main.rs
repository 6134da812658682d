//! The `sheaf` command: checks the CPU, then hands over to the library.

use std::io::{self, Write};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: sheaf::allocator::Allocator = sheaf::allocator::Allocator {};

fn main() -> ExitCode {
    match sheaf::core::host::check_cpu() {
        Ok(()) => run(),
        Err(told) => {
            // The standard library's own code runs on every CPU, ours may not.
            let _ = io::stderr().write_all(told.as_bytes());
            ExitCode::from(sheaf::cli::UNSUPPORTED)
        }
    }
}

/// A function of its own, so that nothing of it is done before the check.
#[inline(never)]
fn run() -> ExitCode {
    sheaf::allocator::install();
    ExitCode::from(sheaf::cli::run(std::env::args_os()))
}
