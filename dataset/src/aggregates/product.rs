//! `product`: the values multiplied with each other. Whole numbers stay whole, and fail where they overflow.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Float64Type, Int64Type};
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, ReversedUDAF, Signature, Volatility,
};

use super::{NUMBERS, all_values, told};

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let documentation = told(
        "The product of the values: of whole numbers a 64-bit whole number (an error where it overflows), else a 64-bit \
         float. Null of no values.",
        "product(expression)",
        &[NUMBERS],
    );
    let product = Product { signature: Signature::user_defined(Volatility::Immutable), documentation };
    vec![Arc::new(AggregateUDF::new_from_impl(product))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Product {
    signature: Signature,
    documentation: Documentation,
}

impl AggregateUDFImpl for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [whole] if whole.is_integer() => Ok(vec![DataType::Int64]),
            [number] if number.is_numeric() || number.is_null() => Ok(vec![DataType::Float64]),
            [other] => plan_err!("product is of numbers, not of {other}"),
            _ => plan_err!("product has one argument, not {}", types.len()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(types[0].clone())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        all_values(self.name(), &args)?;
        match args.return_field.data_type() {
            DataType::Int64 => Ok(Box::new(Whole(None))),
            _ => Ok(Box::new(Float(None))),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

#[derive(Debug)]
struct Whole(Option<i64>);

impl Accumulator for Whole {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Int64Type>().iter().flatten() {
            let Some(product) = self.0.unwrap_or(1).checked_mul(value) else {
                return exec_err!("product: the 64-bit whole number overflows; cast the values to a float first");
            };
            self.0 = Some(product);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(self.0))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}

#[derive(Debug)]
struct Float(Option<f64>);

impl Accumulator for Float {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Float64Type>().iter().flatten() {
            self.0 = Some(self.0.unwrap_or(1.0) * value);
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.0))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.update_batch(states)
    }
}
