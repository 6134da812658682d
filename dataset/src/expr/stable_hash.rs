//! `stable_hash`: a hash of a value that is the same in every run, process and version. What is parted by it stays
//! parted.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, UInt64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, UInt64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::{
    ColumnarValue, DocSection, Documentation, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TypeSignature, Volatility, lit,
};
use twox_hash::XxHash64;

/// The hash of a value, with a seed: see the function's documentation in SQL and Python.
#[must_use]
pub fn stable_hash(value: Expr, seed: u64) -> Expr {
    function().call(vec![value, lit(seed)])
}

pub(super) fn function() -> Arc<ScalarUDF> {
    static FUNCTION: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| Arc::new(ScalarUDF::new_from_impl(StableHash::new())));
    Arc::clone(&FUNCTION)
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct StableHash {
    signature: Signature,
    documentation: Documentation,
}

impl StableHash {
    fn new() -> Self {
        let documentation = Documentation::builder(
            DocSection::default(),
            "XXH64 of a value: the same in every run, process and version. Text and binary values are hashed as their \
             bytes; whole numbers and booleans as 8 bytes, little-endian, whatever their width; floating-point numbers \
             as those of a double, with one zero and one NaN; dates as their days, timestamps as their nanoseconds \
             since 1970 in 16 bytes. Null has no hash.",
            "stable_hash(expression[, seed])",
        )
        .with_argument("expression", "The value.")
        .with_argument("seed", "The seed of XXH64, a constant; 0 by default.")
        .build();
        let signature = Signature::one_of(vec![TypeSignature::Any(1), TypeSignature::Any(2)], Volatility::Immutable);
        Self { signature, documentation }
    }
}

impl ScalarUDFImpl for StableHash {
    fn name(&self) -> &'static str {
        "stable_hash"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [value, seed @ ..] if is_hashed(value) && seed.iter().all(DataType::is_integer) => Ok(DataType::UInt64),
            [value, seed] if is_hashed(value) => plan_err!("the seed of stable_hash is a whole number, not {seed}"),
            [value, ..] => plan_err!("stable_hash knows no bytes of {value}: cast it to text"),
            [] => plan_err!("stable_hash takes a value"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let seed = match args.args.get(1) {
            None => 0,
            Some(ColumnarValue::Scalar(ScalarValue::UInt64(Some(seed)))) => *seed,
            Some(ColumnarValue::Scalar(seed)) => match seed.cast_to(&DataType::Int64)? {
                // The bits of a negative one are as good as any.
                ScalarValue::Int64(Some(seed)) => seed.cast_unsigned(),
                _ => return exec_err!("the seed of stable_hash is null"),
            },
            Some(ColumnarValue::Array(_)) => return exec_err!("the seed of stable_hash is a constant"),
        };
        match &args.args[0] {
            ColumnarValue::Array(values) => Ok(ColumnarValue::Array(Arc::new(hashes(values, seed)?))),
            ColumnarValue::Scalar(value) => {
                let hashes = hashes(&value.to_array()?, seed)?;
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&hashes, 0)?))
            }
        }
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

fn is_hashed(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_hashed(values),
        DataType::Null
        | DataType::Boolean
        | DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView
        | DataType::FixedSizeBinary(_)
        | DataType::Date32
        | DataType::Date64
        | DataType::Timestamp(..) => true,
        other => other.is_integer() || other.is_floating(),
    }
}

fn hashes(values: &ArrayRef, seed: u64) -> Result<UInt64Array> {
    let of = |bytes: &[u8]| XxHash64::oneshot(seed, bytes);
    Ok(match values.data_type() {
        DataType::Null => UInt64Array::new_null(values.len()),
        DataType::Dictionary(_, kind) => hashes(&cast(values, kind)?, seed)?,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            let texts = cast(values, &DataType::Utf8View)?;
            texts.as_string_view().iter().map(|text| text.map(|text| of(text.as_bytes()))).collect()
        }
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            let binaries = cast(values, &DataType::BinaryView)?;
            binaries.as_binary_view().iter().map(|bytes| bytes.map(of)).collect()
        }
        DataType::UInt64 => {
            values.as_primitive::<UInt64Type>().iter().map(|n| n.map(|n| of(&n.to_le_bytes()))).collect()
        }
        DataType::Float16 | DataType::Float32 | DataType::Float64 => {
            let floats = cast(values, &DataType::Float64)?;
            let one = |float: f64| match float {
                0.0 => 0.0,
                nan if nan.is_nan() => f64::NAN,
                other => other,
            };
            let floats = floats.as_primitive::<Float64Type>().iter();
            floats.map(|float| float.map(|float| of(&one(float).to_le_bytes()))).collect()
        }
        DataType::Timestamp(unit, _) => {
            let nanoseconds: i128 = match unit {
                TimeUnit::Second => 1_000_000_000,
                TimeUnit::Millisecond => 1_000_000,
                TimeUnit::Microsecond => 1_000,
                TimeUnit::Nanosecond => 1,
            };
            let times = cast(values, &DataType::Int64)?;
            let times = times.as_primitive::<Int64Type>().iter();
            times.map(|time| time.map(|time| of(&(i128::from(time) * nanoseconds).to_le_bytes()))).collect()
        }
        kind => {
            let whole = match kind {
                DataType::Date32 | DataType::Date64 => cast(&cast(values, &DataType::Date32)?, &DataType::Int32)?,
                _ => Arc::clone(values),
            };
            let whole = cast(&whole, &DataType::Int64)?;
            whole.as_primitive::<Int64Type>().iter().map(|n| n.map(|n| of(&n.to_le_bytes()))).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use arrow::array::{
        BooleanArray, Date32Array, Float32Array, Float64Array, Int8Array, Int64Array, StringArray,
        TimestampMicrosecondArray, TimestampSecondArray,
    };

    use super::*;

    fn hash(values: impl Array + 'static, seed: u64) -> Vec<Option<u64>> {
        let values: ArrayRef = Arc::new(values);
        hashes(&values, seed).unwrap().iter().collect()
    }

    /// The first three are the test vectors of xxHash itself.
    #[test]
    fn hashes_are_those_of_xxh64() {
        let texts = StringArray::from(vec![Some(""), Some("a"), Some("abc"), None]);
        let expected = [0xEF46_DB37_51D8_E999, 0xD24E_C4F1_A98C_6E5B, 0x44BC_2CF5_AD77_0999];
        assert_eq!(hash(texts, 0), expected.into_iter().map(Some).chain([None]).collect::<Vec<_>>());
        assert_eq!(hash(StringArray::from(vec!["x"]), 1), [Some(XxHash64::oneshot(1, b"x"))]);
    }

    #[test]
    fn equal_values_of_other_types_have_one_hash() {
        let one = hash(Int64Array::from(vec![1]), 0);
        assert_eq!(one, [Some(XxHash64::oneshot(0, &1_i64.to_le_bytes()))]);
        assert_eq!(hash(Int8Array::from(vec![1]), 0), one);
        assert_eq!(hash(BooleanArray::from(vec![true]), 0), one);
        assert_eq!(hash(Date32Array::from(vec![1]), 0), one);
        assert_eq!(hash(UInt64Array::from(vec![1]), 0), one);
        assert_eq!(
            hash(Float32Array::from(vec![-0.0, f32::NAN]), 0),
            hash(Float64Array::from(vec![0.0, -f64::NAN]), 0)
        );
        let seconds = hash(TimestampSecondArray::from(vec![i64::MAX / 1000, -7]), 0);
        assert_eq!(seconds[1], hash(TimestampMicrosecondArray::from(vec![-7_000_000]), 0)[0]);
    }
}
