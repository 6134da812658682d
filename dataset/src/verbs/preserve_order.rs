//! `preserve_order`: the rows of the last verb in the order in which they came to it.
//!
//! The rows are numbered where they come in, the numbers go along as hidden columns, and the result is sorted by them.

use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::functions_aggregate::expr_fn::min;
use datafusion::logical_expr::{
    Aggregate, Distinct, DistinctOn, Expr, Extension, JoinType, LogicalPlan, LogicalPlanBuilder, Projection,
};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};

use crate::dataset::Dataset;
use crate::operators::node::OperatorNode;
use crate::operators::plan_of;
use crate::operators::row_index::{Numbering, RowIndex};
use crate::verbs::nulls::unused;

/// Nodes of ours whose rows are in the order of their inputs'.
const KEEPS: [&str; 8] = ["Broadcast", "Draw", "MapBatches", "Overlap", "RandomKey", "RowIndex", "Sample", "Zip"];

impl Dataset {
    /// The rows of the last verb in the order in which they came to it; a verb that keeps the order is left as it is.
    ///
    /// - A join: by the rows of the left side, and for each of them by those of the right one. Rows of the right side
    ///   that have no match come last; a right semi or anti join has the order of the right side.
    /// - Groups and distinct rows: by the first row of each. Of `distinct` with columns that row is kept.
    /// - Windows, `rolling` and `drop_duplicates`: as the rows were.
    ///
    /// `select`, `with_column`, `rename` and `filter` may stand between. The result is sorted, and spills.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] after a verb whose rows come in an order of their own: a shuffle, `repartition` by
    /// keys, `map_groups`, `join_asof`, `mix`.
    pub fn preserve_order(&self) -> Result<Self> {
        let taken = names(self.logical_plan())?;
        let Some(carried) = carried(self.logical_plan(), &taken)? else { return Ok(self.clone()) };
        let order: Vec<_> = carried.rows.iter().map(|row| carried.column(row).sort(true, false)).collect();
        let columns: Vec<_> = self.logical_plan().schema().columns().into_iter().map(Expr::Column).collect();
        let sorted = LogicalPlanBuilder::from(carried.plan).sort(order).and_then(|sorted| sorted.project(columns));
        let plan = sorted.and_then(LogicalPlanBuilder::build).map_err(from_datafusion)?;
        Ok(Self::new(self.session().clone(), plan))
    }
}

/// A plan with columns by which its rows are in order.
struct Carried {
    plan: LogicalPlan,
    rows: Vec<String>,
}

impl Carried {
    fn column(&self, name: &str) -> Expr {
        column(&self.plan, name)
    }
}

/// The column of this name, which no other column has.
fn column(plan: &LogicalPlan, name: &str) -> Expr {
    let found = plan.schema().columns().into_iter().find(|column| column.name == name);
    Expr::Column(found.unwrap_or_else(|| name.into()))
}

/// The plan with the numbers of the rows that came to its last verb; `None` where that keeps their order.
fn carried(plan: &LogicalPlan, taken: &[String]) -> Result<Option<Carried>> {
    let made = match plan {
        LogicalPlan::Projection(projection) => {
            let Some(below) = carried(&projection.input, taken)? else { return Ok(None) };
            let rows = below.rows.iter().map(|row| below.column(row));
            let exprs = projection.expr.iter().cloned().chain(rows).collect();
            let plan = Projection::try_new(exprs, Arc::new(below.plan)).map(LogicalPlan::Projection);
            Carried { plan: plan.map_err(from_datafusion)?, rows: below.rows }
        }
        LogicalPlan::Filter(_) | LogicalPlan::SubqueryAlias(_) => {
            let Some(below) = carried(plan.inputs()[0], taken)? else { return Ok(None) };
            Carried { plan: over(plan, vec![below.plan])?, rows: below.rows }
        }
        LogicalPlan::Join(join) => joined(plan, join.join_type, taken)?,
        LogicalPlan::Window(_) => {
            let row = unused("row", taken);
            Carried { plan: over(plan, vec![numbered(plan.inputs()[0], &row)?])?, rows: vec![row] }
        }
        LogicalPlan::Aggregate(aggregate) => {
            grouped(&aggregate.input, aggregate.group_expr.clone(), &aggregate.aggr_expr, taken)?
        }
        LogicalPlan::Distinct(Distinct::All(input)) => {
            let columns = input.schema().columns().into_iter().map(Expr::Column).collect();
            grouped(input, columns, &[], taken)?
        }
        LogicalPlan::Distinct(Distinct::On(distinct)) => first_of(distinct, taken)?,
        LogicalPlan::Extension(Extension { node }) if !KEEPS.contains(&node.name()) => {
            return Err(of_its_own(node.name()));
        }
        LogicalPlan::Repartition(_) => return Err(of_its_own("Repartition")),
        _ => return Ok(None),
    };
    Ok(Some(made))
}

fn joined(plan: &LogicalPlan, kind: JoinType, taken: &[String]) -> Result<Carried> {
    let inputs = plan.inputs();
    let (has_left, has_right) = match kind {
        JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => (true, false),
        JoinType::RightSemi | JoinType::RightAnti | JoinType::RightMark => (false, true),
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => (true, true),
    };
    let mut rows = Vec::new();
    let mut side = |at: usize, is_told: bool, name: &str| {
        if !is_told {
            return Ok(inputs[at].clone());
        }
        let row = unused(name, taken);
        let side = numbered(inputs[at], &row);
        rows.push(row);
        side
    };
    let sides = vec![side(0, has_left, "left_row")?, side(1, has_right, "right_row")?];
    Ok(Carried { plan: over(plan, sides)?, rows })
}

/// Groups with the number of their first rows.
fn grouped(input: &LogicalPlan, keys: Vec<Expr>, aggregates: &[Expr], taken: &[String]) -> Result<Carried> {
    let row = unused("row", taken);
    let input = numbered(input, &row)?;
    let first = min(column(&input, &row)).alias(&row);
    let aggregates = aggregates.iter().cloned().chain([first]).collect();
    let plan = Aggregate::try_new(Arc::new(input), keys, aggregates).map(LogicalPlan::Aggregate);
    Ok(Carried { plan: plan.map_err(from_datafusion)?, rows: vec![row] })
}

/// The first row of those that are alike, with its number.
fn first_of(distinct: &DistinctOn, taken: &[String]) -> Result<Carried> {
    let row = unused("row", taken);
    let input = numbered(&distinct.input, &row)?;
    let number = column(&input, &row);
    let keys = distinct.on_expr.iter().map(|key| key.clone().sort(true, false));
    let given = distinct.sort_expr.clone().unwrap_or_else(|| keys.collect());
    let order = given.into_iter().chain([number.clone().sort(true, false)]).collect();
    let columns = distinct.select_expr.iter().cloned().chain([number]).collect();
    let made = DistinctOn::try_new(distinct.on_expr.clone(), columns, Some(order), Arc::new(input));
    let plan = LogicalPlan::Distinct(Distinct::On(made.map_err(from_datafusion)?));
    Ok(Carried { plan, rows: vec![row] })
}

/// The same node over other inputs.
fn over(plan: &LogicalPlan, inputs: Vec<LogicalPlan>) -> Result<LogicalPlan> {
    plan.with_new_exprs(plan.expressions(), inputs).map_err(from_datafusion)
}

fn numbered(input: &LogicalPlan, name: &str) -> Result<LogicalPlan> {
    let index = RowIndex { name: name.to_string(), numbering: Numbering::ByPartition };
    OperatorNode::try_new(index, [input.clone()]).map(plan_of).map_err(from_datafusion)
}

/// All names of columns in a plan.
fn names(plan: &LogicalPlan) -> Result<Vec<String>> {
    let mut names = Vec::new();
    plan.apply(|node| {
        names.extend(node.schema().columns().into_iter().map(|column| column.name));
        Ok(TreeNodeRecursion::Continue)
    })
    .map_err(from_datafusion)?;
    Ok(names)
}

fn of_its_own(node: &str) -> Error {
    Error::new(ErrorKind::Unsupported, format!("rows have no order to preserve after {node}"))
        .with_hint("number the rows before, with monotonically_increasing_id, and sort by the numbers")
}
