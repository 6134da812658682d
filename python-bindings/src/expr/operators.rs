//! What Python's operators and protocols make of expressions: `+`, `==`, `abs(…)`, `if …`.

use datafusion::logical_expr::Operator;
use pyo3::basic::CompareOp;
use pyo3::exceptions::PyTypeError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyString;
use sheaf::expr::{Expr, add, floor_divide, modulo, subtract, true_divide};

use super::PyExpr;
use super::operand::Operand;
use super::text;
use crate::functions;

#[pymethods]
impl PyExpr {
    // NumPy's operators would take an expression for an array of one object.
    #[classattr]
    fn __array_ufunc__() -> Option<bool> {
        None
    }

    fn __repr__(&self) -> String {
        format!("Expr({})", text::text(&self.inner))
    }

    fn __bool__(&self) -> PyResult<bool> {
        Err(PyTypeError::new_err(format!(
            "the truth of {} is known only row by row: use & for and, | for or, ~ for not, each side in parentheses, \
             and sf.when() for if",
            self.__repr__()
        )))
    }

    fn __iter__(&self) -> PyResult<()> {
        Err(PyTypeError::new_err("an expression holds no rows to go through: collect a dataset first"))
    }

    fn __contains__(&self, _value: &Bound<'_, PyAny>) -> PyResult<bool> {
        Err(PyTypeError::new_err("use .is_in(values), .str.contains(text) or .list.contains(value) in place of `in`"))
    }

    fn __add__(&self, other: Operand) -> Self {
        add(self.inner.clone(), other.0).into()
    }

    fn __radd__(&self, other: Operand) -> Self {
        add(other.0, self.inner.clone()).into()
    }

    fn __sub__(&self, other: Operand) -> Self {
        subtract(self.inner.clone(), other.0).into()
    }

    fn __rsub__(&self, other: Operand) -> Self {
        subtract(other.0, self.inner.clone()).into()
    }

    fn __mul__(&self, other: Operand) -> Self {
        self.with(Operator::Multiply, other)
    }

    fn __rmul__(&self, other: Operand) -> Self {
        self.reflected(Operator::Multiply, other)
    }

    fn __truediv__(&self, other: Operand) -> Self {
        true_divide(self.inner.clone(), other.0).into()
    }

    fn __rtruediv__(&self, other: Operand) -> Self {
        true_divide(other.0, self.inner.clone()).into()
    }

    fn __floordiv__(&self, other: Operand) -> Self {
        floor_divide(self.inner.clone(), other.0).into()
    }

    fn __rfloordiv__(&self, other: Operand) -> Self {
        floor_divide(other.0, self.inner.clone()).into()
    }

    fn __mod__(&self, other: Operand) -> Self {
        modulo(self.inner.clone(), other.0).into()
    }

    fn __rmod__(&self, other: Operand) -> Self {
        modulo(other.0, self.inner.clone()).into()
    }

    fn __pow__(&self, exponent: Operand, modulus: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        if modulus.is_some() {
            return Err(PyTypeError::new_err("pow() of an expression takes no modulus"));
        }
        self.call("power", [exponent.0])
    }

    fn __rpow__(&self, base: Operand, _modulus: Option<&Bound<'_, PyAny>>) -> PyResult<Self> {
        functions::call("power", vec![base.0, self.inner.clone()]).map(Self::from)
    }

    fn __and__(&self, other: Operand) -> Self {
        self.with(Operator::And, other)
    }

    fn __rand__(&self, other: Operand) -> Self {
        self.reflected(Operator::And, other)
    }

    fn __or__(&self, other: Operand) -> Self {
        self.with(Operator::Or, other)
    }

    fn __ror__(&self, other: Operand) -> Self {
        self.reflected(Operator::Or, other)
    }

    fn __invert__(&self) -> Self {
        Expr::Not(Box::new(self.inner.clone())).into()
    }

    fn __neg__(&self) -> Self {
        Expr::Negative(Box::new(self.inner.clone())).into()
    }

    fn __pos__(&self) -> Self {
        self.clone()
    }

    fn __abs__(&self) -> PyResult<Self> {
        self.abs()
    }

    #[pyo3(signature = (decimals=None))]
    fn __round__(&self, decimals: Option<i64>) -> PyResult<Self> {
        self.round(decimals.unwrap_or(0))
    }

    fn __floor__(&self) -> PyResult<Self> {
        self.floor()
    }

    fn __ceil__(&self) -> PyResult<Self> {
        self.ceil()
    }

    fn __trunc__(&self) -> PyResult<Self> {
        self.trunc()
    }

    /// An element of a list, counted from 0 and from the end where negative, or a field of a struct by its name.
    fn __getitem__(slf: &Bound<'_, Self>, key: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let py = slf.py();
        let (class, method) = if key.is_instance_of::<PyString>() {
            ("StructNamespace", intern!(py, "field"))
        } else {
            ("ListNamespace", intern!(py, "get"))
        };
        Ok(Self::namespace(slf, class)?.call_method1(method, (key,))?.unbind())
    }

    // Not `Operand`: a failure to convert must not turn `==` into a comparison of identities.
    fn __richcmp__(&self, other: &Bound<'_, PyAny>, operator: CompareOp) -> PyResult<Self> {
        let operator = match operator {
            CompareOp::Eq => Operator::Eq,
            CompareOp::Ne => Operator::NotEq,
            CompareOp::Lt => Operator::Lt,
            CompareOp::Le => Operator::LtEq,
            CompareOp::Gt => Operator::Gt,
            CompareOp::Ge => Operator::GtEq,
        };
        Ok(self.with(operator, other.extract()?))
    }
}
