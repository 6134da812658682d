//! `null_count`: how many rows have no value.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::compute::sum;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::AccumulatorArgs;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, ReversedUDAF, Signature, Volatility,
};

use super::{all_values, told};

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let documentation = told(
        "How many rows have no value; NaN is a value.",
        "null_count(expression)",
        &[("expression", "Values of any type.")],
    );
    let count = NullCount { signature: Signature::any(1, Volatility::Immutable), documentation };
    vec![Arc::new(AggregateUDF::new_from_impl(count))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct NullCount {
    signature: Signature,
    documentation: Documentation,
}

impl AggregateUDFImpl for NullCount {
    fn name(&self) -> &'static str {
        "null_count"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn is_nullable(&self) -> bool {
        false
    }

    fn default_value(&self, _: &DataType) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(0)))
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        all_values(self.name(), &args)?;
        Ok(Box::new(Nulls(0)))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

#[derive(Debug)]
struct Nulls(i64);

impl Accumulator for Nulls {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        match i64::try_from(values[0].logical_null_count()) {
            Ok(nulls) => self.0 += nulls,
            Err(_) => return plan_err!("null_count: a batch has more rows than can be counted"),
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Int64(Some(self.0)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.evaluate()?])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.0 += sum(states[0].as_primitive::<Int64Type>()).unwrap_or(0);
        Ok(())
    }
}
