//! Operators whose meaning in a dataframe is not SQL's: `+` that joins text, `+` and `-` that move a date by a
//! duration, `-` of two dates that is a duration, `/` that never truncates, `//` and `%` that follow the sign of the
//! divisor. Each is a function that knows its operands' types once the plan does, and turns into SQL's operator where
//! that means the same.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::kernels::cmp::{eq, lt, neq};
use arrow::compute::kernels::numeric::{add_wrapping, div, rem, sub_wrapping};
use arrow::compute::kernels::zip::zip;
use arrow::compute::{and, cast as cast_array, nullif};
use arrow::datatypes::{
    DECIMAL128_MAX_PRECISION, DECIMAL256_MAX_PRECISION, DataType, Float32Type, Float64Type, IntervalUnit, TimeUnit,
};
use arrow::error::ArrowError;
use datafusion::common::utils::take_function_args;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::type_coercion::binary::{BinaryTypeCoercer, comparison_coercion};
use datafusion::logical_expr::{
    ColumnarValue, Expr, Operator, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility, binary_expr,
    cast,
};

static ADD: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arithmetic::function(Kind::Add));
static SUBTRACT: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arithmetic::function(Kind::Subtract));
static TRUE_DIVIDE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arithmetic::function(Kind::TrueDivide));
static FLOOR_DIVIDE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arithmetic::function(Kind::FloorDivide));
static MODULO: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arithmetic::function(Kind::Modulo));

/// The sum of numbers or times, or two texts joined.
///
/// ```
/// use sheaf_dataset::expr::{add, col};
///
/// assert_eq!(add(col("first"), col("last")).schema_name().to_string(), "first + last");
/// ```
#[must_use]
pub fn add(left: Expr, right: Expr) -> Expr {
    ADD.call(vec![left, right])
}

/// The difference of numbers or times; of two dates or two times a duration.
///
/// ```
/// use sheaf_dataset::expr::{col, subtract};
///
/// assert_eq!(subtract(col("arrival"), col("departure")).schema_name().to_string(), "arrival - departure");
/// ```
#[must_use]
pub fn subtract(left: Expr, right: Expr) -> Expr {
    SUBTRACT.call(vec![left, right])
}

/// The quotient; of two integers as a 64-bit float, so that `1 / 2` is `0.5` and `1 / 0` infinite.
///
/// ```
/// use sheaf_dataset::expr::{col, true_divide};
///
/// assert_eq!(true_divide(col("a"), col("b")).schema_name().to_string(), "a / b");
/// ```
#[must_use]
pub fn true_divide(left: Expr, right: Expr) -> Expr {
    TRUE_DIVIDE.call(vec![left, right])
}

/// The largest whole number not above the quotient: `-7 // 2` is `-4`. Of integers by zero it is null.
///
/// ```
/// use sheaf_dataset::expr::{col, floor_divide, lit};
///
/// assert_eq!(floor_divide(col("a"), col("b")).schema_name().to_string(), "a // b");
/// ```
#[must_use]
pub fn floor_divide(left: Expr, right: Expr) -> Expr {
    FLOOR_DIVIDE.call(vec![left, right])
}

/// What `//` leaves, with the sign of the divisor: `-7 % 2` is `1`. Of integers by zero it is null.
///
/// ```
/// use sheaf_dataset::expr::{col, modulo};
///
/// assert_eq!(modulo(col("a"), col("b")).schema_name().to_string(), "a % b");
/// ```
#[must_use]
pub fn modulo(left: Expr, right: Expr) -> Expr {
    MODULO.call(vec![left, right])
}

/// The function of these that has the name.
pub(crate) fn arithmetic_named(name: &str) -> Option<Arc<ScalarUDF>> {
    let all = [&ADD, &SUBTRACT, &TRUE_DIVIDE, &FLOOR_DIVIDE, &MODULO];
    all.into_iter().find(|function| function.name() == name).map(|function| Arc::clone(function))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Add,
    Subtract,
    TrueDivide,
    FloorDivide,
    Modulo,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Arithmetic {
    kind: Kind,
    signature: Signature,
}

impl Arithmetic {
    fn function(kind: Kind) -> Arc<ScalarUDF> {
        Arc::new(ScalarUDF::new_from_impl(Self { kind, signature: Signature::user_defined(Volatility::Immutable) }))
    }

    fn floors(&self) -> bool {
        matches!(self.kind, Kind::FloorDivide | Kind::Modulo)
    }

    fn symbol(&self) -> &'static str {
        match self.kind {
            Kind::Add => "+",
            Kind::Subtract => "-",
            Kind::TrueDivide => "/",
            Kind::FloorDivide => "//",
            Kind::Modulo => "%",
        }
    }

    /// SQL's operator that takes the same types.
    fn operator(&self, left: &DataType, right: &DataType) -> Operator {
        match self.kind {
            Kind::Add if is_text(left) && is_text(right) => Operator::StringConcat,
            Kind::Add => Operator::Plus,
            Kind::Subtract => Operator::Minus,
            Kind::TrueDivide => Operator::Divide,
            Kind::FloorDivide | Kind::Modulo => Operator::Modulo,
        }
    }

    fn infix(&self, args: &[Expr], write: impl Fn(&Expr) -> String) -> Result<String> {
        let [left, right] = take_function_args(self.name(), args)?;
        let operand = |expr: &Expr| match expr {
            Expr::BinaryExpr(_) => format!("({})", write(expr)),
            Expr::ScalarFunction(call) if call.func.inner().is::<Self>() => format!("({})", write(expr)),
            _ => write(expr),
        };
        Ok(format!("{} {} {}", operand(left), self.symbol(), operand(right)))
    }
}

impl ScalarUDFImpl for Arithmetic {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Add => "add",
            Kind::Subtract => "subtract",
            Kind::TrueDivide => "true_divide",
            Kind::FloorDivide => "floor_divide",
            Kind::Modulo => "modulo",
        }
    }

    fn display_name(&self, args: &[Expr]) -> Result<String> {
        self.infix(args, ToString::to_string)
    }

    fn schema_name(&self, args: &[Expr]) -> Result<String> {
        self.infix(args, |expr| expr.schema_name().to_string())
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [left, right] = take_function_args(self.name(), types)?;
        if self.kind == Kind::TrueDivide && is_whole(left) && is_whole(right) {
            return Ok(vec![DataType::Float64; 2]);
        }
        if self.floors() && (left.is_decimal() || right.is_decimal()) {
            // Both as one type, so that the rest is of that type too.
            let common = comparison_coercion(left, right).unwrap_or_else(|| left.clone());
            return Ok(vec![common; 2]);
        }
        if self.kind == Kind::Subtract && is_date(left) && is_date(right) {
            // So that the difference is a duration, as of two times, and not SQL's number of days.
            return Ok(vec![DataType::Timestamp(TimeUnit::Millisecond, None); 2]);
        }
        let (left, right) = (&moves_date(left, right), &moves_date(right, left));
        let operator = self.operator(left, right);
        let (left, right) = BinaryTypeCoercer::new(left, &operator, right).get_input_types()?;
        Ok(vec![left, right])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let [left, right] = take_function_args(self.name(), types)?;
        match (self.kind, left) {
            // A whole number, of as many digits as fit.
            (Kind::FloorDivide, DataType::Decimal256(..)) => Ok(DataType::Decimal256(DECIMAL256_MAX_PRECISION, 0)),
            (Kind::FloorDivide, decimal) if decimal.is_decimal() => {
                Ok(DataType::Decimal128(DECIMAL128_MAX_PRECISION, 0))
            }
            (Kind::Modulo, decimal) if decimal.is_decimal() => Ok(decimal.clone()),
            _ => BinaryTypeCoercer::new(left, &self.operator(left, right), right).get_result_type(),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let rows = args.number_rows;
        let target = args.return_field.data_type().clone();
        let [left, right] = take_function_args(self.name(), args.args)?;
        let scalar = matches!((&left, &right), (ColumnarValue::Scalar(_), ColumnarValue::Scalar(_)));
        let (left, right) =
            (left.into_array(if scalar { 1 } else { rows })?, right.into_array(if scalar { 1 } else { rows })?);
        let result = match self.kind {
            Kind::Add if is_text(left.data_type()) => concatenate(&left, &right)?,
            Kind::Add => add_wrapping(&left, &right)?,
            Kind::Subtract => sub_wrapping(&left, &right)?,
            Kind::TrueDivide => div(&left, &right)?,
            Kind::FloorDivide => floored(&left, &right)?.0,
            Kind::Modulo => floored(&left, &right)?.1,
        };
        let result = if result.data_type() == &target { result } else { cast_array(&result, &target)? };
        if scalar {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&result, 0)?));
        }
        Ok(ColumnarValue::Array(result))
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        if self.floors() {
            return Ok(ExprSimplifyResult::Original(args));
        }
        let [left, right] = take_function_args(self.name(), args)?;
        let types = [info.get_data_type(&left)?, info.get_data_type(&right)?];
        if moves_date(&types[0], &types[1]) != types[0] || moves_date(&types[1], &types[0]) != types[1] {
            return Ok(ExprSimplifyResult::Original(vec![left, right]));
        }
        let operator = self.operator(&types[0], &types[1]);
        let float = self.kind == Kind::TrueDivide && types.iter().all(is_whole);
        let operand = |expr| if float { cast(expr, DataType::Float64) } else { expr };
        Ok(ExprSimplifyResult::Simplified(binary_expr(operand(left), operator, operand(right))))
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Dictionary(_, value) => is_text(value),
        other => other.is_string(),
    }
}

fn is_date(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Date32 | DataType::Date64)
}

/// The type that moves a date where `data_type` is a duration and `other` one of dates; else `data_type` itself.
fn moves_date(data_type: &DataType, other: &DataType) -> DataType {
    match (data_type, other) {
        (DataType::Duration(_), other) if is_date(other) => DataType::Interval(IntervalUnit::MonthDayNano),
        _ => data_type.clone(),
    }
}

fn is_whole(data_type: &DataType) -> bool {
    data_type.is_integer() || data_type.is_null()
}

fn concatenate(left: &ArrayRef, right: &ArrayRef) -> Result<ArrayRef> {
    let (left, right) = (cast_array(left, &DataType::Utf8)?, cast_array(right, &DataType::Utf8)?);
    Ok(arrow::compute::kernels::concat_elements::concat_elements_dyn(&left, &right)?)
}

/// The floored quotient and its rest. Kernels truncate: where the rest and the divisor differ in sign, the quotient is
/// one lower and the rest one divisor more.
fn floored(left: &ArrayRef, right: &ArrayRef) -> Result<(ArrayRef, ArrayRef), ArrowError> {
    let data_type = right.data_type();
    let zero = ScalarValue::new_zero(data_type).and_then(|zero| zero.to_scalar())?;
    let float = data_type.is_floating();
    // Kernels hold -0.0 to be below 0.0; their sum is 0.0.
    let unsigned_zero = |array: ArrayRef| if float { add_wrapping(&array, &zero) } else { Ok(array) };
    let divisor = unsigned_zero(Arc::clone(right))?;
    let by_zero = eq(&divisor, &zero)?;
    let divisor = if float { divisor } else { nullif(&divisor, &by_zero)? };
    let rest = unsigned_zero(cast_array(&rem(left, &divisor)?, data_type)?)?;
    let signs_differ = neq(&lt(&rest, &zero)?, &lt(&divisor, &zero)?)?;
    let lower = and(&neq(&rest, &zero)?, &signs_differ)?;
    let rest = zip(&lower, &cast_array(&add_wrapping(&rest, &divisor)?, data_type)?, &rest)?;
    let quotient = div(&sub_wrapping(left, &rest)?, &divisor)?;
    if float {
        // By zero the quotient is infinite and has no rest to subtract.
        return Ok((zip(&by_zero, &div(left, &divisor)?, &rounded(&quotient))?, rest));
    }
    Ok((quotient, rest))
}

/// The quotient of floats is whole but for the last bit.
fn rounded(quotient: &ArrayRef) -> ArrayRef {
    match quotient.data_type() {
        DataType::Float64 => Arc::new(quotient.as_primitive::<Float64Type>().unary::<_, Float64Type>(f64::round)),
        DataType::Float32 => Arc::new(quotient.as_primitive::<Float32Type>().unary::<_, Float32Type>(f32::round)),
        _ => Arc::clone(quotient),
    }
}

#[cfg(test)]
mod tests;
