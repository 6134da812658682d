//! `single_value`: the value of the only row; null of none, and an error of more. A scalar subquery that is a join gives
//! what it would give by itself.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, Signature, Volatility};

use super::{all_values, told};

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let documentation = told(
        "The value of the only row; null when there is none, and an error when there are more.",
        "single_value(expression)",
        &[("expression", "Values of any type.")],
    );
    let single = SingleValue { signature: Signature::any(1, Volatility::Immutable), documentation };
    vec![Arc::new(AggregateUDF::new_from_impl(single))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct SingleValue {
    signature: Signature,
    documentation: Documentation,
}

impl AggregateUDFImpl for SingleValue {
    fn name(&self) -> &'static str {
        "single_value"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, arguments: &[DataType]) -> Result<DataType> {
        Ok(arguments[0].clone())
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        all_values(self.name(), &args)?;
        Ok(Box::new(Single { value: ScalarValue::try_from(args.return_field.data_type())?, is_there: false }))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let name = |of| format_state_name(args.name, of);
        Ok(vec![
            Arc::new(Field::new(name("value"), args.return_field.data_type().clone(), true)),
            Arc::new(Field::new(name("is_there"), DataType::Boolean, false)),
        ])
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

#[derive(Debug)]
struct Single {
    value: ScalarValue,
    is_there: bool,
}

impl Single {
    fn take(&mut self, value: ScalarValue) -> Result<()> {
        if self.is_there {
            return exec_err!("a scalar subquery gave more than one row");
        }
        (self.value, self.is_there) = (value, true);
        Ok(())
    }
}

impl Accumulator for Single {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        (0..values[0].len().min(2)).try_for_each(|row| self.take(ScalarValue::try_from_array(&values[0], row)?))
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(self.value.clone())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.value.size() - size_of_val(&self.value)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(vec![self.value.clone(), ScalarValue::Boolean(Some(self.is_there))])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let there = states[1].as_boolean();
        let rows = (0..there.len()).filter(|row| there.value(*row));
        rows.take(2).try_for_each(|row| self.take(ScalarValue::try_from_array(&states[0], row)?))
    }
}
