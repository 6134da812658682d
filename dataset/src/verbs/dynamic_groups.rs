//! `group_by_dynamic`: groups that are windows along a column, one every so far, which may overlap.

use arrow::datatypes::{DataType, IntervalMonthDayNano, TimeUnit};
use datafusion::common::{Column, ScalarValue, UnnestOptions};
use datafusion::functions::expr_fn::{date_part, make_date};
use datafusion::functions_aggregate::expr_fn::min;
use datafusion::logical_expr::{Expr, cast, lit};
use sheaf_core::{Error, Result};

use super::rolling::Closed;
use crate::dataset::Dataset;
use crate::expr::{Axis, DAY, Span, col, floor_divide, modulo};

/// Windows that a row may be in at once: more of them are a mistake of units, and each costs a row.
const MOST_WINDOWS: i64 = 10_000;
/// 1970-01-01 was a Thursday, and weeks begin on Mondays: the first of them on this day.
const FIRST_MONDAY: i64 = 4;
/// Days of the shortest month, and of the longest.
const MONTH_DAYS: (i64, i64) = (28, 31);

/// Which value stands for a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// Where it starts.
    Left,
    /// Where it ends.
    Right,
    /// Its first row's.
    Datapoint,
}

/// The windows of [`Dataset::group_by_dynamic`].
#[derive(Debug, Clone)]
pub struct DynamicOptions {
    /// The column that windows go along: whole numbers, dates or timestamps.
    pub on: String,
    /// How far the starts of windows are apart. They are counted from 1970, months from January, weeks from Mondays.
    pub every: Span,
    /// How long a window is; as far as to the next start by default.
    pub period: Option<Span>,
    /// How much later windows start.
    pub offset: Option<Span>,
    /// Which ends belong to a window.
    pub closed: Closed,
    /// Which value stands for it.
    pub label: Label,
    /// Rows of each value of these go by themselves.
    pub by: Vec<Expr>,
}

/// A dataset and its windows; `agg` gives one row for each that has rows.
#[derive(Debug, Clone)]
pub struct DynamicGroups {
    dataset: Dataset,
    options: DynamicOptions,
}

impl Dataset {
    /// Groups by windows along a column. A row is in each window that it lies in; one without a value is in none.
    #[must_use]
    pub fn group_by_dynamic(&self, options: DynamicOptions) -> DynamicGroups {
        DynamicGroups { dataset: self.clone(), options }
    }
}

impl DynamicGroups {
    /// The keys, the window under the name of its column, and these aggregates: one row for each window with rows.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`]; [`sheaf_core::ErrorKind::TypeMismatch`] for spans that do not suit
    /// the column; [`sheaf_core::ErrorKind::InvalidInput`] for windows of no length.
    pub fn agg(&self, aggregates: impl IntoIterator<Item = Expr>) -> Result<Dataset> {
        let windows = Windows::new(&self.dataset, &self.options)?;
        let by = self.dataset.resolve(self.options.by.clone())?;
        let mut aggregates: Vec<Expr> = aggregates.into_iter().collect();
        let names: Vec<String> = by.iter().chain(&aggregates).map(|expr| expr.schema_name().to_string()).collect();
        let placed = windows.place(&self.dataset)?;
        let mut keys = by;
        let label = match self.options.label {
            Label::Left => windows.axis.value(col(&windows.start)),
            Label::Right => windows.axis.value(windows.end(col(&windows.start))?),
            Label::Datapoint => {
                aggregates.push(min(windows.axis.column()).alias(&windows.ordinal));
                col(&windows.ordinal)
            }
        };
        let keyed = keys.len();
        keys.push(col(&windows.start));
        let grouped = placed.groupby(keys).agg(aggregates)?;
        let mut columns: Vec<Expr> = names.iter().map(col).collect();
        columns.insert(keyed, label.alias(&self.options.on));
        grouped.select(columns)
    }
}

/// The windows along one column, counted in its steps.
struct Windows<'a> {
    options: &'a DynamicOptions,
    axis: Axis,
    period: Span,
    offset: i64,
    // Names that no column has.
    start: String,
    ordinal: String,
}

impl<'a> Windows<'a> {
    fn new(dataset: &Dataset, options: &'a DynamicOptions) -> Result<Self> {
        let axis = dataset.axis(&options.on)?;
        let period = options.period.unwrap_or(options.every);
        for (name, span) in [("every", options.every), ("period", period)] {
            axis.count(span)?;
            if !span.is_positive() {
                return Err(Error::invalid(format!("windows go on and have a length, and {name} is {span}")));
            }
        }
        let offset = options.offset.map_or(Ok(Some(0)), |offset| axis.count(offset))?;
        let offset = offset.ok_or_else(|| {
            Error::invalid("windows cannot start months later, for months have no one length")
                .with_hint("give the offset in days, or label the windows by another month after the fact")
        })?;
        let columns = dataset.columns();
        let free = |name: &str| {
            let taken = |name: &str| columns.iter().any(|column| column == name);
            let mut name = name.to_string();
            while taken(&name) {
                name.push('_');
            }
            name
        };
        Ok(Self { options, axis, period, offset, start: free("window_start"), ordinal: free("window_ordinal") })
    }

    /// The dataset with a row for each window that a row is in, and where that starts, in steps.
    fn place(&self, dataset: &Dataset) -> Result<Dataset> {
        let at = self.axis.steps(self.axis.column());
        // The latest window that the row is in starts no later than it does; before it, where starts are left out.
        let latest = match self.options.closed.has_start() {
            true => at.clone(),
            false => at.clone() - lit(1_i64),
        };
        let windows = self.windows_of_a_row()?;
        let placed = dataset.filter(self.axis.column().is_not_null())?;
        if windows == 1 && self.is_gapless() {
            return placed.with_column(&self.start, self.start_of(latest, None)?);
        }
        let ordinals: Vec<ScalarValue> = (0..windows).map(|ordinal| ScalarValue::Int64(Some(ordinal))).collect();
        let ordinals = ScalarValue::List(ScalarValue::new_list_nullable(&ordinals, &DataType::Int64));
        let placed = placed.with_column(&self.ordinal, Expr::Literal(ordinals, None))?.then(|plan| {
            let ordinal = vec![Column::new_unqualified(&self.ordinal)];
            plan.unnest_columns_with_options(ordinal, UnnestOptions::new())
        })?;
        let placed = placed.with_column(&self.start, self.start_of(latest, Some(&col(&self.ordinal)))?)?;
        let end = self.end(col(&self.start))?;
        placed.filter(if self.options.closed.has_end() { at.lt_eq(end) } else { at.lt(end) })
    }

    /// Whether each row is in just one window, of which one starts where the other ends.
    fn is_gapless(&self) -> bool {
        self.period == self.options.every && self.options.closed.has_start() != self.options.closed.has_end()
    }

    /// How many windows a row may be in.
    fn windows_of_a_row(&self) -> Result<i64> {
        if self.is_gapless() {
            return Ok(1);
        }
        let length = |span: Span, month_days: i64| match (span, self.axis.count(span)?) {
            (_, Some(steps)) => Ok(steps),
            (Span::Months(months), None) => Ok(months.saturating_mul(month_days).saturating_mul(self.day()?)),
            _ => Err(no_length()),
        };
        let (every, period) = (length(self.options.every, MONTH_DAYS.0)?, length(self.period, MONTH_DAYS.1)?);
        let windows = period / every.max(1) + 1;
        if windows > MOST_WINDOWS {
            return Err(Error::invalid(format!(
                "a row would be in {windows} windows, over the {MOST_WINDOWS} allowed"
            ))
            .with_hint("let windows start further apart, or make them shorter"));
        }
        Ok(windows)
    }

    /// The steps of a day.
    fn day(&self) -> Result<i64> {
        self.axis.count(Span::Time(DAY))?.ok_or_else(no_length)
    }

    /// Where the window starts that many windows before the last one with a start not after `at`.
    fn start_of(&self, at: Expr, before: Option<&Expr>) -> Result<Expr> {
        let earlier = |every: i64| before.map(|before| before.clone() * lit(every));
        if let Span::Months(every) = self.options.every {
            let at = self.axis.value(at - lit(self.offset));
            let part = |name: &str| cast(date_part(lit(name), self.calendar(at.clone())), DataType::Int64);
            let month = part("year") * lit(12_i64) + part("month") - lit(1_i64);
            let first = floor_divide(month, lit(every)) * lit(every);
            let first = earlier(every).map_or(first.clone(), |earlier| first - earlier);
            let year = cast(floor_divide(first.clone(), lit(12_i64)), DataType::Int32);
            let month = cast(modulo(first, lit(12_i64)) + lit(1_i64), DataType::Int32);
            let start = make_date(year, month, lit(1_i32));
            return Ok(self.steps_of(start) + lit(self.offset));
        }
        let every = self.axis.count(self.options.every)?.unwrap_or(1);
        let monday = match self.options.every {
            Span::Weeks(_) => FIRST_MONDAY.saturating_mul(self.day()?),
            _ => 0,
        };
        let origin = self.offset.saturating_add(monday);
        let start = floor_divide(at - lit(origin), lit(every)) * lit(every) + lit(origin);
        Ok(earlier(every).map_or(start.clone(), |earlier| start - earlier))
    }

    /// Where a window ends that starts there.
    fn end(&self, start: Expr) -> Result<Expr> {
        match (self.period, self.axis.count(self.period)?) {
            (_, Some(period)) => Ok(start + lit(period)),
            (Span::Months(months), None) => {
                let months = i32::try_from(months).map_err(|_| Error::invalid("the period is too long"))?;
                let months = IntervalMonthDayNano::new(months, 0, 0);
                let end = self.calendar(self.axis.value(start)) + lit(ScalarValue::IntervalMonthDayNano(Some(months)));
                Ok(self.steps_of(end))
            }
            _ => Err(no_length()),
        }
    }

    /// The value as one that a calendar knows, without a time zone: windows are those of UTC.
    fn calendar(&self, value: Expr) -> Expr {
        match self.axis.data_type() {
            DataType::Timestamp(unit, Some(_)) => cast(cast(value, DataType::Int64), DataType::Timestamp(*unit, None)),
            _ => value,
        }
    }

    /// A date or a time of the calendar in steps.
    fn steps_of(&self, calendar: Expr) -> Expr {
        match self.axis.data_type() {
            DataType::Timestamp(unit, _) => cast(cast(calendar, timestamp(*unit)), DataType::Int64),
            _ => self.axis.steps(cast(calendar, DataType::Date32)),
        }
    }
}

fn no_length() -> Error {
    Error::internal("only months have no one length")
}

fn timestamp(unit: TimeUnit) -> DataType {
    DataType::Timestamp(unit, None)
}
