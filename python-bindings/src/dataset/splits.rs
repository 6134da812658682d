//! Verbs that part a dataset in several.

use pyo3::prelude::*;
use sheaf::dataset::{SampleSize, SplitOptions};

use super::PyDataset;
use crate::errors::IntoPyResult;
use crate::wait::wait;

/// Rows of the test, or their share.
#[derive(FromPyObject)]
enum TestSize {
    Rows(usize),
    Share(f64),
}

#[pymethods]
impl PyDataset {
    fn split(&self, py: Python<'_>, n: usize, equal: bool) -> PyResult<Vec<Self>> {
        let dataset = self.inner.clone();
        let parts = wait(py, self.inner.session(), async move { dataset.split(n, equal).await })?;
        Ok(parts.into_iter().map(Self::from).collect())
    }

    fn split_at_indices(&self, py: Python<'_>, indices: Vec<u64>) -> PyResult<Vec<Self>> {
        let parts = self.inner.split_at_indices(&indices).py(py)?;
        Ok(parts.into_iter().map(Self::from).collect())
    }

    fn split_proportionately(&self, py: Python<'_>, proportions: Vec<f64>) -> PyResult<Vec<Self>> {
        let dataset = self.inner.clone();
        let parts = wait(py, self.inner.session(), async move { dataset.split_proportionately(&proportions).await })?;
        Ok(parts.into_iter().map(Self::from).collect())
    }

    fn train_test_split(
        &self,
        py: Python<'_>,
        test_size: TestSize,
        shuffle: bool,
        seed: u64,
        stratify: Vec<String>,
        hash_column: Option<String>,
    ) -> PyResult<(Self, Self)> {
        let test = match test_size {
            TestSize::Rows(rows) => SampleSize::Rows(rows),
            TestSize::Share(share) => SampleSize::Fraction(share),
        };
        let options = SplitOptions { shuffle, seed, stratify, hash_column };
        let dataset = self.inner.clone();
        let parts = wait(py, self.inner.session(), async move { dataset.train_test_split(test, &options).await })?;
        Ok((parts.0.into(), parts.1.into()))
    }
}
