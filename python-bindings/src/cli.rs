//! The `sheaf` command from Python: the same command line as the binary's.

use std::ffi::OsString;

use pyo3::prelude::*;

/// Runs the command line (the first argument is the program's name) and gives the exit code.
#[pyfunction]
pub(crate) fn command_line(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    py.detach(|| sheaf::cli::run(arguments))
}
