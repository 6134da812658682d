//! `join`: datasets side by side, with every column of the result under a name of its own.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{Column, NullEquality, TableReference};
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, ExprSchemable, Join, JoinConstraint, LogicalPlan, LogicalPlanBuilder, Operator};
use sheaf_connectors::error::{from_datafusion, unknown_column_error};
use sheaf_core::{Error, ErrorKind, Result};

use crate::dataset::Dataset;
use crate::expr::{LEFT, RIGHT, col};
use crate::operators::broadcast::Broadcast;
use crate::operators::node::OperatorNode;
use crate::operators::plan_of;

pub use datafusion::common::JoinType;

/// A side of a join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The dataset that is joined.
    Left,
    /// The one that it is joined with.
    Right,
}

/// What is joined on, and how.
#[derive(Debug, Clone)]
pub struct JoinOptions {
    /// Which rows the result has.
    pub how: JoinType,
    /// Keys of the left side: columns, and what is computed from them.
    pub left_on: Vec<Expr>,
    /// Keys of the right side, as many as of the left.
    pub right_on: Vec<Expr>,
    /// What else is true of two rows that match; see [`crate::expr::left`] and [`crate::expr::right`].
    pub predicate: Option<Expr>,
    /// Whether a null key equals a null key. Otherwise it equals nothing.
    pub null_equals: bool,
    /// Put after the name of a left column that the right side has too.
    pub left_suffix: String,
    /// Put after the name of a right column that the left side has too.
    pub suffix: String,
    /// The side to keep whole in memory, whatever its size.
    pub broadcast: Option<Side>,
}

impl JoinOptions {
    /// A join on key columns that both sides call by the same names.
    #[must_use]
    pub fn on(keys: &[&str], how: JoinType) -> Self {
        let keys: Vec<Expr> = keys.iter().map(|name| col(*name)).collect();
        Self {
            how,
            left_on: keys.clone(),
            right_on: keys,
            predicate: None,
            null_equals: false,
            left_suffix: String::new(),
            suffix: "_right".into(),
            broadcast: None,
        }
    }
}

impl Dataset {
    /// Joins with `other` on equal keys, on a predicate over both sides, or on both. Null keys match nothing unless
    /// `null_equals` says so.
    ///
    /// The result has the left side's columns, then the right side's but for key columns of the same name, which
    /// appear once (for a full join, whichever side has the value). Other columns that both sides have get the
    /// suffixes. Keys that are computed are not in the result. Semi and anti joins have the columns of their side
    /// only.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownColumn`] for a key that is not there; [`ErrorKind::TypeMismatch`] for keys whose types
    /// cannot be compared; [`ErrorKind::InvalidInput`] for two result columns of one name, and for a column of the
    /// predicate that both sides have.
    pub fn join(&self, other: &Self, options: &JoinOptions) -> Result<Self> {
        let keys = options.left_on.len();
        if keys != options.right_on.len() || (keys == 0 && options.predicate.is_none()) {
            return Err(Error::invalid(format!(
                "a join has as many keys on each side, and at least one or a predicate: {keys} left, {} right",
                options.right_on.len()
            )));
        }
        if keys == 0 && options.null_equals {
            return Err(Error::invalid("null_equals is said of keys, and this join has only a predicate")
                .with_hint("in a predicate, eq_missing compares so that null equals null"));
        }
        let left = self.side(Side::Left, options.broadcast)?;
        let right = other.side(Side::Right, options.broadcast)?;
        let left_on = keys_of(&left, LEFT, &options.left_on).map_err(|error| error.with_context("join, left side"))?;
        let right_on =
            keys_of(&right, RIGHT, &options.right_on).map_err(|error| error.with_context("join, right side"))?;
        check_key_types((&left, &left_on), (&right, &right_on))?;
        let predicate = options.predicate.clone().map(|predicate| of_both_sides(predicate, &left, &right));
        let columns = self.joined_columns(other, options)?;
        let nulls = if options.null_equals { NullEquality::NullEqualsNull } else { NullEquality::NullEqualsNothing };
        let on = left_on.into_iter().zip(right_on).collect();
        let join = Join::try_new(
            Arc::new(left),
            Arc::new(right),
            on,
            predicate.transpose()?,
            options.how,
            JoinConstraint::On,
            nulls,
            false,
        );
        let plan = join.map(LogicalPlan::Join).map_err(from_datafusion)?;
        Self::new(self.session().clone(), plan).then(|joined| joined.project(columns))
    }

    /// Joins with the first of the others, the result with the second, and so on. Each has a suffix of its own.
    ///
    /// # Errors
    /// As [`Dataset::join`]; [`ErrorKind::InvalidInput`] for another number of suffixes than of datasets.
    pub fn join_all(&self, others: &[Self], suffixes: &[String], options: &JoinOptions) -> Result<Self> {
        if others.is_empty() || suffixes.len() != others.len() {
            let (others, suffixes) = (others.len(), suffixes.len());
            return Err(Error::invalid(format!("a join of {others} other datasets has {suffixes} suffixes"))
                .with_hint("give at least one dataset, and one suffix for each"));
        }
        others.iter().zip(suffixes).try_fold(self.clone(), |joined, (other, suffix)| {
            joined.join(other, &JoinOptions { suffix: suffix.clone(), ..options.clone() })
        })
    }

    /// Every row of one side with every row of the other. Of the options the suffixes and the side to keep in memory
    /// count.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for two result columns of one name.
    pub fn cross_join(&self, other: &Self, options: &JoinOptions) -> Result<Self> {
        let options = JoinOptions {
            left_suffix: options.left_suffix.clone(),
            suffix: options.suffix.clone(),
            broadcast: options.broadcast,
            ..JoinOptions::on(&[], JoinType::Inner)
        };
        let columns = self.joined_columns(other, &options)?;
        let right = other.side(Side::Right, options.broadcast)?;
        let left = self.side(Side::Left, options.broadcast)?;
        let left = Self::new(self.session().clone(), left);
        left.then(|left| left.cross_join(right)?.project(columns))
    }

    /// The plan under the name of its side, marked when it is to be kept in memory.
    pub(super) fn side(&self, side: Side, broadcast: Option<Side>) -> Result<LogicalPlan> {
        let name = if side == Side::Left { LEFT } else { RIGHT };
        let plan = LogicalPlanBuilder::from(self.logical_plan().clone())
            .alias(name)
            .and_then(LogicalPlanBuilder::build)
            .map_err(from_datafusion)?;
        Ok(match broadcast == Some(side) {
            true => plan_of(OperatorNode::keeping_columns(Broadcast, plan)),
            false => plan,
        })
    }

    /// The columns of the result, each under its final name.
    pub(super) fn joined_columns(&self, other: &Self, options: &JoinOptions) -> Result<Vec<Expr>> {
        let (left, right) = (self.columns(), other.columns());
        let whole = |side: &str, names: &[String]| names.iter().map(|name| renamed(side, name, name)).collect();
        match options.how {
            JoinType::LeftSemi | JoinType::LeftAnti => return Ok(whole(LEFT, &left)),
            JoinType::RightSemi | JoinType::RightAnti => return Ok(whole(RIGHT, &right)),
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {}
            JoinType::LeftMark | JoinType::RightMark => {
                return Err(Error::invalid("mark joins are for the engine's own use"));
            }
        }
        let shared: HashSet<&str> = options
            .left_on
            .iter()
            .zip(&options.right_on)
            .filter_map(|(left, right)| key_name(left).filter(|name| key_name(right) == Some(*name)))
            .collect();
        let mut taken = HashSet::new();
        let mut columns = Vec::new();
        let mut add = |column: Expr, name: String| match taken.insert(name.clone()) {
            true => {
                columns.push(column.alias(name));
                Ok(())
            }
            false => Err(Error::invalid(format!("the join would have two columns {name:?}"))
                .with_hint("choose another suffix, or rename or drop one of them before the join")),
        };
        for name in &left {
            let is_shared = shared.contains(name.as_str());
            let column = match options.how {
                JoinType::Right if is_shared => of_side(RIGHT, name),
                JoinType::Full if is_shared => coalesce(vec![of_side(LEFT, name), of_side(RIGHT, name)]),
                _ => of_side(LEFT, name),
            };
            let suffix = if right.contains(name) && !is_shared { options.left_suffix.as_str() } else { "" };
            add(column, format!("{name}{suffix}"))?;
        }
        for name in right.iter().filter(|name| !shared.contains(name.as_str())) {
            let suffix = if left.contains(name) { options.suffix.as_str() } else { "" };
            add(of_side(RIGHT, name), format!("{name}{suffix}"))?;
        }
        Ok(columns)
    }
}

/// The name of a key that is a column and nothing else.
fn key_name(key: &Expr) -> Option<&str> {
    match key {
        Expr::Column(column) => Some(&column.name),
        _ => None,
    }
}

fn of_side(side: &str, name: &str) -> Expr {
    Expr::Column(Column::new(Some(side), name))
}

fn renamed(side: &str, name: &str, new: &str) -> Expr {
    of_side(side, name).alias(new)
}

/// The keys as expressions over the columns of one side.
pub(super) fn keys_of(plan: &LogicalPlan, side: &str, keys: &[Expr]) -> Result<Vec<Expr>> {
    let over_side = |key: &Expr| {
        let key = with_columns(key.clone(), |column| match &column.relation {
            Some(relation) if relation.table() != side => Err(Error::invalid(format!(
                "a key of the {side} side is made of that side's columns, and {}({:?}) is not",
                relation.table(),
                column.name
            ))),
            _ => found(plan, side, &column.name),
        })?;
        Ok(key.unalias())
    };
    let keys = keys.iter().map(over_side).collect::<Result<Vec<_>>>()?;
    let resolved = keys.into_iter().map(|key| key.resolve_lambda_variables(plan.schema()).map(|done| done.data));
    resolved.collect::<datafusion::error::Result<_>>().map_err(from_datafusion)
}

/// The predicate with each column told whose it is.
fn of_both_sides(predicate: Expr, left: &LogicalPlan, right: &LogicalPlan) -> Result<Expr> {
    let has = |plan: &LogicalPlan, name: &str| plan.schema().fields().iter().any(|field| field.name() == name);
    let predicate = with_columns(predicate, |column| {
        let name = column.name.as_str();
        match column.relation.as_ref().map(TableReference::table) {
            Some(LEFT) => found(left, LEFT, name),
            Some(RIGHT) => found(right, RIGHT, name),
            _ => match (has(left, name), has(right, name)) {
                (true, true) => Err(Error::invalid(format!("both sides of the join have a column {name:?}"))
                    .with_hint(format!("say whose is meant: left({name:?}) or right({name:?})"))),
                (false, true) => Ok(of_side(RIGHT, name)),
                _ => found(left, LEFT, name),
            },
        }
    })?;
    let schema = left.schema().join(right.schema()).map_err(from_datafusion)?;
    let predicate = predicate.resolve_lambda_variables(&schema).map_err(from_datafusion)?.data;
    crate::verbs::checks::predicate(&predicate, &schema)?;
    Ok(predicate.unalias())
}

/// The column of one side, which has it.
fn found(plan: &LogicalPlan, side: &str, name: &str) -> Result<Expr> {
    let columns: Vec<&str> = plan.schema().fields().iter().map(|field| field.name().as_str()).collect();
    if columns.contains(&name) {
        return Ok(of_side(side, name));
    }
    Err(unknown_column_error(name, &columns))
}

/// The expression with other expressions in the places of its columns.
fn with_columns(expr: Expr, replace: impl Fn(&Column) -> Result<Expr>) -> Result<Expr> {
    let mut failed = None;
    let replaced = expr.transform_up(|node| {
        let Expr::Column(column) = &node else { return Ok(Transformed::no(node)) };
        Ok(match replace(column) {
            Ok(expr) => Transformed::yes(expr),
            Err(error) => {
                failed.get_or_insert(error);
                Transformed::no(node)
            }
        })
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(replaced.map_err(from_datafusion)?.data),
    }
}

fn check_key_types((left, left_on): (&LogicalPlan, &[Expr]), (right, right_on): (&LogicalPlan, &[Expr])) -> Result<()> {
    use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
    for (left_key, right_key) in left_on.iter().zip(right_on) {
        let left_type = left_key.get_type(left.schema()).map_err(from_datafusion)?;
        let right_type = right_key.get_type(right.schema()).map_err(from_datafusion)?;
        if BinaryTypeCoercer::new(&left_type, &Operator::Eq, &right_type).get_input_types().is_err() {
            let name = |key: &Expr| key_name(key).map_or_else(|| key.to_string(), |name| format!("{name:?}"));
            let (left, right) = (name(left_key), name(right_key));
            let message = format!("cannot join {left} of type {left_type} with {right} of type {right_type}");
            return Err(
                Error::new(ErrorKind::TypeMismatch, message).with_hint("cast one of the keys to the other's type")
            );
        }
    }
    Ok(())
}
