//! Functions of numbers and their bits, as methods of expressions.

use datafusion::logical_expr::Operator;
use pyo3::prelude::*;

use super::PyExpr;
use super::operand::Operand;
use crate::functions;

#[pymethods]
impl PyExpr {
    /// The value without its sign.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").abs()
    /// Expr(abs(a))
    pub(super) fn abs(&self) -> PyResult<Self> {
        self.call("abs", [])
    }

    /// The nearest number with so many decimals, halves away from zero.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").round(2)
    /// Expr(round(a, 2))
    #[pyo3(signature = (decimals=0))]
    pub(super) fn round(&self, decimals: i64) -> PyResult<Self> {
        self.call("round", [sheaf::expr::lit(decimals)])
    }

    /// The largest whole number not above the value.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").floor()
    /// Expr(floor(a))
    pub(super) fn floor(&self) -> PyResult<Self> {
        self.call("floor", [])
    }

    /// The smallest whole number not below the value.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").ceil()
    /// Expr(ceil(a))
    pub(super) fn ceil(&self) -> PyResult<Self> {
        self.call("ceil", [])
    }

    /// The value without its decimals.
    ///
    /// >>> import sheaf as sf
    /// >>> sf.col("a").trunc()
    /// Expr(trunc(a))
    pub(super) fn trunc(&self) -> PyResult<Self> {
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
}
