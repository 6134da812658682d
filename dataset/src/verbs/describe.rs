//! `describe`: a row for each statistic of every column, from one pass over the rows.

use arrow::datatypes::{DataType, Field};
use datafusion::common::ScalarValue;
use datafusion::functions::expr_fn::isnan;
use datafusion::functions_aggregate::expr_fn::{approx_percentile_cont, avg, count, max, min, stddev};
use datafusion::logical_expr::{Expr, cast, lit, when};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, Result};

use crate::dataset::Dataset;
use crate::expr::col;
use crate::verbs::kinds::{self, Kind, kind};
use crate::verbs::nulls::unused;

/// The percentiles of `describe` when none are named.
pub const PERCENTILES: [f64; 3] = [0.25, 0.5, 0.75];

enum Statistic {
    Count,
    NullCount,
    Mean,
    Std,
    Min,
    Percentile(f64),
    Max,
}

impl Dataset {
    /// One row for each statistic (count, `null_count`, mean, std, min, these percentiles, max) of every column, in
    /// this order. Numbers are told as `Float64`, everything else as text, with count, `null_count`, min and max alone.
    /// NaN is counted, and left out of the others; percentiles are approximate, so that they need little memory.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for a percentile outside 0..=1, or no column at all.
    pub fn describe(&self, percentiles: &[f64]) -> Result<Self> {
        if let Some(wrong) = percentiles.iter().find(|share| !(0.0..=1.0).contains(*share)) {
            return Err(Error::invalid(format!("a percentile lies between 0 and 1, not at {wrong}")));
        }
        let schema = self.schema();
        if schema.fields().is_empty() {
            return Err(Error::invalid("describe tells about columns, and there are none"));
        }
        let statistics = statistics(percentiles);
        let label = unused("describe", &self.columns());
        let (mut aggregates, mut structs) = (Vec::new(), Vec::new());
        for (row, (name, statistic)) in statistics.iter().enumerate() {
            let mut entries = vec![lit(label.as_str()), lit(name.as_str())];
            for (column, field) in schema.fields().iter().enumerate() {
                let told = match statistic.of(field)? {
                    Some(aggregate) => {
                        let name = format!("{row}_{column}");
                        aggregates.push(aggregate.alias(&name));
                        cast(col(name), told_as(field))
                    }
                    None => lit(ScalarValue::try_from(told_as(field)).map_err(from_datafusion)?),
                };
                entries.extend([lit(field.name().as_str()), told]);
            }
            structs.push(entries);
        }
        let columns = std::iter::once(label).chain(self.columns()).collect::<Vec<_>>();
        self.aggregate(aggregates)?.rows_of_structs(Vec::new(), structs, &columns)
    }
}

fn statistics(percentiles: &[f64]) -> Vec<(String, Statistic)> {
    let before = [
        ("count", Statistic::Count),
        ("null_count", Statistic::NullCount),
        ("mean", Statistic::Mean),
        ("std", Statistic::Std),
        ("min", Statistic::Min),
    ];
    let mut statistics: Vec<_> = before.into_iter().map(|(name, statistic)| (name.to_string(), statistic)).collect();
    let mut sorted = percentiles.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.dedup();
    statistics.extend(sorted.into_iter().map(|share| (percent(share), Statistic::Percentile(share))));
    statistics.push(("max".to_string(), Statistic::Max));
    statistics
}

/// 0.25 as `25%`, 0.999 as `99.9%`: without the digits that binary fractions bring.
fn percent(share: f64) -> String {
    format!("{}%", (share * 1e12).round() / 1e10)
}

/// The type that a column's statistics have.
fn told_as(field: &Field) -> DataType {
    if kind(field.data_type()) == Kind::Number { DataType::Float64 } else { DataType::Utf8 }
}

impl Statistic {
    /// The aggregate of this column; `None` where its type has none.
    fn of(&self, field: &Field) -> Result<Option<Expr>> {
        let column = || col(field.name());
        let is_number = kind(field.data_type()) == Kind::Number;
        let has_order = kind(field.data_type()).is_ordered() && kind(field.data_type()) != Kind::Bytes;
        let value = match kinds::is_float(field.data_type()) {
            true => when(isnan(column()).is_not_true(), column()).end().map_err(from_datafusion)?,
            false => column(),
        };
        let number = || cast(value.clone(), DataType::Float64);
        Ok(match self {
            Self::Count => Some(count(column())),
            Self::NullCount => Some(count(when(column().is_null(), lit(1_i64)).end().map_err(from_datafusion)?)),
            Self::Mean => is_number.then(|| avg(number())),
            Self::Std => is_number.then(|| stddev(number())),
            Self::Percentile(share) => {
                is_number.then(|| approx_percentile_cont(number().sort(true, false), lit(*share), None))
            }
            Self::Min => has_order.then(|| min(value)),
            Self::Max => has_order.then(|| max(value)),
        })
    }
}
