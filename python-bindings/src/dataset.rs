//! `Dataset` as Python holds it: verbs that give a new plan, and actions that run one and wait for it.

mod columns;
mod functions;
mod groups;
mod joins;
mod keeping;
mod nulls;
mod partitions;
mod reshape;
mod results;
mod rows;
mod sets;
mod splits;
mod windows;

use std::sync::Arc;

use pyo3::prelude::*;
use sheaf::Error;

pub(crate) use self::groups::PyGroupedDataset;
use crate::convert::schema_to_pyarrow;
use crate::errors::IntoPyResult;
use crate::wait::wait;

/// A lazy plan over Arrow partitions.
#[pyclass(name = "Dataset", frozen, module = "sheaf._sheaf")]
pub(crate) struct PyDataset {
    pub(crate) inner: sheaf::Dataset,
}

impl From<sheaf::Dataset> for PyDataset {
    fn from(inner: sheaf::Dataset) -> Self {
        Self { inner }
    }
}

impl PyDataset {
    /// Fails for a dataset of another session, whose threads, memory and stores are not this one's.
    fn check_session(&self, py: Python<'_>, other: &Self) -> PyResult<()> {
        if Arc::ptr_eq(self.inner.session().threads(), other.inner.session().threads()) {
            return Ok(());
        }
        Err(Error::invalid("the two datasets belong to different sessions")
            .with_hint("make both with the same session, or bring one over: session.from_arrow(other)"))
        .py(py)
    }
}

#[pymethods]
impl PyDataset {
    fn schema<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        schema_to_pyarrow(py, self.inner.schema())
    }

    fn columns(&self) -> Vec<String> {
        self.inner.columns()
    }

    fn explain(&self, py: Python<'_>, analyze: bool) -> PyResult<String> {
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move {
            if analyze { dataset.explain_analyze().await } else { dataset.explain().await }
        })
    }

    fn stats(&self) -> Option<String> {
        self.inner.stats()
    }

    fn skipped_files(&self) -> Vec<String> {
        self.inner.skipped_files()
    }
}
