//! `histogram`: how many values fall into each of some intervals, as NumPy's.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array, ListArray, StructArray};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Float64Type, Int64Type};
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::common::{Result, ScalarValue, exec_err, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, ReversedUDAF, Signature, Volatility,
};

use super::{NUMBERS, all_values, constant, told};

/// More bins than these are a mistake, and would be memory for each group.
const MOST_BINS: i64 = 1 << 20;

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    let documentation = told(
        "How many values fall into each bin, as a list of structs {start, end, count}. A bin has its start and not its \
         end, but for the last, which has both. With a number of bins they are equally wide from the least value to the \
         largest, which keeps all values of a group until its end; with a list of edges counts are all that is kept, \
         and values outside are left out. NaN is in no bin.",
        "histogram(expression, bins)",
        &[NUMBERS, ("bins", "How many bins, or the list of their edges, ascending: a constant.")],
    );
    let histogram = Histogram { signature: Signature::user_defined(Volatility::Immutable), documentation };
    vec![Arc::new(AggregateUDF::new_from_impl(histogram))]
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Histogram {
    signature: Signature,
    documentation: Documentation,
}

impl AggregateUDFImpl for Histogram {
    fn name(&self) -> &'static str {
        "histogram"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        let [values, bins] = types else { return plan_err!("histogram has two arguments, not {}", types.len()) };
        if !values.is_numeric() && !values.is_null() {
            return plan_err!("histogram is of numbers, not of {values}");
        }
        match bins {
            count if count.is_integer() => Ok(vec![DataType::Float64, DataType::Int64]),
            edges if edges.is_list() => Ok(vec![DataType::Float64, DataType::new_list(DataType::Float64, true)]),
            other => plan_err!("bins of histogram are a number of them or a list of edges, not {other}"),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::new_list(DataType::Struct(bin()), true))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let kept = match args.input_fields[1].data_type() {
            DataType::Int64 => DataType::Float64,
            _ => DataType::Int64,
        };
        Ok(vec![Arc::new(Field::new(format_state_name(args.name, "kept"), DataType::new_list(kept, true), true))])
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        all_values(self.name(), &args)?;
        match constant(self.name(), &args, 1)? {
            ScalarValue::Int64(Some(bins)) if (1..=MOST_BINS).contains(&bins) => {
                Ok(Box::new(Equal { bins: usize::try_from(bins).unwrap_or(1), values: Vec::new() }))
            }
            ScalarValue::List(edges) if edges.len() == 1 && edges.is_valid(0) => {
                let edges = edges.value(0);
                let edges = edges.as_primitive::<Float64Type>();
                let ascend = edges.values().windows(2).all(|pair| pair[0] < pair[1]);
                if edges.null_count() > 0 || edges.len() < 2 || !ascend {
                    return plan_err!("the edges of histogram are at least two numbers that ascend");
                }
                Ok(Box::new(Edges { counts: vec![0; edges.len() - 1], edges: edges.values().to_vec() }))
            }
            other => plan_err!("bins of histogram are from 1 to {MOST_BINS}, or a list of edges, not {other}"),
        }
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

fn bin() -> Fields {
    Fields::from(vec![
        Field::new("start", DataType::Float64, false),
        Field::new("end", DataType::Float64, false),
        Field::new("count", DataType::Int64, false),
    ])
}

fn result(edges: &[f64], counts: Vec<i64>) -> Result<ScalarValue> {
    let (ends, starts) = (edges.get(1..).unwrap_or(&[]), edges.get(..edges.len().saturating_sub(1)).unwrap_or(&[]));
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Float64Array::from(starts.to_vec())),
        Arc::new(Float64Array::from(ends.to_vec())),
        Arc::new(Int64Array::from(counts)),
    ];
    let bins = StructArray::try_new(bin(), columns, None)?;
    Ok(SingleRowListArrayBuilder::new(Arc::new(bins)).build_list_scalar())
}

fn kept(list: ArrayRef) -> Vec<ScalarValue> {
    vec![SingleRowListArrayBuilder::new(list).build_list_scalar()]
}

/// The bin of a value among these edges, if it is in one.
fn bin_of(edges: &[f64], value: f64) -> Option<usize> {
    let (first, last) = (edges.first()?, edges.last()?);
    if !(*first..=*last).contains(&value) {
        return None;
    }
    let after = edges.partition_point(|edge| *edge <= value);
    Some(after.saturating_sub(1).min(edges.len().saturating_sub(2)))
}

/// Bins between given edges.
#[derive(Debug)]
struct Edges {
    edges: Vec<f64>,
    counts: Vec<i64>,
}

impl Accumulator for Edges {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Float64Type>().iter().flatten() {
            if let Some(count) = bin_of(&self.edges, value).and_then(|at| self.counts.get_mut(at)) {
                *count += 1;
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        result(&self.edges, self.counts.clone())
    }

    fn size(&self) -> usize {
        size_of_val(self) + (self.edges.capacity() + self.counts.capacity()) * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(kept(Arc::new(Int64Array::from(self.counts.clone()))))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let states: &ListArray = states[0].as_list();
        for state in states.iter().flatten() {
            let other = state.as_primitive::<Int64Type>();
            self.counts.iter_mut().zip(other.values()).for_each(|(count, more)| *count += more);
        }
        Ok(())
    }
}

/// Bins of one width, which is known when all values are.
#[derive(Debug)]
struct Equal {
    bins: usize,
    values: Vec<f64>,
}

impl Equal {
    #[expect(clippy::cast_precision_loss, reason = "there are fewer bins than 2^53")]
    fn edges(&self) -> Vec<f64> {
        let least = self.values.iter().copied().fold(f64::INFINITY, f64::min);
        let largest = self.values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        // As NumPy: values that are all equal stand in the middle of a width of 1, and without any it is 0 to 1.
        let (start, end) = match self.values.is_empty() {
            true => (0.0, 1.0),
            false if least == largest => (least - 0.5, largest + 0.5),
            false => (least, largest),
        };
        let step = (end - start) / self.bins as f64;
        (0..self.bins).map(|at| start + at as f64 * step).chain([end]).collect()
    }
}

impl Accumulator for Equal {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<Float64Type>().iter().flatten() {
            if value.is_infinite() {
                return exec_err!("histogram: bins of one width need finite values; filter them, or give edges");
            }
            if !value.is_nan() {
                self.values.push(value);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let edges = self.edges();
        let mut counts = vec![0; self.bins];
        for value in &self.values {
            if let Some(count) = bin_of(&edges, *value).and_then(|at| counts.get_mut(at)) {
                *count += 1;
            }
        }
        result(&edges, counts)
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.values.capacity() * size_of::<f64>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        Ok(kept(Arc::new(Float64Array::from(std::mem::take(&mut self.values)))))
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let states: &ListArray = states[0].as_list();
        states.iter().flatten().try_for_each(|values| self.update_batch(&[values]))
    }
}
