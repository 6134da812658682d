//! `generate_series` and `range` of SQL, whose table says what it counts to its generators alone.

use std::sync::Arc;

use arrow::array::types::IntervalMonthDayNano;
use arrow::datatypes::{DataType, SchemaRef};
use datafusion::catalog::TableProvider;
use datafusion::functions_table::generate_series::{
    GenSeriesArgs, GenerateSeriesTable, GenericSeriesState, TimestampValue,
};
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, Result};

/// The name of the function that has its end in the series.
const WITH_END: &str = "generate_series";
const WITHOUT_END: &str = "range";

/// What is counted, and whether the end is.
#[derive(Serialize, Deserialize)]
pub(super) struct Series {
    counts: Counts,
    with_end: bool,
}

#[derive(Serialize, Deserialize)]
enum Counts {
    /// One of the bounds was null.
    Nothing,
    Numbers {
        start: i64,
        end: i64,
        step: i64,
    },
    /// In nanoseconds; steps of months, days and nanoseconds.
    Times {
        start: i64,
        end: i64,
        step: (i32, i32, i64),
        zone: Option<String>,
        are_dates: bool,
    },
}

impl Series {
    pub(super) fn of(table: &GenerateSeriesTable) -> Result<Self> {
        let generator = table.as_generator(1).map_err(from_datafusion)?;
        let generator = generator.read();
        let generator = generator.as_any();
        if let Some(numbers) = generator.downcast_ref::<GenericSeriesState<i64>>() {
            let (start, end, step) = (*numbers.start(), *numbers.end(), *numbers.step());
            return Ok(Self { counts: Counts::Numbers { start, end, step }, with_end: numbers.include_end() });
        }
        if let Some(times) = generator.downcast_ref::<GenericSeriesState<TimestampValue>>() {
            let (start, end, step) = (times.start(), times.end(), times.step());
            let counts = Counts::Times {
                start: start.value(),
                end: end.value(),
                step: (step.months, step.days, step.nanoseconds),
                zone: start.tz_str().map(ToString::to_string),
                are_dates: table.schema().fields().iter().any(|field| field.data_type() == &DataType::Date32),
            };
            return Ok(Self { counts, with_end: times.include_end() });
        }
        let empty = generator.downcast_ref::<datafusion::functions_table::generate_series::Empty>();
        let empty = empty.ok_or_else(|| Error::internal("a series counts what nobody knows"))?;
        Ok(Self { counts: Counts::Nothing, with_end: empty.name() == WITH_END })
    }

    pub(super) fn table(self, schema: SchemaRef) -> GenerateSeriesTable {
        let include_end = self.with_end;
        let name = if include_end { WITH_END } else { WITHOUT_END };
        let args = match self.counts {
            Counts::Nothing => GenSeriesArgs::ContainsNull { name },
            Counts::Numbers { start, end, step } => GenSeriesArgs::Int64Args { start, end, step, include_end, name },
            Counts::Times { start, end, step: (months, days, nanos), zone, are_dates } => {
                let step = IntervalMonthDayNano::new(months, days, nanos);
                match are_dates {
                    true => GenSeriesArgs::DateArgs { start, end, step, include_end, name },
                    false => {
                        let tz = zone.map(Arc::from);
                        GenSeriesArgs::TimestampArgs { start, end, step, tz, include_end, name }
                    }
                }
            }
        };
        GenerateSeriesTable::new(schema, args)
    }
}
