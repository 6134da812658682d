//! Verbs over partitions.

use datafusion::common::ScalarValue;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyList;
use pyo3_arrow::PyArray;
use sheaf::core::settings::parse_bytes;
use sheaf::dataset::{PartitionSize, RepartitionOptions, SetIndexOptions};
use sheaf::{Error, Result};

use super::PyDataset;
use crate::columns::ColumnArg;
use crate::errors::IntoPyResult;
use crate::expr::operand::scalar;
use crate::wait::wait;

#[pymethods]
impl PyDataset {
    fn repartition(
        &self,
        py: Python<'_>,
        partitions: Option<usize>,
        rows: Option<u64>,
        bytes: Option<String>,
        by: Vec<ColumnArg>,
        sort: bool,
    ) -> PyResult<Self> {
        let size = size(partitions, rows, bytes.as_deref()).py(py)?;
        let options = RepartitionOptions { size, by: by.into_iter().map(|key| key.0).collect(), sort };
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move { dataset.repartition(options).await }).map(Self::from)
    }

    fn coalesce(&self, py: Python<'_>, partitions: usize) -> PyResult<Self> {
        self.inner.coalesce(partitions).map(Self::from).py(py)
    }

    fn num_partitions(&self, py: Python<'_>) -> PyResult<usize> {
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move { dataset.num_partitions().await })
    }

    fn set_index(
        &self,
        py: Python<'_>,
        column: String,
        divisions: Option<Vec<Bound<'_, PyAny>>>,
        partitions: Option<usize>,
        sorted: bool,
    ) -> PyResult<Self> {
        let divisions = divisions.map(|values| values.iter().map(scalar).collect::<PyResult<_>>()).transpose()?;
        let options = SetIndexOptions { divisions, partitions, sorted };
        let dataset = self.inner.clone();
        wait(py, self.inner.session(), async move { dataset.set_index(&column, options).await }).map(Self::from)
    }

    fn divisions<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let dataset = self.inner.clone();
        match wait(py, self.inner.session(), async move { dataset.divisions().await })? {
            None => Ok(None),
            Some(divisions) if divisions.is_empty() => Ok(Some(PyList::empty(py).into_any())),
            Some(divisions) => {
                let array = ScalarValue::iter_to_array(divisions).map_err(|error| Error::internal(error.to_string()));
                let array = PyArray::from_array_ref(array.py(py)?).into_pyobject(py)?;
                let array = py.import(intern!(py, "pyarrow"))?.call_method1(intern!(py, "array"), (array,))?;
                array.call_method0(intern!(py, "to_pylist")).map(Some)
            }
        }
    }

    fn random_shuffle(&self, seed: u64) -> Self {
        self.inner.random_shuffle(seed).into()
    }

    fn randomize_block_order(&self, seed: u64) -> Self {
        self.inner.randomize_block_order(seed).into()
    }
}

fn size(partitions: Option<usize>, rows: Option<u64>, bytes: Option<&str>) -> Result<Option<PartitionSize>> {
    match (partitions, rows, bytes) {
        (None, None, None) => Ok(None),
        (Some(partitions), None, None) => Ok(Some(PartitionSize::Count(partitions))),
        (None, Some(rows), None) => Ok(Some(PartitionSize::Rows(rows))),
        (None, None, Some(bytes)) => Ok(Some(PartitionSize::Bytes(parse_bytes(bytes)?))),
        _ => Err(Error::invalid("a repartition takes one of a number of partitions, rows= and bytes=")),
    }
}
