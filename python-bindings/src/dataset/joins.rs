//! Joins.

use pyo3::prelude::*;
use pyo3::types::PyFloat;
use sheaf::dataset::{AsofOptions, AsofStrategy, JoinOptions, JoinType, Side, Tolerance};
use sheaf::{Error, Result};

use super::PyDataset;
use crate::columns::{ColumnArg, join_type};
use crate::errors::IntoPyResult;
use crate::expr::PyExpr;
use crate::span::SpanArg;

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

    #[expect(clippy::too_many_arguments, reason = "the arguments of the verb")]
    fn join_asof(
        &self,
        py: Python<'_>,
        other: PyRef<'_, Self>,
        left_on: ColumnArg,
        right_on: ColumnArg,
        left_by: Vec<ColumnArg>,
        right_by: Vec<ColumnArg>,
        strategy: &str,
        tolerance: Option<ToleranceArg>,
        allow_exact_matches: bool,
        suffix: String,
    ) -> PyResult<Self> {
        self.check_session(py, &other)?;
        let options = AsofOptions {
            left_on: left_on.0,
            right_on: right_on.0,
            left_by: keys(left_by),
            right_by: keys(right_by),
            strategy: asof_strategy(strategy).py(py)?,
            tolerance: tolerance.map(|tolerance| tolerance.0),
            allow_exact_matches,
            suffix,
        };
        self.inner.join_asof(&other.inner, &options).map(Self::from).py(py)
    }
}

/// A span, or a float.
struct ToleranceArg(Tolerance);

impl<'a, 'py> FromPyObject<'a, 'py> for ToleranceArg {
    type Error = PyErr;

    fn extract(value: Borrowed<'a, 'py, PyAny>) -> PyResult<Self> {
        Ok(Self(match value.cast::<PyFloat>() {
            Ok(number) => Tolerance::Float(number.extract()?),
            Err(_) => Tolerance::Span(value.extract::<SpanArg>()?.0),
        }))
    }
}

fn asof_strategy(name: &str) -> Result<AsofStrategy> {
    Ok(match name {
        "backward" => AsofStrategy::Backward,
        "forward" => AsofStrategy::Forward,
        "nearest" => AsofStrategy::Nearest,
        _ => {
            let message =
                format!("the nearest row is looked for \"backward\", \"forward\" or \"nearest\", not {name:?}");
            return Err(Error::invalid(message));
        }
    })
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
