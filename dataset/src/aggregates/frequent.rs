//! `mode`, `top_k` and `approx_top_k`: the values that occur most often.

use std::sync::Arc;

use arrow::array::{ArrayRef, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, ReversedUDAF, Signature, Volatility,
};

use super::counts::Counts;
use super::{all_values, constant, told};

/// Values that `approx_top_k` remembers for each group, at the least: counts are exact up to twice as many different
/// ones, and too large by a thousandth of the rows at the most beyond.
const LEAST_REMEMBERED: usize = 1024;
/// The same for each value that is asked for.
const REMEMBERED_FOR_EACH: usize = 16;

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    [Kind::Mode, Kind::TopK, Kind::ApproxTopK]
        .into_iter()
        .map(|kind| Arc::new(AggregateUDF::new_from_impl(Frequent::new(kind))))
        .collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Mode,
    TopK,
    ApproxTopK,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Frequent {
    kind: Kind,
    signature: Signature,
    documentation: Documentation,
}

impl Frequent {
    fn new(kind: Kind) -> Self {
        let values = ("expression", "Values of any type; nulls are left out.");
        let k = ("k", "How many values, a constant.");
        let documentation = match kind {
            Kind::Mode => told(
                "The value that occurs most often, and of several the smallest; null of no values.",
                "mode(expression)",
                &[values],
            ),
            Kind::TopK => told(
                "The k values that occur most often with their counts, as a list of structs {value, count}; of equally \
                 frequent ones the smaller first.",
                "top_k(expression, k)",
                &[values, k],
            ),
            Kind::ApproxTopK => told(
                "As top_k, in bounded memory: exact up to 2,048 different values, else a count may be too large by a \
                 thousandth of the rows.",
                "approx_top_k(expression, k)",
                &[values, k],
            ),
        };
        Self { kind, signature: Signature::user_defined(Volatility::Immutable), documentation }
    }

    fn k(&self, args: &AccumulatorArgs<'_>) -> Result<usize> {
        if self.kind == Kind::Mode {
            return Ok(1);
        }
        match constant(self.name(), args, 1)? {
            ScalarValue::Int64(Some(k)) if k > 0 => Ok(usize::try_from(k).unwrap_or(usize::MAX)),
            other => plan_err!("k of {} is a whole number above 0, not {other}", self.name()),
        }
    }
}

impl AggregateUDFImpl for Frequent {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Mode => "mode",
            Kind::TopK => "top_k",
            Kind::ApproxTopK => "approx_top_k",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match (self.kind, types) {
            (Kind::Mode, [value]) => Ok(vec![counted(value)]),
            (Kind::TopK | Kind::ApproxTopK, [value, k]) if k.is_integer() => Ok(vec![counted(value), DataType::Int64]),
            (Kind::Mode, _) => plan_err!("mode has one argument, not {}", types.len()),
            _ => plan_err!("{} has two arguments: values, and how many, a whole number", self.name()),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        Ok(match self.kind {
            Kind::Mode => types[0].clone(),
            Kind::TopK | Kind::ApproxTopK => DataType::new_list(DataType::Struct(entry(&types[0])), true),
        })
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |part: &str, kind| Arc::new(Field::new(format_state_name(args.name, part), kind, true));
        Ok(vec![
            field("values", DataType::new_list(args.input_fields[0].data_type().clone(), true)),
            field("counts", DataType::new_list(DataType::Int64, true)),
            field("lost", DataType::Int64),
        ])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        all_values(self.name(), &args)?;
        let (value, k) = (args.expr_fields[0].data_type().clone(), self.k(&args)?);
        let most = match self.kind {
            Kind::ApproxTopK => Some(k.saturating_mul(REMEMBERED_FOR_EACH).max(LEAST_REMEMBERED)),
            Kind::Mode | Kind::TopK => None,
        };
        let counts = Counts::new(&value, most)?;
        Ok(Box::new(Seen { value, is_mode: self.kind == Kind::Mode, k, counts }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// The type as which values are counted.
fn counted(value: &DataType) -> DataType {
    match value {
        DataType::Dictionary(_, values) => values.as_ref().clone(),
        DataType::Float16 => DataType::Float32,
        other => other.clone(),
    }
}

fn entry(value: &DataType) -> Fields {
    Fields::from(vec![Field::new("value", value.clone(), true), Field::new("count", DataType::Int64, false)])
}

#[derive(Debug)]
struct Seen {
    value: DataType,
    is_mode: bool,
    k: usize,
    counts: Counts,
}

impl Accumulator for Seen {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.counts.add(&values[0])
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let (values, counts) = self.counts.top(self.k)?;
        if self.is_mode {
            return match values.is_empty() {
                true => ScalarValue::try_new_null(&self.value),
                false => ScalarValue::try_from_array(&values, 0),
            };
        }
        let entries = StructArray::try_new(entry(&self.value), vec![values, Arc::new(counts)], None)?;
        Ok(SingleRowListArrayBuilder::new(Arc::new(entries)).build_list_scalar())
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.counts.size()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        self.counts.state()
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        self.counts.merge(states)
    }
}
