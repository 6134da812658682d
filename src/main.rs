//! The `sheaf` command: checks the CPU, then hands over to the library.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: sheaf::allocator::Allocator = sheaf::allocator::Allocator {};

fn main() -> ExitCode {
    sheaf::allocator::install();
    match sheaf::core::host::check_cpu() {
        Ok(()) => ExitCode::from(sheaf::cli::run(std::env::args_os())),
        Err(error) => ExitCode::from(sheaf::cli::report(&error)),
    }
}
