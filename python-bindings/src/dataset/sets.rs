//! Verbs over several datasets of the same columns.

use pyo3::prelude::*;
use sheaf::dataset::MixStop;

use super::PyDataset;
use crate::errors::IntoPyResult;

#[pymethods]
impl PyDataset {
    fn union(&self, py: Python<'_>, others: Vec<PyRef<'_, Self>>, by_name: bool, distinct: bool) -> PyResult<Self> {
        let mut all = vec![self.inner.clone()];
        for other in &others {
            self.check_session(py, other)?;
            all.push(other.inner.clone());
        }
        let union = sheaf::Dataset::concat(&all, by_name);
        union.and_then(|union| if distinct { union.distinct(&[]) } else { Ok(union) }).map(Self::from).py(py)
    }

    fn intersect(&self, py: Python<'_>, other: &Self, distinct: bool) -> PyResult<Self> {
        self.check_session(py, other)?;
        self.inner.intersect(&other.inner, distinct).map(Self::from).py(py)
    }

    fn except_(&self, py: Python<'_>, other: &Self, distinct: bool) -> PyResult<Self> {
        self.check_session(py, other)?;
        self.inner.except_(&other.inner, distinct).map(Self::from).py(py)
    }

    fn zip(&self, py: Python<'_>, other: &Self, suffix: &str) -> PyResult<Self> {
        self.check_session(py, other)?;
        self.inner.zip(&other.inner, suffix).map(Self::from).py(py)
    }

    fn mix(
        &self,
        py: Python<'_>,
        others: Vec<PyRef<'_, Self>>,
        weights: Vec<f64>,
        stop: &str,
        seed: u64,
    ) -> PyResult<Self> {
        others.iter().try_for_each(|other| self.check_session(py, other))?;
        let others: Vec<_> = others.iter().map(|other| other.inner.clone()).collect();
        let stop = match stop {
            "shortest" => MixStop::Shortest,
            "longest" => MixStop::Longest,
            "repeat" => MixStop::Repeat,
            _ => {
                return Err(sheaf::Error::invalid(format!("a mix cannot stop at {stop:?}"))
                    .with_hint("it stops at the end of the shortest or the longest, or begins again with repeat"))
                .py(py);
            }
        };
        self.inner.mix(&others, &weights, stop, seed).map(Self::from).py(py)
    }
}
