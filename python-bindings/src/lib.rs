//! The Python leaf of Sheaf: types and calls of the engine, told to Python. No engine logic lives here.

mod expr;
mod functions;

use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The extension module `sheaf._sheaf`.
#[pymodule]
mod _sheaf {
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    #[pymodule_export]
    use crate::expr::{PyExpr, PySortKey, PyThen, PyWhen, col, like, lit, when};
    #[pymodule_export]
    use crate::functions::{PyFunctionInfo, call_function, lambda_function, lambda_variable, list_functions};
}
