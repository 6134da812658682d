//! Aggregates of statistics as methods of expressions: quantiles, moments, frequent values, histograms.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyFloat;
use sheaf::expr::{Expr, lit};

use super::PyExpr;
use super::operand::Operand;
use crate::functions::{self, Modifiers};

/// One share of all values, or several.
pub(crate) enum Shares {
    One(f64),
    Many(Vec<f64>),
}

impl<'py> FromPyObject<'_, 'py> for Shares {
    type Error = PyErr;

    fn extract(value: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let shares = match value.is_instance_of::<PyFloat>() || value.extract::<f64>().is_ok() {
            true => Self::One(value.extract()?),
            false => Self::Many(value.extract()?),
        };
        match shares.all().iter().find(|share| !(0.0..=1.0).contains(*share)) {
            Some(share) => Err(PyValueError::new_err(format!("a quantile is a share from 0 to 1, not {share}"))),
            None => Ok(shares),
        }
    }
}

impl Shares {
    fn all(&self) -> &[f64] {
        match self {
            Self::One(share) => std::slice::from_ref(share),
            Self::Many(shares) => shares,
        }
    }

    /// The aggregate for the one share, or the list of the aggregates for all.
    fn of(&self, one: impl Fn(f64) -> PyResult<Expr>) -> PyResult<PyExpr> {
        match self {
            Self::One(share) => one(*share).map(PyExpr::from),
            Self::Many(shares) => {
                let each = shares.iter().map(|share| one(*share)).collect::<PyResult<Vec<_>>>()?;
                functions::call("make_array", each).map(PyExpr::from)
            }
        }
    }
}

#[pymethods]
impl PyExpr {
    /// Aggregate: the value below which this share of all values lies, interpolated between two. Of several shares a
    /// list.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").quantile(0.9)
    /// Expr(percentile_cont(a, 0.9))
    /// >>> sf.from_pydict({"a": [0, 1, 2]}).aggregate(q=sf.col("a").quantile([0.25, 0.5])).to_pydict()
    /// {'q': [[0.5, 1.0]]}
    fn quantile(&self, share: Shares) -> PyResult<Self> {
        share.of(|share| self.expr("percentile_cont", [lit(share)]))
    }

    /// Aggregate: about the value below which this share of all values lies, in little memory (a t-digest). Of several
    /// shares a list.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").approx_quantile(0.9)
    /// Expr(approx_percentile_cont(a, 0.9))
    fn approx_quantile(&self, share: Shares) -> PyResult<Self> {
        share.of(|share| self.expr("approx_percentile_cont", [lit(share)]))
    }

    /// Aggregate: about how many different values there are, in little memory. Another name of `approx_n_unique`.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").approx_count_distinct()
    /// Expr(approx_distinct(a))
    fn approx_count_distinct(&self) -> PyResult<Self> {
        self.call("approx_distinct", [])
    }

    /// Aggregate: the value that occurs most often, and of several the smallest.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.from_pydict({"a": [3, 1, 3, None]}).aggregate(sf.col("a").mode()).to_pydict()
    /// {'mode(a)': [3]}
    fn mode(&self) -> PyResult<Self> {
        self.call("mode", [])
    }

    /// Aggregate: the `k` values that occur most often with their counts, as a list of structs; of equally frequent
    /// ones the smaller first. Nulls are left out.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.from_pydict({"a": ["x", "y", "x"]}).aggregate(top=sf.col("a").top_k(1)).to_pydict()
    /// {'top': [[{'value': 'x', 'count': 2}]]}
    fn top_k(&self, k: i64) -> PyResult<Self> {
        self.call("top_k", [lit(k)])
    }

    /// Aggregate: as `top_k`, in bounded memory: exact up to 2,048 different values in a group, else a count may be too
    /// large by a thousandth of the rows.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").approx_top_k(3)
    /// Expr(approx_top_k(a, 3))
    fn approx_top_k(&self, k: i64) -> PyResult<Self> {
        self.call("approx_top_k", [lit(k)])
    }

    /// Aggregate: how many values fall into each bin, as a list of structs with its start, its end and its count.
    ///
    /// `bins` is a number of bins, equally wide from the least value to the largest, or a list of their edges. A bin
    /// has its start and not its end, but for the last, which has both: NumPy's definition. With a number of bins all
    /// values of a group are kept until its end. NaN and nulls are in no bin.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.from_pydict({"a": [0, 1, 4]}).aggregate(h=sf.col("a").histogram(2)).to_pydict()
    /// {'h': [[{'start': 0.0, 'end': 2.0, 'count': 2}, {'start': 2.0, 'end': 4.0, 'count': 1}]]}
    fn histogram(&self, bins: Operand) -> PyResult<Self> {
        self.call("histogram", [bins.0])
    }

    /// Aggregate: the skewness: of a sample, corrected for bias, as pandas has it; with `bias=True` of all there is, as
    /// `scipy.stats.skew` has it.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").skew()
    /// Expr(skew(a))
    #[pyo3(signature = (bias=false))]
    fn skew(&self, bias: bool) -> PyResult<Self> {
        self.call(if bias { "skew_pop" } else { "skew" }, [])
    }

    /// Aggregate: the excess kurtosis: of a sample, corrected for bias, as pandas has it; with `bias=True` of all there
    /// is, as `scipy.stats.kurtosis` has it.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").kurtosis()
    /// Expr(kurtosis(a))
    #[pyo3(signature = (bias=false))]
    fn kurtosis(&self, bias: bool) -> PyResult<Self> {
        self.call(if bias { "kurtosis_pop" } else { "kurtosis" }, [])
    }

    /// Aggregate: the values multiplied with each other. Whole numbers stay whole, and overflow is an error.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.from_pydict({"a": [2, 3, None]}).aggregate(sf.col("a").product()).to_pydict()
    /// {'product(a)': [6]}
    fn product(&self) -> PyResult<Self> {
        self.call("product", [])
    }

    /// Aggregate: how many values are null.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.from_pydict({"a": [2, 3, None]}).aggregate(sf.col("a").null_count()).to_pydict()
    /// {'null_count(a)': [1]}
    fn null_count(&self) -> PyResult<Self> {
        self.call("null_count", [])
    }

    /// Aggregate: Pearson's correlation with another expression, over the rows where both have a value.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").corr(sf.col("b"))
    /// Expr(corr(a, b))
    fn corr(&self, other: &Self) -> PyResult<Self> {
        self.call("corr", [other.inner.clone()])
    }

    /// Aggregate: the covariance with another expression, of a sample; with `ddof=0` of all there is.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").cov(sf.col("b"))
    /// Expr(covar_samp(a, b))
    #[pyo3(signature = (other, ddof=1))]
    fn cov(&self, other: &Self, ddof: u8) -> PyResult<Self> {
        match ddof {
            0 => self.call("covar_pop", [other.inner.clone()]),
            1 => self.call("covar_samp", [other.inner.clone()]),
            other => Err(PyValueError::new_err(format!("ddof is 0 or 1, not {other}"))),
        }
    }

    /// Aggregate: the different values as one list, in no order; nulls are left out.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.from_pydict({"a": [2, 2, None]}).aggregate(s=sf.col("a").agg_set()).to_pydict()
    /// {'s': [[2]]}
    fn agg_set(&self) -> PyResult<Self> {
        let values =
            Modifiers { distinct: true, filter: Some(self.inner.clone().is_not_null()), ..Modifiers::default() };
        functions::modified(self.expr("array_agg", [])?, values).map(Self::from)
    }
}

impl PyExpr {
    fn expr(&self, function: &str, args: impl IntoIterator<Item = Expr>) -> PyResult<Expr> {
        functions::call(function, std::iter::once(self.inner.clone()).chain(args).collect())
    }
}
