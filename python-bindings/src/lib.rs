//! The Python leaf of Sheaf: types and calls of the engine, told to Python. No engine logic lives here.
#![expect(clippy::needless_pass_by_value, reason = "PyO3 hands arguments over by value")]
#![expect(clippy::wrong_self_convention, reason = "a Python session has methods such as from_arrow")]

use pyo3::prelude::*;

mod cli;
mod cluster;
mod codec;
mod columns;
mod convert;
mod dataset;
mod errors;
mod expr;
mod feed;
mod filesystem;
mod functions;
mod interrupt;
mod map_batches;
mod parts;
mod pickles;
mod read;
mod runtime;
mod session;
mod span;
mod sql;
mod stream;
mod user_aggregate;
mod wait;
mod write;

#[global_allocator]
static ALLOCATOR: sheaf::allocator::Allocator = sheaf::allocator::Allocator {};

/// The extension module `sheaf._sheaf`.
#[pymodule]
mod _sheaf {
    #[pymodule_init]
    fn init(_module: &pyo3::Bound<'_, pyo3::types::PyModule>) -> pyo3::PyResult<()> {
        sheaf::allocator::install();
        Ok(())
    }

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
    #[pymodule_export]
    use crate::cli::command_line;
    #[pymodule_export]
    use crate::cluster::ClusterOutput;
    #[pymodule_export]
    use crate::codec::expr_from_bytes;
    #[pymodule_export]
    use crate::columns::{data_type, named};
    #[pymodule_export]
    use crate::dataset::{PyDataset, PyGroupedDataset};
    #[pymodule_export]
    use crate::expr::{
        PyExpr, PySortKey, PyThen, PyUserFunction, PyWhen, PyWindow, col, framed, left, like, lit, right, when,
    };
    #[pymodule_export]
    use crate::feed::{PyCut, PyDeal, PyFeed, compact, fingerprint, planned_partitions};
    #[pymodule_export]
    use crate::filesystem::await_file_calls;
    #[pymodule_export]
    use crate::functions::{PyFunctionInfo, call_function, lambda_function, lambda_variable, list_functions};
    #[pymodule_export]
    use crate::runtime::{
        Blobs, CallOptions, HeadPort, ItemStream, ObjectRef, PyCall, Runtime, RuntimeClient, join_cluster,
        start_recording, stop_recording,
    };
    #[pymodule_export]
    use crate::session::{PySession, is_built_for_this_cpu, remove_spill_folders};
    #[pymodule_export]
    use crate::stream::PartitionIterator;
}
