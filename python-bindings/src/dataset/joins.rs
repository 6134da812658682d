//! Joins.

use pyo3::prelude::*;
use sheaf::dataset::{JoinOptions, JoinType, Side};
use sheaf::{Error, Result};

use super::PyDataset;
use crate::columns::{ColumnArg, join_type};
use crate::errors::IntoPyResult;
use crate::expr::PyExpr;

#[pymethods]
impl PyDataset {
    #[expect(clippy::too_many_arguments, reason = "the arguments of the verb")]
    fn join(
        &self,
        py: Python<'_>,
        others: Vec<PyRef<'_, Self>>,
        left_on: Vec<ColumnArg>,
        right_on: Vec<ColumnArg>,
        how: &str,
        predicate: Option<PyRef<'_, PyExpr>>,
        null_equals: bool,
        left_suffix: String,
        suffixes: Vec<String>,
        broadcast: Option<&str>,
    ) -> PyResult<Self> {
        others.iter().try_for_each(|other| self.check_session(py, other))?;
        let how = join_type(how).py(py)?;
        let options = JoinOptions {
            how: how.unwrap_or(JoinType::Inner),
            left_on: keys(left_on),
            right_on: keys(right_on),
            predicate: predicate.map(|predicate| predicate.inner.clone()),
            null_equals,
            left_suffix,
            suffix: suffixes.first().cloned().unwrap_or_default(),
            broadcast: broadcast.map(side).transpose().py(py)?,
        };
        let others: Vec<sheaf::Dataset> = others.iter().map(|other| other.inner.clone()).collect();
        let joined = match how {
            Some(_) => self.inner.join_all(&others, &suffixes, &options),
            None => others.iter().zip(&suffixes).try_fold(self.inner.clone(), |joined, (other, suffix)| {
                joined.cross_join(other, &JoinOptions { suffix: suffix.clone(), ..options.clone() })
            }),
        };
        joined.map(Self::from).py(py)
    }
}

fn keys(columns: Vec<ColumnArg>) -> Vec<sheaf::expr::Expr> {
    columns.into_iter().map(|column| column.0).collect()
}

fn side(name: &str) -> Result<Side> {
    match name {
        "left" => Ok(Side::Left),
        "right" => Ok(Side::Right),
        _ => Err(Error::invalid(format!("a join keeps its \"left\" or its \"right\" side in memory, not {name:?}"))),
    }
}
