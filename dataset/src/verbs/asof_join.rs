//! `join_asof`: each row with the row of another dataset that is nearest along a column, such as the last price before.

use arrow::datatypes::DataType;
use datafusion::common::Column;
use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlan, LogicalPlanBuilder, Operator, cast};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};

use super::join::{JoinOptions, JoinType, Side, keys_of};
use crate::dataset::Dataset;
use crate::expr::{Axis, LEFT, RIGHT, Span};
use crate::operators::asof_join::{AsofJoin, AsofStrategy, Distance, Matching};
use crate::operators::node::OperatorNode;
use crate::verbs::checks;

/// The digits of the largest integer of 64 bits.
const INTEGER_DIGITS: u8 = 20;

/// How far from a row its match may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Tolerance {
    /// Along whole numbers, dates and timestamps.
    Span(Span),
    /// Along floats.
    Float(f64),
}

/// What is joined on, and how.
#[derive(Debug, Clone)]
pub struct AsofOptions {
    /// The left side's column along which rows are near.
    pub left_on: Expr,
    /// The right side's.
    pub right_on: Expr,
    /// Columns of the left side that are equal to those of the right.
    pub left_by: Vec<Expr>,
    /// Columns of the right side, as many as of the left.
    pub right_by: Vec<Expr>,
    /// Which right row is the one for a left row.
    pub strategy: AsofStrategy,
    /// The farthest that matches.
    pub tolerance: Option<Tolerance>,
    /// Whether a row of the same value matches.
    pub allow_exact_matches: bool,
    /// Put after the name of a right column that the left side has too.
    pub suffix: String,
}

impl Dataset {
    /// Each row with the row of `other` that is nearest along a column of numbers, dates or timestamps, among those
    /// with equal `by` columns; nulls where there is none. Neither side need be sorted. Null keys match nothing. Of
    /// several right rows of one value, which one it is is not said.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownColumn`]; [`ErrorKind::TypeMismatch`] for columns that have no distance, or not that of the
    /// tolerance; [`ErrorKind::InvalidInput`] for two result columns of one name.
    pub fn join_asof(&self, other: &Self, options: &AsofOptions) -> Result<Self> {
        if options.left_by.len() != options.right_by.len() {
            return Err(Error::invalid(format!(
                "an as-of join has as many by columns on each side: {} left, {} right",
                options.left_by.len(),
                options.right_by.len()
            )));
        }
        let keys = |by: &[Expr], on: &Expr| by.iter().chain([on]).cloned().collect::<Vec<_>>();
        let named = JoinOptions {
            left_on: keys(&options.left_by, &options.left_on),
            right_on: keys(&options.right_by, &options.right_on),
            suffix: options.suffix.clone(),
            ..JoinOptions::on(&[], JoinType::Left)
        };
        let (left, right) = (self.side(Side::Left, None)?, other.side(Side::Right, None)?);
        let context = |side: &'static str| move |error: Error| error.with_context(format!("join_asof, {side} side"));
        let left_on = keys_of(&left, LEFT, &named.left_on).map_err(context(LEFT))?;
        let right_on = keys_of(&right, RIGHT, &named.right_on).map_err(context(RIGHT))?;
        checks::comparable(&left_on, left.schema())?;
        checks::comparable(&right_on, right.schema())?;
        let columns = self.joined_columns(other, &named)?;
        let types = key_types((&left, &left_on), (&right, &right_on))?;
        let matching = Matching {
            strategy: options.strategy,
            tolerance: tolerance(options.tolerance, types.last().unwrap_or(&DataType::Null))?,
            allow_exact_matches: options.allow_exact_matches,
        };
        let (left, left_keys) = with_keys(left, LEFT, left_on, &types)?;
        let (right, right_keys) = with_keys(right, RIGHT, right_on, &types)?;
        let join = AsofJoin { left_keys, right_keys, matching };
        let node = OperatorNode::try_new(join, [left, right]).map_err(from_datafusion)?;
        self.of_node(node).then(|joined| joined.project(columns))
    }
}

/// The types in which the keys of both sides are compared; the last is that of the column along which rows are near.
fn key_types(
    (left, left_on): (&LogicalPlan, &[Expr]),
    (right, right_on): (&LogicalPlan, &[Expr]),
) -> Result<Vec<DataType>> {
    let last = left_on.len().saturating_sub(1);
    let types = left_on.iter().zip(right_on).enumerate().map(|(at, (left_key, right_key))| {
        let left_type = left_key.get_type(left.schema()).map_err(from_datafusion)?;
        let right_type = right_key.get_type(right.schema()).map_err(from_datafusion)?;
        let common = BinaryTypeCoercer::new(&left_type, &Operator::Eq, &right_type).get_input_types();
        let Ok((common, _)) = common else {
            let message = format!(
                "join_asof cannot compare {left_key} of type {left_type} with {right_key} of type {right_type}"
            );
            return Err(Error::new(ErrorKind::TypeMismatch, message).with_hint("cast one to the other's type"));
        };
        if at == last { line_type(&common, left_key) } else { group_type(common, left_key) }
    });
    types.collect()
}

/// The type of a column along which rows are near.
fn line_type(common: &DataType, key: &Expr) -> Result<DataType> {
    Ok(match common {
        DataType::UInt64 => DataType::Decimal128(INTEGER_DIGITS, 0),
        common if common.is_integer() => DataType::Int64,
        common if common.is_floating() => DataType::Float64,
        DataType::Decimal128(_, _) | DataType::Date32 | DataType::Timestamp(_, _) => common.clone(),
        other => {
            let message = format!("rows are near along numbers, dates or timestamps, and {key} is {other}");
            return Err(Error::new(ErrorKind::TypeMismatch, message).with_hint("columns that are equal go into by"));
        }
    })
}

fn group_type(common: DataType, key: &Expr) -> Result<DataType> {
    if common.is_floating() || common.is_nested() {
        let message = format!("by columns are compared for equality, and {key} is {common}");
        return Err(
            Error::new(ErrorKind::TypeMismatch, message).with_hint("round it to whole numbers, or cast it to text")
        );
    }
    Ok(common)
}

fn tolerance(tolerance: Option<Tolerance>, of: &DataType) -> Result<Option<Distance>> {
    let wrong =
        |why: &str| Err(Error::new(ErrorKind::TypeMismatch, format!("the tolerance does not suit {of}: {why}")));
    let Some(tolerance) = tolerance else { return Ok(None) };
    let distance = match (tolerance, of) {
        (Tolerance::Float(value), DataType::Float64) => Distance::Float(value),
        #[expect(clippy::cast_precision_loss, reason = "a whole number along floats")]
        (Tolerance::Span(Span::Steps(value)), DataType::Float64) => Distance::Float(value as f64),
        (Tolerance::Span(Span::Steps(value)), DataType::Decimal128(_, scale)) => {
            let unit = 10_i128.checked_pow(u32::try_from(*scale).unwrap_or(0)).unwrap_or(1);
            Distance::Whole(i128::from(value).saturating_mul(unit))
        }
        (Tolerance::Float(_), _) => return wrong("give a whole number, or a span such as \"2d\""),
        (Tolerance::Span(_), DataType::Float64 | DataType::Decimal128(_, _)) => return wrong("give a number"),
        (Tolerance::Span(span), of) => match Axis::new("on", of)?.count(span)? {
            Some(steps) => Distance::Whole(steps.into()),
            None => return wrong("months have no one length, give days"),
        },
    };
    let is_negative = match distance {
        Distance::Whole(steps) => steps < 0,
        Distance::Float(value) => value.is_nan() || value < 0.0,
    };
    if is_negative {
        return Err(Error::invalid(format!("a tolerance is a distance, and {distance} is none")));
    }
    Ok(Some(distance))
}

/// The side with its keys as columns of their own, in the types in which they are compared.
fn with_keys(plan: LogicalPlan, side: &str, keys: Vec<Expr>, types: &[DataType]) -> Result<(LogicalPlan, Vec<Column>)> {
    let taken: Vec<String> = plan.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut columns: Vec<Expr> = plan.schema().columns().into_iter().map(Expr::Column).collect();
    let mut names = Vec::new();
    for (at, (key, data_type)) in keys.into_iter().zip(types).enumerate() {
        let mut name = format!("{side}_key_{at}");
        while taken.contains(&name) {
            name.push('_');
        }
        columns.push(cast(key, data_type.clone()).alias(&name));
        names.push(Column::new_unqualified(name));
    }
    let plan = LogicalPlanBuilder::from(plan).project(columns).and_then(LogicalPlanBuilder::build);
    Ok((plan.map_err(from_datafusion)?, names))
}
