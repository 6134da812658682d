//! `skew` and `kurtosis`, from moments about the mean that are updated and merged without losing digits.
//!
//! The formulas are those of P. Pébay, «Formulas for Robust, One-Pass Parallel Computation of Covariances and
//! Arbitrary-Order Statistical Moments», SAND2008-6212 (2008). Sums of powers, which are simpler, cancel: of values
//! near 1e8 that differ by 1 they leave nothing.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, UInt64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, UInt64Type};
use datafusion::common::{Result, ScalarValue, plan_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::utils::format_state_name;
use datafusion::logical_expr::{
    Accumulator, AggregateUDF, AggregateUDFImpl, Documentation, EmitTo, GroupsAccumulator, ReversedUDAF, Signature,
    Volatility,
};

use super::{NUMBERS, all_values, told};

pub(super) fn functions() -> Vec<Arc<AggregateUDF>> {
    Kind::ALL.into_iter().map(|kind| Arc::new(AggregateUDF::new_from_impl(Shape::new(kind)))).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Skew,
    SkewPop,
    Kurtosis,
    KurtosisPop,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Skew, Self::SkewPop, Self::Kurtosis, Self::KurtosisPop];

    fn name(self) -> &'static str {
        match self {
            Self::Skew => "skew",
            Self::SkewPop => "skew_pop",
            Self::Kurtosis => "kurtosis",
            Self::KurtosisPop => "kurtosis_pop",
        }
    }

    fn description(self) -> &'static str {
        match self {
            Self::Skew => {
                "The skewness of a sample, corrected for bias as pandas has it: null of fewer than three values, 0 of \
                 values that are all equal."
            }
            Self::SkewPop => {
                "The skewness of all there is, as scipy.stats.skew has it: NaN of values that are all equal."
            }
            Self::Kurtosis => {
                "The excess kurtosis of a sample, corrected for bias as pandas has it: null of fewer than four values, \
                 0 of values that are all equal."
            }
            Self::KurtosisPop => {
                "The excess kurtosis of all there is, as scipy.stats.kurtosis has it: NaN of values that are all equal."
            }
        }
    }

    fn of(self, moments: &Moments) -> Option<f64> {
        let Moments { count, m2, m3, m4, .. } = *moments;
        #[expect(clippy::cast_precision_loss, reason = "there are fewer rows than 2^53")]
        let n = count as f64;
        match self {
            Self::Skew if count < 3 => None,
            Self::Kurtosis if count < 4 => None,
            _ if count == 0 => None,
            Self::Skew | Self::Kurtosis if m2 == 0.0 => Some(0.0),
            Self::SkewPop | Self::KurtosisPop if m2 == 0.0 => Some(f64::NAN),
            Self::Skew => Some(n * (n - 1.0).sqrt() / (n - 2.0) * m3 / m2.powf(1.5)),
            Self::SkewPop => Some(n.sqrt() * m3 / m2.powf(1.5)),
            Self::Kurtosis => {
                let rest = (n - 2.0) * (n - 3.0);
                Some(n * (n + 1.0) * (n - 1.0) * m4 / (rest * m2 * m2) - 3.0 * (n - 1.0).powi(2) / rest)
            }
            Self::KurtosisPop => Some(n * m4 / (m2 * m2) - 3.0),
        }
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Shape {
    kind: Kind,
    signature: Signature,
    documentation: Documentation,
}

impl Shape {
    fn new(kind: Kind) -> Self {
        let documentation = told(kind.description(), &format!("{}(expression)", kind.name()), &[NUMBERS]);
        Self { kind, signature: Signature::user_defined(Volatility::Immutable), documentation }
    }
}

impl AggregateUDFImpl for Shape {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match types {
            [number] if number.is_numeric() || number.is_null() => Ok(vec![DataType::Float64]),
            [other] => plan_err!("{} is of numbers, not of {other}", self.name()),
            _ => plan_err!("{} has one argument, not {}", self.name(), types.len()),
        }
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        let field = |part: &str, kind| Arc::new(Field::new(format_state_name(args.name, part), kind, true));
        let mut fields = vec![field("count", DataType::UInt64)];
        fields.extend(["mean", "m2", "m3", "m4"].map(|part| field(part, DataType::Float64)));
        Ok(fields)
    }

    fn accumulator(&self, args: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        all_values(self.name(), &args)?;
        Ok(Box::new(Whole { kind: self.kind, moments: Moments::default() }))
    }

    fn groups_accumulator_supported(&self, args: AccumulatorArgs<'_>) -> bool {
        !args.is_distinct
    }

    fn create_groups_accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn GroupsAccumulator>> {
        Ok(Box::new(Groups { kind: self.kind, moments: Vec::new() }))
    }

    fn reverse_expr(&self) -> ReversedUDAF {
        ReversedUDAF::Identical
    }

    fn documentation(&self) -> Option<&Documentation> {
        Some(&self.documentation)
    }
}

/// How many values there are, their mean, and the sums of powers of their distances from it.
#[derive(Debug, Clone, Copy, Default)]
struct Moments {
    count: u64,
    mean: f64,
    m2: f64,
    m3: f64,
    m4: f64,
}

#[expect(clippy::cast_precision_loss, reason = "there are fewer rows than 2^53")]
impl Moments {
    fn push(&mut self, value: f64) {
        self.count += 1;
        let n = self.count as f64;
        let delta = value - self.mean;
        let (step, square) = (delta / n, (delta / n).powi(2));
        let term = delta * step * (n - 1.0);
        self.mean += step;
        self.m4 += term * square * (n * n - 3.0 * n + 3.0) + 6.0 * square * self.m2 - 4.0 * step * self.m3;
        self.m3 += term * step * (n - 2.0) - 3.0 * step * self.m2;
        self.m2 += term;
    }

    fn merge(&mut self, other: &Self) {
        if self.count == 0 || other.count == 0 {
            if other.count > 0 {
                *self = *other;
            }
            return;
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let (n, delta) = (a + b, other.mean - self.mean);
        self.m4 += other.m4
            + delta.powi(4) * a * b * (a * a - a * b + b * b) / n.powi(3)
            + 6.0 * delta.powi(2) * (a * a * other.m2 + b * b * self.m2) / n.powi(2)
            + 4.0 * delta * (a * other.m3 - b * self.m3) / n;
        self.m3 +=
            other.m3 + delta.powi(3) * a * b * (a - b) / n.powi(2) + 3.0 * delta * (a * other.m2 - b * self.m2) / n;
        self.m2 += other.m2 + delta.powi(2) * a * b / n;
        self.mean += delta * b / n;
        self.count += other.count;
    }
}

/// The state of a row of partial results.
struct States<'a> {
    count: &'a UInt64Array,
    parts: [&'a Float64Array; 4],
}

impl<'a> States<'a> {
    fn of(states: &'a [ArrayRef]) -> Result<Self> {
        let [count, mean, m2, m3, m4] = states else {
            return plan_err!("a state of moments has 5 columns, not {}", states.len());
        };
        let parts = [mean, m2, m3, m4].map(|part| part.as_primitive::<Float64Type>());
        Ok(Self { count: count.as_primitive::<UInt64Type>(), parts })
    }

    fn get(&self, row: usize) -> Moments {
        let [mean, m2, m3, m4] = self.parts.map(|part| part.value(row));
        Moments { count: self.count.value(row), mean, m2, m3, m4 }
    }

    fn from(moments: &[Moments]) -> Vec<ArrayRef> {
        let part =
            |get: fn(&Moments) -> f64| Arc::new(Float64Array::from_iter_values(moments.iter().map(get))) as ArrayRef;
        let count = UInt64Array::from_iter_values(moments.iter().map(|moments| moments.count));
        vec![Arc::new(count), part(|m| m.mean), part(|m| m.m2), part(|m| m.m3), part(|m| m.m4)]
    }
}

#[derive(Debug)]
struct Whole {
    kind: Kind,
    moments: Moments,
}

impl Accumulator for Whole {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        values[0].as_primitive::<Float64Type>().iter().flatten().for_each(|value| self.moments.push(value));
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.kind.of(&self.moments)))
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let Moments { count, mean, m2, m3, m4 } = self.moments;
        let parts = [mean, m2, m3, m4].map(|part| ScalarValue::Float64(Some(part)));
        Ok(std::iter::once(ScalarValue::UInt64(Some(count))).chain(parts).collect())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let read = States::of(states)?;
        (0..read.count.len()).for_each(|row| self.moments.merge(&read.get(row)));
        Ok(())
    }
}

#[derive(Debug)]
struct Groups {
    kind: Kind,
    moments: Vec<Moments>,
}

impl GroupsAccumulator for Groups {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        group_indices: &[usize],
        filter: Option<&BooleanArray>,
        groups: usize,
    ) -> Result<()> {
        self.moments.resize(groups, Moments::default());
        let values = values[0].as_primitive::<Float64Type>();
        for (row, (value, group)) in values.iter().zip(group_indices).enumerate() {
            if let Some(value) = value
                && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
            {
                self.moments[*group].push(value);
            }
        }
        Ok(())
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let moments = emit.take_needed(&mut self.moments);
        Ok(Arc::new(moments.iter().map(|moments| self.kind.of(moments)).collect::<Float64Array>()))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        Ok(States::from(&emit.take_needed(&mut self.moments)))
    }

    fn merge_batch(&mut self, states: &[ArrayRef], group_indices: &[usize], groups: usize) -> Result<()> {
        self.moments.resize(groups, Moments::default());
        let read = States::of(states)?;
        group_indices.iter().enumerate().for_each(|(row, group)| self.moments[*group].merge(&read.get(row)));
        Ok(())
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<Float64Type>();
        let state = |(row, value): (usize, Option<f64>)| {
            let mut moments = Moments::default();
            if let Some(value) = value
                && filter.is_none_or(|filter| filter.is_valid(row) && filter.value(row))
            {
                moments.push(value);
            }
            moments
        };
        Ok(States::from(&values.iter().enumerate().map(state).collect::<Vec<_>>()))
    }

    fn size(&self) -> usize {
        size_of::<Self>() + self.moments.capacity() * size_of::<Moments>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(values: &[f64]) -> Moments {
        let mut moments = Moments::default();
        values.iter().for_each(|value| moments.push(*value));
        moments
    }

    #[test]
    fn merged_parts_are_as_the_whole_wherever_they_are_cut() {
        let values: Vec<f64> = (0..200_i32).map(|i| f64::from(i * i % 37) + 1e8).collect();
        let whole = moments(&values);
        for cut in [0, 1, 2, 3, 50, 100, 199, 200] {
            let mut merged = moments(&values[..cut]);
            merged.merge(&moments(&values[cut..]));
            for kind in Kind::ALL {
                let (one, other) = (kind.of(&whole).unwrap(), kind.of(&merged).unwrap());
                assert!((one - other).abs() < 1e-6, "{kind:?} at {cut}: {one} and {other}");
            }
        }
    }

    #[test]
    fn a_large_mean_costs_no_digits() {
        // scipy.stats.skew and kurtosis of [0, 1, 1, 5], which a shift does not change.
        let shifted = moments(&[1e8, 1e8 + 1.0, 1e8 + 1.0, 1e8 + 5.0]);
        assert!((Kind::SkewPop.of(&shifted).unwrap() - 0.992_966_3).abs() < 1e-6);
        assert!((Kind::KurtosisPop.of(&shifted).unwrap() + 0.764_722_8).abs() < 1e-6);
    }

    #[test]
    fn few_values_and_equal_values_have_their_answers() {
        assert_eq!(Kind::Skew.of(&moments(&[1.0, 2.0])), None);
        assert_eq!(Kind::Kurtosis.of(&moments(&[1.0, 2.0, 4.0])), None);
        assert_eq!(Kind::SkewPop.of(&moments(&[])), None);
        assert_eq!(Kind::Skew.of(&moments(&[0.1; 5])), Some(0.0));
        assert!(Kind::SkewPop.of(&moments(&[0.1; 5])).is_some_and(f64::is_nan));
    }
}
