//! `join`: two datasets side by side, with every column of the result under a name of its own.

use std::collections::HashSet;

use datafusion::common::Column;
use datafusion::functions::core::expr_fn::coalesce;
use datafusion::logical_expr::{Expr, ExprSchemable, LogicalPlanBuilder};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};

use crate::dataset::Dataset;

pub use datafusion::common::JoinType;

const LEFT: &str = "left";
const RIGHT: &str = "right";

/// What is joined on, and how.
#[derive(Debug, Clone)]
pub struct JoinOptions {
    /// Which rows the result has.
    pub how: JoinType,
    /// Key columns of the left side.
    pub left_on: Vec<String>,
    /// Key columns of the right side, as many as of the left.
    pub right_on: Vec<String>,
    /// Put after the name of a right column that the left side has too.
    pub suffix: String,
}

impl JoinOptions {
    /// A join on key columns that both sides call by the same names.
    #[must_use]
    pub fn on(keys: &[&str], how: JoinType) -> Self {
        let keys: Vec<String> = keys.iter().map(ToString::to_string).collect();
        Self { how, left_on: keys.clone(), right_on: keys, suffix: "_right".into() }
    }
}

impl Dataset {
    /// Joins with `other` on equal keys; null keys match nothing.
    ///
    /// The result has the left side's columns, then the right side's but for keys of the same name, which appear
    /// once (for a full join, whichever side has the value). Other right columns that the left side has too get
    /// the suffix. Semi and anti joins have the columns of their side only.
    ///
    /// # Errors
    /// [`ErrorKind::UnknownColumn`] for a key that is not there; [`ErrorKind::TypeMismatch`] for keys whose types
    /// cannot be compared; [`ErrorKind::InvalidInput`] for two result columns of one name.
    pub fn join(&self, other: &Self, options: &JoinOptions) -> Result<Self> {
        if options.left_on.is_empty() || options.left_on.len() != options.right_on.len() {
            return Err(Error::invalid(format!(
                "a join has as many keys on each side, and at least one: left {:?}, right {:?}",
                options.left_on, options.right_on
            )));
        }
        self.check_columns(options.left_on.iter().map(String::as_str))
            .map_err(|error| error.with_context("join, left side"))?;
        other
            .check_columns(options.right_on.iter().map(String::as_str))
            .map_err(|error| error.with_context("join, right side"))?;
        self.check_key_types(other, options)?;
        let columns = self.joined_columns(other, options)?;
        let keys = |side: &str, names: &[String]| names.iter().map(|name| qualified(side, name)).collect::<Vec<_>>();
        let keys = (keys(LEFT, &options.left_on), keys(RIGHT, &options.right_on));
        let right = other.aliased(RIGHT)?;
        self.then(|left| left.alias(LEFT)?.join(right, options.how, keys, None)?.project(columns))
    }

    /// Every row of one side with every row of the other.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for two result columns of one name.
    pub fn cross_join(&self, other: &Self, suffix: &str) -> Result<Self> {
        let mut options = JoinOptions::on(&[], JoinType::Inner);
        options.suffix = suffix.into();
        let columns = self.joined_columns(other, &options)?;
        let right = other.aliased(RIGHT)?;
        self.then(|left| left.alias(LEFT)?.cross_join(right)?.project(columns))
    }

    fn aliased(&self, name: &str) -> Result<datafusion::logical_expr::LogicalPlan> {
        LogicalPlanBuilder::from(self.logical_plan().clone())
            .alias(name)
            .and_then(LogicalPlanBuilder::build)
            .map_err(from_datafusion)
    }

    fn check_key_types(&self, other: &Self, options: &JoinOptions) -> Result<()> {
        use datafusion::logical_expr::type_coercion::binary::BinaryTypeCoercer;
        for (left, right) in options.left_on.iter().zip(&options.right_on) {
            let type_of = |dataset: &Self, name: &str| {
                crate::expr::col(name).get_type(dataset.logical_plan().schema()).map_err(from_datafusion)
            };
            let (left_type, right_type) = (type_of(self, left)?, type_of(other, right)?);
            let equal = datafusion::logical_expr::Operator::Eq;
            if BinaryTypeCoercer::new(&left_type, &equal, &right_type).get_input_types().is_err() {
                return Err(Error::new(
                    ErrorKind::TypeMismatch,
                    format!("cannot join {left:?} of type {left_type} with {right:?} of type {right_type}"),
                )
                .with_hint("cast one of the keys to the other's type"));
            }
        }
        Ok(())
    }

    /// The columns of the result, each under its final name.
    fn joined_columns(&self, other: &Self, options: &JoinOptions) -> Result<Vec<Expr>> {
        let (left, right) = (self.columns(), other.columns());
        let whole = |side: &str, names: &[String]| names.iter().map(|name| plain(side, name)).collect();
        match options.how {
            JoinType::LeftSemi | JoinType::LeftAnti => return Ok(whole(LEFT, &left)),
            JoinType::RightSemi | JoinType::RightAnti => return Ok(whole(RIGHT, &right)),
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {}
            JoinType::LeftMark | JoinType::RightMark => {
                return Err(Error::invalid("mark joins are for the engine's own use"));
            }
        }
        let shared: Vec<&String> =
            options.left_on.iter().zip(&options.right_on).filter(|(l, r)| l == r).map(|(l, _)| l).collect();
        let mut columns: Vec<Expr> = left
            .iter()
            .map(|name| match options.how {
                JoinType::Right if shared.contains(&name) => plain(RIGHT, name),
                JoinType::Full if shared.contains(&name) => {
                    coalesce(vec![Expr::Column(qualified(LEFT, name)), Expr::Column(qualified(RIGHT, name))])
                        .alias(name)
                }
                _ => plain(LEFT, name),
            })
            .collect();
        let mut taken: HashSet<String> = left.iter().cloned().collect();
        for name in right.iter().filter(|name| !shared.contains(name)) {
            let unique = if left.contains(name) { format!("{name}{}", options.suffix) } else { name.clone() };
            if !taken.insert(unique.clone()) {
                return Err(Error::invalid(format!("the join would have two columns {unique:?}"))
                    .with_hint("choose another suffix, or rename or drop one of them before the join"));
            }
            columns.push(Expr::Column(qualified(RIGHT, name)).alias(unique));
        }
        Ok(columns)
    }
}

fn qualified(side: &str, name: &str) -> Column {
    Column::new(Some(side), name)
}

fn plain(side: &str, name: &str) -> Expr {
    Expr::Column(qualified(side, name)).alias(name)
}
