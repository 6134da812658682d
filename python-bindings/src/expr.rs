//! `Expr`: expressions as Python writes them. Operators and methods build the engine's expressions; what they mean
//! is decided there. The namespaces (`.str` and its like) are written in Python over the engine's functions.

mod aggregates;
mod conditional;
mod maths;
pub(crate) mod operand;
mod operators;
mod running;
mod statistics;
pub(crate) mod text;
pub(crate) mod types;
mod user_function;
pub(crate) mod window;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{Between, Case};
use datafusion::logical_expr::{BinaryExpr, Like, Operator, SortExpr, cast, in_list, try_cast};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use sheaf::expr::Expr;

pub(crate) use conditional::{PyThen, PyWhen, when};
pub(crate) use user_function::{PyArrayFunction, PyUserFunction};
pub(crate) use window::{PyWindow, framed};

use crate::functions;
use operand::{Operand, plain_list};
use types::TypeArgument;

/// A column, a constant, or what is computed from them. It holds no data: a dataset's verbs give it its rows.
///
/// `==` builds a comparison, so an expression cannot be a key of a dict or stand in an `if`; `equals` compares
/// two expressions themselves.
///
/// >>> import sheaf as sf
/// >>> late = sf.col("delay") > 60
/// >>> sf.from_pydict({"delay": [5, 75]}).filter(late).to_pydict()
/// {'delay': [75]}
#[pyclass(name = "Expr", module = "sheaf", frozen, subclass)]
#[derive(Clone)]
pub(crate) struct PyExpr {
    pub(crate) inner: Expr,
}

impl From<Expr> for PyExpr {
    fn from(inner: Expr) -> Self {
        Self { inner }
    }
}

impl PyExpr {
    fn binary(left: Expr, operator: Operator, right: Expr) -> Self {
        Expr::BinaryExpr(BinaryExpr::new(Box::new(left), operator, Box::new(right))).into()
    }

    fn with(&self, operator: Operator, other: Operand) -> Self {
        Self::binary(self.inner.clone(), operator, other.0)
    }

    fn reflected(&self, operator: Operator, other: Operand) -> Self {
        Self::binary(other.0, operator, self.inner.clone())
    }

    fn call(&self, function: &str, more: impl IntoIterator<Item = Expr>) -> PyResult<Self> {
        functions::call(function, std::iter::once(self.inner.clone()).chain(more).collect()).map(Self::from)
    }

    fn namespace<'py>(slf: &Bound<'py, Self>, class: &str) -> PyResult<Bound<'py, PyAny>> {
        slf.py().import(intern!(slf.py(), "sheaf.expressions"))?.getattr(class)?.call1((slf,))
    }
}

/// The column of this name, exactly as it is written: `"Dep.Delay"` is one name, and case counts.
///
/// >>> import sheaf as sf
/// >>> sf.col("Dep.Delay") > 60
/// Expr(Dep.Delay > 60)
#[pyfunction]
pub(crate) fn col(name: String) -> PyExpr {
    sheaf::expr::col(name).into()
}

/// The column of this name of the left side of a join, in a predicate over both sides.
///
/// >>> import sheaf as sf
/// >>> sf.left("start") < sf.right("end")
/// Expr(left.start < right.end)
#[pyfunction]
pub(crate) fn left(name: String) -> PyExpr {
    sheaf::expr::left(name).into()
}

/// The column of this name of the right side of a join, in a predicate over both sides.
///
/// >>> import sheaf as sf
/// >>> shifts = sf.from_pydict({"start": [1, 5], "end": [4, 9]})
/// >>> calls = sf.from_pydict({"at": [3, 6]})
/// >>> calls.join(shifts, where=sf.left("at").between(sf.right("start"), sf.right("end"))).sort("at").to_pydict()
/// {'at': [3, 6], 'start': [1, 5], 'end': [4, 9]}
#[pyfunction]
pub(crate) fn right(name: String) -> PyExpr {
    sheaf::expr::right(name).into()
}

/// A constant. Most methods take values as they are; `lit` is for where an expression must begin with one.
///
/// `dtype` is the type it is to have: a `pyarrow.DataType`, a name or a class of Python.
///
/// >>> import sheaf as sf
/// >>> sf.lit(1, "int8")
/// Expr(CAST(1 AS Int8))
#[pyfunction]
#[pyo3(signature = (value, dtype=None))]
pub(crate) fn lit(value: Operand, dtype: Option<TypeArgument>) -> PyExpr {
    match dtype {
        Some(dtype) => cast(value.0, dtype.0).into(),
        None => value.0.into(),
    }
}

/// SQL's `LIKE`, or `ILIKE` where case does not count.
#[pyfunction]
#[pyo3(signature = (value, pattern, ignore_case=false))]
pub(crate) fn like(value: Operand, pattern: Operand, ignore_case: bool) -> PyExpr {
    let (value, pattern) = (Box::new(value.0), Box::new(pattern.0));
    Expr::Like(Like::new(false, value, pattern, None, ignore_case)).into()
}

#[pymethods]
impl PyExpr {
    /// Whether both are the same expression, word for word.
    ///
    /// >>> import sheaf as sf
    /// >>> (sf.col("a") + 1).equals(sf.col("a") + 1)
    /// True
    fn equals(&self, other: &Self) -> bool {
        self.inner == other.inner
    }

    /// The name of the column that this gives.
    ///
    /// >>> import sheaf as sf
    /// >>> (sf.col("a") + 1).name
    /// 'a + 1'
    #[getter]
    fn name(&self) -> String {
        text::output_name(&self.inner)
    }

    /// The same under another name.
    ///
    /// >>> import sheaf as sf
    /// >>> (sf.col("a") + 1).alias("b").name
    /// 'b'
    fn alias(&self, name: String) -> Self {
        self.inner.clone().unalias().alias(name).into()
    }

    /// The values as another type: a `pyarrow.DataType`, a name such as `"int64"`, or a class such as `float`.
    ///
    /// A value that does not fit is an error, or null where `strict` is false.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").cast("int64")
    /// Expr(CAST(a AS Int64))
    #[pyo3(signature = (dtype, strict=true))]
    fn cast(&self, dtype: TypeArgument, strict: bool) -> Self {
        let inner = self.inner.clone();
        if strict { cast(inner, dtype.0).into() } else { try_cast(inner, dtype.0).into() }
    }

    /// Whether the value is null.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").is_null()
    /// Expr(a IS NULL)
    fn is_null(&self) -> Self {
        self.inner.clone().is_null().into()
    }

    /// Whether there is a value.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").is_not_null()
    /// Expr(a IS NOT NULL)
    fn is_not_null(&self) -> Self {
        self.inner.clone().is_not_null().into()
    }

    /// Whether the value is not a number. Null stays null.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").is_nan()
    /// Expr(isnan(a))
    fn is_nan(&self) -> PyResult<Self> {
        self.call("isnan", [])
    }

    /// Whether the value is not NaN. Null stays null.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").is_not_nan()
    /// Expr(NOT isnan(a))
    fn is_not_nan(&self) -> PyResult<Self> {
        Ok(Expr::Not(Box::new(self.call("isnan", [])?.inner)).into())
    }

    /// Whether the value is infinite. Null stays null.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").is_infinite().name
    /// 'abs(a) = inf'
    fn is_infinite(&self) -> PyResult<Self> {
        Ok(self.call("abs", [])?.inner.eq(sheaf::expr::lit(f64::INFINITY)).into())
    }

    /// Whether the value is neither infinite nor NaN. Null stays null.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").is_finite().name
    /// 'abs(a) < inf'
    fn is_finite(&self) -> PyResult<Self> {
        // NaN is larger than infinity in the order of Arrow.
        Ok(self.call("abs", [])?.inner.lt(sheaf::expr::lit(f64::INFINITY)).into())
    }

    /// Equal, where null equals null.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").eq_missing(None)
    /// Expr(a IS NOT DISTINCT FROM NULL)
    fn eq_missing(&self, other: Operand) -> Self {
        self.with(Operator::IsNotDistinctFrom, other)
    }

    /// Not equal, where null equals null.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").ne_missing(None)
    /// Expr(a IS DISTINCT FROM NULL)
    fn ne_missing(&self, other: Operand) -> Self {
        self.with(Operator::IsDistinctFrom, other)
    }

    /// Whether the value is one of these: a list, set, array or series of values, or an expression that gives lists.
    ///
    /// Null stays null, and a null among the values equals nothing.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").is_in([1, 2])
    /// Expr(a IN (1, 2))
    fn is_in(&self, values: &Bound<'_, PyAny>) -> PyResult<Self> {
        if let Ok(lists) = values.cast::<Self>() {
            return functions::call("array_has", vec![lists.get().inner.clone(), self.inner.clone()]).map(Self::from);
        }
        if values.is_instance_of::<PyString>() || values.is_instance_of::<PyDict>() {
            return Err(PyTypeError::new_err("is_in takes a list of values: is_in([...])"));
        }
        let values = plain_list(values)?.map_or_else(|| values.clone(), Bound::into_any);
        let mut list = Vec::new();
        for value in values.try_iter()? {
            let Operand(value) = value?.extract()?;
            if value != Expr::Literal(ScalarValue::Null, None) {
                list.push(value);
            }
        }
        Ok(in_list(self.inner.clone(), list, false).into())
    }

    /// Whether the value lies between two others. `closed` says which of them count: `"both"`, `"left"`, `"right"`
    /// or `"none"`.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").between(1, 5)
    /// Expr(a BETWEEN 1 AND 5)
    #[pyo3(signature = (lower, upper, closed="both"))]
    fn between(&self, lower: Operand, upper: Operand, closed: &str) -> PyResult<Self> {
        let value = || self.inner.clone();
        let (above, below) = match closed {
            "both" => {
                let between = Between::new(Box::new(value()), false, Box::new(lower.0), Box::new(upper.0));
                return Ok(Expr::Between(between).into());
            }
            "left" => (Operator::GtEq, Operator::Lt),
            "right" => (Operator::Gt, Operator::LtEq),
            "none" => (Operator::Gt, Operator::Lt),
            other => {
                return Err(PyValueError::new_err(format!(
                    "closed is \"both\", \"left\", \"right\" or \"none\", not {other:?}"
                )));
            }
        };
        let above = Self::binary(value(), above, lower.0).inner;
        Ok(above.and(Self::binary(value(), below, upper.0).inner).into())
    }

    /// The value, or this one where it is null.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").fill_null(0)
    /// Expr(coalesce(a, 0))
    fn fill_null(&self, value: Operand) -> PyResult<Self> {
        self.call("coalesce", [value.0])
    }

    /// The value, or this one where it is NaN.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").fill_nan(0.0)
    /// Expr(CASE WHEN isnan(a) THEN 0.0 ELSE a END)
    fn fill_nan(&self, value: Operand) -> PyResult<Self> {
        let filled = sheaf::expr::when(self.call("isnan", [])?.inner, value.0).otherwise(self.inner.clone());
        filled.map(Self::from).map_err(|error| PyValueError::new_err(error.to_string()))
    }

    /// The value, or null where it is this one.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").null_if(-1)
    /// Expr(nullif(a, -1))
    fn null_if(&self, value: Operand) -> PyResult<Self> {
        self.call("nullif", [value.0])
    }

    /// The value, raised to the lower and cut to the upper bound. Null stays null.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").clip(0, 10).name
    /// 'CASE WHEN a < 0 THEN 0 WHEN a > 10 THEN 10 ELSE a END'
    #[pyo3(signature = (lower=None, upper=None))]
    fn clip(&self, lower: Option<Operand>, upper: Option<Operand>) -> Self {
        let value = || self.inner.clone();
        let below = lower.map(|lower| (value().lt(lower.0.clone()), lower.0));
        let above = upper.map(|upper| (value().gt(upper.0.clone()), upper.0));
        let branches: Vec<_> = below.into_iter().chain(above).map(|(w, t)| (Box::new(w), Box::new(t))).collect();
        if branches.is_empty() {
            return self.clone();
        }
        Expr::Case(Case::new(None, branches, Some(Box::new(value())))).into()
    }

    /// A key of a sort, smallest first; nulls last unless told otherwise.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").asc(nulls_first=True)
    /// SortKey(a ASC NULLS FIRST)
    #[pyo3(signature = (nulls_first=false))]
    fn asc(&self, nulls_first: bool) -> PySortKey {
        PySortKey { inner: self.inner.clone().sort(true, nulls_first) }
    }

    /// A key of a sort, largest first; nulls last unless told otherwise.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").desc()
    /// SortKey(a DESC)
    #[pyo3(signature = (nulls_first=false))]
    fn desc(&self, nulls_first: bool) -> PySortKey {
        PySortKey { inner: self.inner.clone().sort(false, nulls_first) }
    }

    /// Functions of text.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("name").str.upper()
    /// Expr(upper(name))
    #[getter]
    fn str<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::namespace(slf, "StringNamespace")
    }

    /// Functions of dates, times and durations.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("day").dt.year().name
    /// "date_part('year', day)"
    #[getter]
    fn dt<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::namespace(slf, "DatetimeNamespace")
    }

    /// Functions of lists.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("xs").list.max()
    /// Expr(array_max(xs))
    #[getter]
    fn list<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::namespace(slf, "ListNamespace")
    }

    /// Functions of structs.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("s").struct.field("x").name
    /// 's[x]'
    #[getter]
    fn r#struct<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::namespace(slf, "StructNamespace")
    }
}

/// A key of a sort: an expression, its direction, and where nulls go. `asc` and `desc` of an expression make one.
///
/// >>> import sheaf as sf
/// >>> sf.from_pydict({"a": [1, 2]}).sort(sf.col("a").desc()).to_pydict()
/// {'a': [2, 1]}
#[pyclass(name = "SortKey", module = "sheaf", frozen)]
#[derive(Clone)]
pub(crate) struct PySortKey {
    pub(crate) inner: SortExpr,
}

#[pymethods]
impl PySortKey {
    fn __repr__(&self) -> String {
        format!("SortKey({})", text::sort_key(&text::text(&self.inner.expr), &self.inner))
    }
}
