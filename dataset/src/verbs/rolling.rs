//! `rolling`: aggregates over the rows that lie within a span before or around each row.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::functions_aggregate::expr_fn::count;
use datafusion::logical_expr::expr::AggregateFunction;
use datafusion::logical_expr::{Case, Expr, WindowFrameBound, WindowFrameUnits, lit};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, Result};

use crate::dataset::Dataset;
use crate::expr::{Axis, Span, Window};

/// How far a window reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// So many rows.
    Rows(i64),
    /// So far along the column that orders the rows; equal values are in or out together.
    Span(Span),
}

/// Which ends of a window belong to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closed {
    /// The later one.
    Right,
    /// The earlier one.
    Left,
    /// Both.
    Both,
    /// Neither.
    Neither,
}

impl Closed {
    /// Whether the earlier end belongs to the window.
    pub(crate) fn has_start(self) -> bool {
        matches!(self, Self::Left | Self::Both)
    }

    /// Whether the later end belongs to the window.
    pub(crate) fn has_end(self) -> bool {
        matches!(self, Self::Right | Self::Both)
    }
}

/// The windows of [`Dataset::rolling`].
#[derive(Debug, Clone)]
pub struct RollingOptions {
    /// The column that orders the rows: whole numbers, dates or timestamps.
    pub on: String,
    /// How far a window reaches back.
    pub window: Reach,
    /// Rows of each value of these go by themselves.
    pub by: Vec<Expr>,
    /// A window with fewer values that are not null has a null.
    pub min_periods: i64,
    /// Which ends belong to the window.
    pub closed: Closed,
    /// Whether the window lies around its row instead of before it.
    pub center: bool,
}

/// A dataset and the window around each of its rows; `agg` computes over these.
#[derive(Debug, Clone)]
pub struct RollingDataset {
    dataset: Dataset,
    options: RollingOptions,
}

impl Dataset {
    /// The rows before each row, within a span. Each row is in its own window where the later end belongs to it.
    #[must_use]
    pub fn rolling(&self, options: RollingOptions) -> RollingDataset {
        RollingDataset { dataset: self.clone(), options }
    }

    /// The column of this name as what windows go along.
    pub(crate) fn axis(&self, name: &str) -> Result<Axis> {
        self.check_columns([name])?;
        let schema = self.schema();
        let data_type = schema.field_with_name(name).map_or(&DataType::Null, |field| field.data_type());
        Axis::new(name, data_type)
    }
}

impl RollingDataset {
    /// All columns, and these aggregates, computed for each row over its window. A column of a name that is there is
    /// replaced. Rows without a value in the column that orders them have nulls.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`]; [`sheaf_core::ErrorKind::TypeMismatch`] for a window that does not
    /// suit the column; [`sheaf_core::ErrorKind::InvalidInput`] for one that holds no row, and for an expression
    /// without an aggregate.
    pub fn agg(&self, aggregates: impl IntoIterator<Item = Expr>) -> Result<Dataset> {
        let axis = self.dataset.axis(&self.options.on)?;
        let window = self.window(&axis)?;
        let aggregates = self.dataset.resolve(aggregates)?.into_iter().map(|aggregate| {
            let name = aggregate.schema_name().to_string();
            let enough = at_least(aggregate.unalias(), self.options.min_periods)?;
            let ordered = (Box::new(axis.column().is_not_null()), Box::new(window.over(enough)?));
            Ok((name, Expr::Case(Case::new(None, vec![ordered], None))))
        });
        self.dataset.with_columns(aggregates.collect::<Result<Vec<_>>>()?)
    }

    fn window(&self, axis: &Axis) -> Result<Window> {
        let RollingOptions { window, by, min_periods, closed, center, .. } = &self.options;
        if *min_periods < 0 {
            return Err(Error::invalid(format!("min_periods counts values, and cannot be {min_periods}")));
        }
        let order = Window::new().partition_by(by.clone());
        match *window {
            Reach::Rows(rows) => {
                let order = order.order_by([axis.key().sort(true, true)]);
                let (start, end) = ends(rows, *closed, center.then_some((rows - 1) / 2))?;
                order.rows_between(Some(start), Some(end))
            }
            Reach::Span(span) => {
                let order = order.order_by([axis.key().sort(true, true)]);
                let (start, end) = self.bounds(axis, span)?;
                order.between(WindowFrameUnits::Range, start, end)
            }
        }
    }

    /// The ends of the frame of a span.
    fn bounds(&self, axis: &Axis, span: Span) -> Result<(WindowFrameBound, WindowFrameBound)> {
        let RollingOptions { closed, center, .. } = self.options;
        if !span.is_positive() {
            return Err(Error::invalid(format!("a window reaches some way, and {span} is none")));
        }
        if let Some(steps) = axis.count(span)? {
            let (start, end) = match center {
                true => around(steps, closed)?,
                false => ends(steps, closed, None)?,
            };
            return Ok((away(axis, start)?, away(axis, end)?));
        }
        let Span::Months(months) = span else { return Err(Error::internal("a span without a length has months")) };
        if center {
            return Err(Error::invalid(
                "months have no one length, so that no row is in the middle of a window of them",
            )
            .with_hint("give the window in days"));
        }
        let start = axis.months(months, i64::from(!closed.has_start()))?;
        Ok((WindowFrameBound::Preceding(start), away(axis, -i64::from(!closed.has_end()))?))
    }
}

/// The first and the last step of a window of this length, from the current one, moved on so many steps.
fn ends(length: i64, closed: Closed, moved: Option<i64>) -> Result<(i64, i64)> {
    let start = i64::from(!closed.has_start()) - length;
    let end = -i64::from(!closed.has_end());
    let moved = moved.unwrap_or(0);
    not_empty(start.saturating_add(moved), end.saturating_add(moved), length)
}

/// The first and the last step of a window of this length around the current one.
fn around(length: i64, closed: Closed) -> Result<(i64, i64)> {
    let half = |is_closed: bool| if is_closed { length / 2 } else { (length - 1) / 2 };
    not_empty(-half(closed.has_start()), half(closed.has_end()), length)
}

fn not_empty(start: i64, end: i64, length: i64) -> Result<(i64, i64)> {
    if length < 1 || start > end {
        return Err(Error::invalid(format!("a window of {length} with these ends holds no row"))
            .with_hint("make it longer, or let more of its ends belong to it, as with closed=\"both\""));
    }
    Ok((start, end))
}

fn away(axis: &Axis, steps: i64) -> Result<WindowFrameBound> {
    Ok(match steps {
        0 => WindowFrameBound::CurrentRow,
        ..0 => WindowFrameBound::Preceding(axis.distance(steps.saturating_neg())?),
        _ => WindowFrameBound::Following(axis.distance(steps)?),
    })
}

/// The expression with nulls for aggregates of fewer values.
fn at_least(expr: Expr, values: i64) -> Result<Expr> {
    if values <= 1 {
        return Ok(expr);
    }
    let guarded = expr.transform_down(|node| {
        let Expr::AggregateFunction(aggregate) = node else { return Ok(Transformed::no(node)) };
        let enough = values_of(&aggregate).gt_eq(lit(values));
        let guarded = (Box::new(enough), Box::new(Expr::AggregateFunction(aggregate)));
        Ok(Transformed::new(Expr::Case(Case::new(None, vec![guarded], None)), true, TreeNodeRecursion::Jump))
    });
    Ok(guarded.map_err(from_datafusion)?.data)
}

/// How many values an aggregate has: rows in which none of its columns is null.
fn values_of(aggregate: &AggregateFunction) -> Expr {
    let columns = aggregate.params.args.iter().filter(|arg| !matches!(arg, Expr::Literal(_, _)));
    let present = columns.map(|column| column.clone().is_not_null()).reduce(Expr::and);
    let counted = match present {
        Some(present) => {
            let present = (Box::new(present), Box::new(lit(1_i64)));
            count(Expr::Case(Case::new(None, vec![present], None)))
        }
        None => count(Expr::Literal(ScalarValue::Int64(Some(1)), None)),
    };
    match counted {
        Expr::AggregateFunction(mut counted) => {
            counted.params.filter.clone_from(&aggregate.params.filter);
            Expr::AggregateFunction(counted)
        }
        other => other,
    }
}
