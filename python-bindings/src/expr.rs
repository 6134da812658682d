//! `Expr`: expressions as Python writes them. Operators and methods build the engine's expressions; what they mean
//! is decided there. The namespaces (`.str` and its like) are written in Python over the engine's functions.

mod conditional;
pub(crate) mod operand;
pub(crate) mod text;
pub(crate) mod types;
mod window;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::{Between, Case};
use datafusion::logical_expr::{BinaryExpr, Like, Operator, SortExpr, cast, in_list, try_cast};
use pyo3::basic::CompareOp;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use sheaf::expr::{Expr, add, floor_divide, modulo, subtract, true_divide};

pub(crate) use conditional::{PyThen, PyWhen, when};

use crate::functions::{self, Modifiers};
use operand::{Columns, Operand, SortKeys, plain_list};
use types::TypeArgument;
use window::{Frame, Window};

/// A column, a constant, or what is computed from them. It holds no data: a dataset's verbs give it its rows.
///
/// `==` builds a comparison, so an expression cannot be a key of a dict or stand in an `if`; `equals` compares
/// two expressions themselves.
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

    /// The value without its sign.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").abs()
    /// Expr(abs(a))
    fn abs(&self) -> PyResult<Self> {
        self.call("abs", [])
    }

    /// The nearest number with so many decimals, halves away from zero.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").round(2)
    /// Expr(round(a, 2))
    #[pyo3(signature = (decimals=0))]
    fn round(&self, decimals: i64) -> PyResult<Self> {
        self.call("round", [sheaf::expr::lit(decimals)])
    }

    /// The largest whole number not above the value.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").floor()
    /// Expr(floor(a))
    fn floor(&self) -> PyResult<Self> {
        self.call("floor", [])
    }

    /// The smallest whole number not below the value.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").ceil()
    /// Expr(ceil(a))
    fn ceil(&self) -> PyResult<Self> {
        self.call("ceil", [])
    }

    /// The value without its decimals.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").trunc()
    /// Expr(trunc(a))
    fn trunc(&self) -> PyResult<Self> {
        self.call("trunc", [])
    }

    /// The square root.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").sqrt()
    /// Expr(sqrt(a))
    fn sqrt(&self) -> PyResult<Self> {
        self.call("sqrt", [])
    }

    /// The cube root.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").cbrt()
    /// Expr(cbrt(a))
    fn cbrt(&self) -> PyResult<Self> {
        self.call("cbrt", [])
    }

    /// *e* to the power of the value.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").exp()
    /// Expr(exp(a))
    fn exp(&self) -> PyResult<Self> {
        self.call("exp", [])
    }

    /// The logarithm, natural unless a base is given.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").log(2)
    /// Expr(log(2.0, a))
    #[pyo3(signature = (base=None))]
    fn log(&self, base: Option<f64>) -> PyResult<Self> {
        match base {
            Some(base) => functions::call("log", vec![sheaf::expr::lit(base), self.inner.clone()]).map(Self::from),
            None => self.call("ln", []),
        }
    }

    /// The logarithm to base 2.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").log2()
    /// Expr(log2(a))
    fn log2(&self) -> PyResult<Self> {
        self.call("log2", [])
    }

    /// The logarithm to base 10.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").log10()
    /// Expr(log10(a))
    fn log10(&self) -> PyResult<Self> {
        self.call("log10", [])
    }

    /// The value to the power of another, as a float.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").pow(2)
    /// Expr(power(a, 2))
    fn pow(&self, exponent: Operand) -> PyResult<Self> {
        self.call("power", [exponent.0])
    }

    /// -1, 0 or 1: the sign of the value.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").sign()
    /// Expr(signum(a))
    fn sign(&self) -> PyResult<Self> {
        self.call("signum", [])
    }

    /// The sine of radians.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").sin()
    /// Expr(sin(a))
    fn sin(&self) -> PyResult<Self> {
        self.call("sin", [])
    }

    /// The cosine of radians.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").cos()
    /// Expr(cos(a))
    fn cos(&self) -> PyResult<Self> {
        self.call("cos", [])
    }

    /// The tangent of radians.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").tan()
    /// Expr(tan(a))
    fn tan(&self) -> PyResult<Self> {
        self.call("tan", [])
    }

    /// The inverse sine, in radians.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").asin()
    /// Expr(asin(a))
    fn asin(&self) -> PyResult<Self> {
        self.call("asin", [])
    }

    /// The inverse cosine, in radians.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").acos()
    /// Expr(acos(a))
    fn acos(&self) -> PyResult<Self> {
        self.call("acos", [])
    }

    /// The inverse tangent, in radians.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").atan()
    /// Expr(atan(a))
    fn atan(&self) -> PyResult<Self> {
        self.call("atan", [])
    }

    /// The hyperbolic sine.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").sinh()
    /// Expr(sinh(a))
    fn sinh(&self) -> PyResult<Self> {
        self.call("sinh", [])
    }

    /// The hyperbolic cosine.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").cosh()
    /// Expr(cosh(a))
    fn cosh(&self) -> PyResult<Self> {
        self.call("cosh", [])
    }

    /// The hyperbolic tangent.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").tanh()
    /// Expr(tanh(a))
    fn tanh(&self) -> PyResult<Self> {
        self.call("tanh", [])
    }

    /// Radians as degrees.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").degrees()
    /// Expr(degrees(a))
    fn degrees(&self) -> PyResult<Self> {
        self.call("degrees", [])
    }

    /// Degrees as radians.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").radians()
    /// Expr(radians(a))
    fn radians(&self) -> PyResult<Self> {
        self.call("radians", [])
    }

    /// The bits set in both integers.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").bitwise_and(3)
    /// Expr(a & 3)
    fn bitwise_and(&self, other: Operand) -> Self {
        self.with(Operator::BitwiseAnd, other)
    }

    /// The bits set in one integer or both.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").bitwise_or(3)
    /// Expr(a | 3)
    fn bitwise_or(&self, other: Operand) -> Self {
        self.with(Operator::BitwiseOr, other)
    }

    /// The bits set in exactly one of two integers.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").bitwise_xor(3)
    /// Expr(a BIT_XOR 3)
    fn bitwise_xor(&self, other: Operand) -> Self {
        self.with(Operator::BitwiseXor, other)
    }

    /// The bits of an integer moved up.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").shift_left(3)
    /// Expr(a << 3)
    fn shift_left(&self, other: Operand) -> Self {
        self.with(Operator::BitwiseShiftLeft, other)
    }

    /// The bits of an integer moved down.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").shift_right(3)
    /// Expr(a >> 3)
    fn shift_right(&self, other: Operand) -> Self {
        self.with(Operator::BitwiseShiftRight, other)
    }

    /// Aggregate: the sum of the values.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").sum()
    /// Expr(sum(a))
    fn sum(&self) -> PyResult<Self> {
        self.call("sum", [])
    }

    /// Aggregate: the mean of the values.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").mean()
    /// Expr(avg(a))
    fn mean(&self) -> PyResult<Self> {
        self.call("avg", [])
    }

    /// Aggregate: the smallest value.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").min()
    /// Expr(min(a))
    fn min(&self) -> PyResult<Self> {
        self.call("min", [])
    }

    /// Aggregate: the largest value.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").max()
    /// Expr(max(a))
    fn max(&self) -> PyResult<Self> {
        self.call("max", [])
    }

    /// Aggregate: how many values are not null. `sf.functions.count()` counts rows.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").count()
    /// Expr(count(a))
    fn count(&self) -> PyResult<Self> {
        self.call("count", [])
    }

    /// Aggregate: how many different values there are; null is none.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").n_unique()
    /// Expr(count(DISTINCT a))
    fn n_unique(&self) -> PyResult<Self> {
        let distinct = Modifiers { distinct: true, ..Modifiers::default() };
        functions::modified(self.call("count", [])?.inner, distinct).map(Self::from)
    }

    /// Aggregate: about how many different values there are, in little memory.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").approx_n_unique()
    /// Expr(approx_distinct(a))
    fn approx_n_unique(&self) -> PyResult<Self> {
        self.call("approx_distinct", [])
    }

    /// Aggregate: the standard deviation, of a sample; with `ddof=0` of all there is.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").std()
    /// Expr(stddev(a))
    #[pyo3(signature = (ddof=1))]
    fn std(&self, ddof: u8) -> PyResult<Self> {
        match ddof {
            0 => self.call("stddev_pop", []),
            1 => self.call("stddev", []),
            other => Err(PyValueError::new_err(format!("ddof is 0 or 1, not {other}"))),
        }
    }

    /// Aggregate: the variance, of a sample; with `ddof=0` of all there is.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").var()
    /// Expr(var(a))
    #[pyo3(signature = (ddof=1))]
    fn var(&self, ddof: u8) -> PyResult<Self> {
        match ddof {
            0 => self.call("var_pop", []),
            1 => self.call("var", []),
            other => Err(PyValueError::new_err(format!("ddof is 0 or 1, not {other}"))),
        }
    }

    /// Aggregate: the value in the middle.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").median()
    /// Expr(median(a))
    fn median(&self) -> PyResult<Self> {
        self.call("median", [])
    }

    /// Aggregate: the value below which this share of all values lies, interpolated.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").quantile(0.9)
    /// Expr(percentile_cont(a, 0.9))
    fn quantile(&self, share: f64) -> PyResult<Self> {
        self.call("percentile_cont", [sheaf::expr::lit(share)])
    }

    /// Aggregate: the first value in the order of `order_by`; without it, whichever comes first.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").first(order_by="t")
    /// Expr(first_value(a ORDER BY t ASC))
    #[pyo3(signature = (order_by=None, ignore_nulls=false))]
    fn first(&self, order_by: Option<SortKeys>, ignore_nulls: bool) -> PyResult<Self> {
        self.ordered("first_value", order_by, ignore_nulls)
    }

    /// Aggregate: the last value in the order of `order_by`; without it, whichever comes last.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").last(order_by="t")
    /// Expr(last_value(a ORDER BY t ASC))
    #[pyo3(signature = (order_by=None, ignore_nulls=false))]
    fn last(&self, order_by: Option<SortKeys>, ignore_nulls: bool) -> PyResult<Self> {
        self.ordered("last_value", order_by, ignore_nulls)
    }

    /// Aggregate: all values as one list, in the order of `order_by` where that is given.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").agg_list()
    /// Expr(array_agg(a))
    #[pyo3(signature = (order_by=None))]
    fn agg_list(&self, order_by: Option<SortKeys>) -> PyResult<Self> {
        self.ordered("array_agg", order_by, false)
    }

    /// Aggregate: one of the values that are not null, where there is one.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").any_value()
    /// Expr(any_value(a))
    fn any_value(&self) -> PyResult<Self> {
        self.call("any_value", [])
    }

    /// Aggregate: whether a value is true.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").any()
    /// Expr(bool_or(a))
    fn any(&self) -> PyResult<Self> {
        self.call("bool_or", [])
    }

    /// Aggregate: whether all values are true.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").all()
    /// Expr(bool_and(a))
    fn all(&self) -> PyResult<Self> {
        self.call("bool_and", [])
    }

    /// An aggregate over different values only.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").sum().distinct()
    /// Expr(sum(DISTINCT a))
    fn distinct(&self) -> PyResult<Self> {
        self.modified(Modifiers { distinct: true, ..Modifiers::default() })
    }

    /// An aggregate over the rows for which this is true.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").sum().filter(sf.col("b") > 0)
    /// Expr(sum(a) FILTER (WHERE b > 0))
    fn filter(&self, predicate: &Self) -> PyResult<Self> {
        self.modified(Modifiers { filter: Some(predicate.inner.clone()), ..Modifiers::default() })
    }

    /// The aggregates and window functions in this, computed for each row over the rows around it.
    ///
    /// `partition_by` and `order_by` are columns; `frame` is `(unit, start, end)` with the units `"rows"`, `"range"`
    /// and `"groups"`, negative before the current row, `None` without end. The default is SQL's: with an order, from
    /// the first row to the current one and its equals; without, the whole partition.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("x").sum().over("k", order_by="t", frame=("rows", -2, 0))
    /// Expr(sum(x) OVER (PARTITION BY k ORDER BY t ASC ROWS BETWEEN 2 PRECEDING AND CURRENT ROW))
    #[pyo3(signature = (partition_by=None, order_by=None, frame=None))]
    fn over(&self, partition_by: Option<Columns>, order_by: Option<SortKeys>, frame: Option<Frame>) -> PyResult<Self> {
        let window = Window {
            partition_by: partition_by.map_or_else(Vec::new, |columns| columns.0),
            order_by: order_by.map_or_else(Vec::new, |keys| keys.0),
            frame,
        };
        window::over(self.inner.clone(), &window).map(Self::from)
    }

    /// The value so many rows before, in the order that `over` gives; after, where `rows` is negative.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("x").shift(1).over(order_by="t")
    /// Expr(lag(x, 1) OVER (ORDER BY t ASC))
    #[pyo3(signature = (rows=1, fill_value=None))]
    fn shift(&self, rows: i64, fill_value: Option<Operand>) -> PyResult<Self> {
        let (function, rows) = if rows < 0 { ("lead", rows.saturating_neg()) } else { ("lag", rows) };
        self.call(function, std::iter::once(sheaf::expr::lit(rows)).chain(fill_value.map(|value| value.0)))
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
    #[getter]
    fn str<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::namespace(slf, "StringNamespace")
    }

    /// Functions of dates, times and durations.
    #[getter]
    fn dt<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::namespace(slf, "DatetimeNamespace")
    }

    /// Functions of lists.
    #[getter]
    fn list<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::namespace(slf, "ListNamespace")
    }

    /// Functions of structs.
    #[getter]
    fn r#struct<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Self::namespace(slf, "StructNamespace")
    }
}

impl PyExpr {
    fn modified(&self, modifiers: Modifiers) -> PyResult<Self> {
        functions::modified(self.inner.clone(), modifiers).map(Self::from)
    }

    fn ordered(&self, function: &str, order_by: Option<SortKeys>, ignore_nulls: bool) -> PyResult<Self> {
        let order_by = order_by.map_or_else(Vec::new, |keys| keys.0);
        let ignore_nulls = ignore_nulls.then_some(true);
        self.call(function, [])?.modified(Modifiers { order_by, ignore_nulls, ..Modifiers::default() })
    }
}

/// A key of a sort: an expression, its direction, and where nulls go. `asc` and `desc` of an expression make one.
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
