//! `Dataset` as Python holds it: verbs that give a new plan, and actions that run one and wait for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyCapsule;
use pyo3_arrow::{PyRecordBatchReader, PySchema};
use sheaf::Error;
use sheaf::dataset::{GroupedDataset, JoinOptions};

use crate::columns::{ColumnArg, OutputArg, SortArg, ValueArg, exprs, join_type, names};
use crate::convert::{schema_to_pyarrow, table_to_pyarrow};
use crate::errors::IntoPyResult;
use crate::map_batches::map_batches;
use crate::stream::{BatchIterator, Batches};
use crate::wait::wait;
use crate::write::WriteArgs;

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

    fn select(&self, py: Python<'_>, columns: Vec<OutputArg>) -> PyResult<Self> {
        self.inner.select(exprs(columns)).map(Self::from).py(py)
    }

    fn filter(&self, py: Python<'_>, predicate: ColumnArg) -> PyResult<Self> {
        self.inner.filter(predicate.0).map(Self::from).py(py)
    }

    fn with_columns(&self, py: Python<'_>, columns: Vec<(String, ValueArg)>) -> PyResult<Self> {
        let columns = columns.into_iter().map(|(name, column)| (name, column.0));
        self.inner.with_columns(columns).map(Self::from).py(py)
    }

    fn rename(&self, py: Python<'_>, columns: BTreeMap<String, String>) -> PyResult<Self> {
        self.inner.rename(&columns).map(Self::from).py(py)
    }

    fn drop(&self, py: Python<'_>, columns: Vec<String>) -> PyResult<Self> {
        self.inner.drop(&names(&columns)).map(Self::from).py(py)
    }

    fn distinct(&self, py: Python<'_>, on: Vec<String>) -> PyResult<Self> {
        self.inner.distinct(&names(&on)).map(Self::from).py(py)
    }

    fn sort(&self, py: Python<'_>, keys: Vec<SortArg>) -> PyResult<Self> {
        self.inner.sort(keys.into_iter().map(|key| key.0)).map(Self::from).py(py)
    }

    fn limit(&self, py: Python<'_>, skip: usize, fetch: Option<usize>) -> PyResult<Self> {
        self.inner.limit(skip, fetch).map(Self::from).py(py)
    }

    fn join(
        &self,
        py: Python<'_>,
        other: &Self,
        left_on: Vec<String>,
        right_on: Vec<String>,
        how: &str,
        suffix: String,
    ) -> PyResult<Self> {
        self.check_session(py, other)?;
        let joined = match join_type(how).py(py)? {
            Some(how) => self.inner.join(&other.inner, &JoinOptions { how, left_on, right_on, suffix }),
            None => self.inner.cross_join(&other.inner, &suffix),
        };
        joined.map(Self::from).py(py)
    }

    fn groupby(&self, keys: Vec<OutputArg>) -> PyGroupedDataset {
        PyGroupedDataset { inner: self.inner.groupby(exprs(keys)) }
    }

    fn aggregate(&self, py: Python<'_>, aggregates: Vec<OutputArg>) -> PyResult<Self> {
        self.inner.aggregate(exprs(aggregates)).map(Self::from).py(py)
    }

    fn union(&self, py: Python<'_>, other: &Self, by_name: bool) -> PyResult<Self> {
        self.check_session(py, other)?;
        self.inner.union(&other.inner, by_name).map(Self::from).py(py)
    }

    fn sample(&self, py: Python<'_>, fraction: f64, seed: u64) -> PyResult<Self> {
        self.inner.sample(fraction, seed).map(Self::from).py(py)
    }

    fn explode(&self, py: Python<'_>, columns: Vec<String>) -> PyResult<Self> {
        self.inner.explode(&names(&columns)).map(Self::from).py(py)
    }

    fn map_batches(
        &self,
        py: Python<'_>,
        call: Py<PyAny>,
        name: String,
        batch_size: Option<usize>,
        schema: Option<PySchema>,
    ) -> PyResult<Self> {
        map_batches(py, &self.inner, call, name, batch_size, schema.map(PySchema::into_inner)).map(Self::from)
    }

    /// The target, new files, rows in them, their bytes.
    fn write(&self, py: Python<'_>, target: String, options: WriteArgs) -> PyResult<(String, u64, u64, u64)> {
        let (dataset, options) = (self.inner.clone(), options.options().py(py)?);
        let report = wait(py, self.inner.session(), async move { dataset.write(&target, options).await })?;
        Ok((report.path, report.files, report.rows, report.bytes))
    }

    fn to_arrow<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let dataset = self.inner.clone();
        let (schema, batches) = wait(py, self.inner.session(), async move {
            let mut run = dataset.start().await?;
            let batches = run.collect().await?;
            dataset.keep_stats(&run);
            Ok((run.schema(), batches))
        })?;
        table_to_pyarrow(py, &schema, batches)
    }

    fn count(&self, py: Python<'_>) -> PyResult<u64> {
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move { dataset.count().await })
    }

    fn preview(&self, py: Python<'_>, rows: usize) -> PyResult<String> {
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move { dataset.preview(rows).await })
    }

    fn materialize(&self, py: Python<'_>) -> PyResult<Self> {
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move { dataset.materialize().await }).map(Self::from)
    }

    fn describe(&self, py: Python<'_>) -> PyResult<Self> {
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move { dataset.describe().await }).map(Self::from)
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

    fn iter_batches(&self, py: Python<'_>, batch_size: Option<usize>) -> PyResult<BatchIterator> {
        Ok(BatchIterator::new(Batches::start(py, &self.inner)?, batch_size))
    }

    #[pyo3(signature = (requested_schema=None))]
    fn __arrow_c_stream__<'py>(
        &self,
        py: Python<'py>,
        requested_schema: Option<Bound<'py, PyCapsule>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let reader = PyRecordBatchReader::new(Box::new(Batches::start(py, &self.inner)?)).into_pyobject(py)?;
        reader.call_method1(intern!(py, "__arrow_c_stream__"), (requested_schema,))
    }
}

/// A dataset and the keys it is grouped by.
#[pyclass(name = "GroupedDataset", frozen, module = "sheaf._sheaf")]
pub(crate) struct PyGroupedDataset {
    inner: GroupedDataset,
}

#[pymethods]
impl PyGroupedDataset {
    fn agg(&self, py: Python<'_>, aggregates: Vec<OutputArg>) -> PyResult<PyDataset> {
        self.inner.agg(exprs(aggregates)).map(PyDataset::from).py(py)
    }
}
