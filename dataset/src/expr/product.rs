//! `product`: the aggregate that multiplies, which the engine lacks. Integers stay integers.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::utils::take_function_args;
use datafusion::common::{ScalarValue, exec_err, plan_err};
use datafusion::error::Result;
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, Volatility};

/// The function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Product {
    signature: Signature,
}

impl Default for Product {
    fn default() -> Self {
        Self { signature: Signature::user_defined(Volatility::Immutable) }
    }
}

impl AggregateUDFImpl for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [of] = take_function_args(self.name(), types)?;
        Ok(vec![match of {
            DataType::UInt64 => DataType::Float64,
            of if of.is_integer() => DataType::Int64,
            of if of.is_numeric() || of.is_null() => DataType::Float64,
            other => return plan_err!("a product is of numbers, and this is {other}"),
        }])
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        let [of] = take_function_args(self.name(), types)?;
        Ok(of.clone())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(match args.return_field.data_type() {
            DataType::Int64 => Box::new(Integers(None)),
            _ => Box::new(Floats(None)),
        })
    }
}

/// The product so far; `None` before the first value.
#[derive(Debug)]
struct Integers(Option<i64>);

#[derive(Debug)]
struct Floats(Option<f64>);

impl Accumulator for Integers {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values.iter().flat_map(|values| values.as_primitive::<Int64Type>().iter().flatten()) {
            match self.0.unwrap_or(1).checked_mul(value) {
                Some(product) => self.0 = Some(product),
                None => return exec_err!("a product of integers is over 64 bits: cast them to float64"),
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(self.0))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Int64(self.0)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

impl Accumulator for Floats {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for values in values {
            let values = values.as_primitive::<Float64Type>();
            if values.len() > values.null_count() {
                self.0 = Some(self.0.unwrap_or(1.0) * values.iter().flatten().product::<f64>());
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.0))
    }

    fn size(&self) -> usize {
        size_of::<Self>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![ScalarValue::Float64(self.0)])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}
