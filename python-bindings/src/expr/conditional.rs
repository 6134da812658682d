//! `when(…).then(…).otherwise(…)`.

use datafusion::logical_expr::expr::Case;
use pyo3::prelude::*;
use sheaf::expr::Expr;

use super::PyExpr;
use super::operand::Operand;

type Branch = (Box<Expr>, Box<Expr>);

/// A condition that waits for its value: `when(condition)`.
///
/// >>> import sheaf as sf
/// >>> sf.when(sf.col("delay") > 60)
/// When(delay > 60)
#[pyclass(name = "When", module = "sheaf", frozen)]
#[derive(Clone)]
pub(crate) struct PyWhen {
    branches: Vec<Branch>,
    condition: Expr,
}

/// Conditions with their values: an expression that is null where none holds. `when` adds a condition, `otherwise`
/// says what the rest is.
///
/// >>> import sheaf as sf
/// >>> sf.from_pydict({"x": [1, 9]}).select(size=sf.when(sf.col("x") > 5).then("big")).to_pydict()
/// {'size': [None, 'big']}
#[pyclass(name = "Then", module = "sheaf", extends = PyExpr, frozen)]
pub(crate) struct PyThen {
    branches: Vec<Branch>,
}

/// The value of the first condition that is true.
///
/// >>> import sheaf as sf
/// >>> sf.when(sf.col("delay") > 60).then("late").otherwise("fine")
/// Expr(CASE WHEN delay > 60 THEN 'late' ELSE 'fine' END)
#[pyfunction]
pub(crate) fn when(condition: Operand) -> PyWhen {
    PyWhen { branches: Vec::new(), condition: condition.0 }
}

#[pymethods]
impl PyWhen {
    /// The value where the condition is true.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.when(sf.col("delay") > 60).then("late")
    /// Expr(CASE WHEN delay > 60 THEN 'late' END)
    fn then(&self, py: Python<'_>, value: Operand) -> PyResult<Py<PyThen>> {
        let mut branches = self.branches.clone();
        branches.push((Box::new(self.condition.clone()), Box::new(value.0)));
        let inner = Expr::Case(Case::new(None, branches.clone(), None));
        Py::new(py, PyClassInitializer::from(PyExpr { inner }).add_subclass(PyThen { branches }))
    }

    fn __repr__(&self) -> String {
        format!("When({})", super::text::text(&self.condition))
    }
}

#[pymethods]
impl PyThen {
    /// A further condition, looked at where those before it are not true.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.when(sf.col("x") > 9).then("big").when(sf.col("x") > 5).then("middle").otherwise("small").name
    /// "CASE WHEN x > 9 THEN 'big' WHEN x > 5 THEN 'middle' ELSE 'small' END"
    fn when(&self, condition: Operand) -> PyWhen {
        PyWhen { branches: self.branches.clone(), condition: condition.0 }
    }

    /// The value where no condition is true.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.when(sf.col("x") < 0).then(0).otherwise(sf.col("x"))
    /// Expr(CASE WHEN x < 0 THEN 0 ELSE x END)
    fn otherwise(&self, value: Operand) -> PyExpr {
        PyExpr { inner: Expr::Case(Case::new(None, self.branches.clone(), Some(Box::new(value.0)))) }
    }
}
