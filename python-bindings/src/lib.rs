//! The Python leaf of Sheaf: types and calls of the engine, told to Python. No engine logic lives here.

use pyo3::prelude::*;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The extension module `sheaf._sheaf`.
#[pymodule]
mod _sheaf {
    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
