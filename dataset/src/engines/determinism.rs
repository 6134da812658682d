//! Whether a stage that runs again makes the same.
//!
//! Rows that come in another order change nothing where each consumer takes whole parts, and which rows are in a part
//! follows from the rows. It is otherwise where an operator chooses rows by the order in which they come, or by chance:
//! then a consumer of one attempt and a consumer of another may together see a row twice or never.

use std::fmt;
use std::sync::Arc;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::Volatility;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::windows::{BoundedWindowAggExec, WindowAggExec};
use datafusion::physical_plan::{ExecutionPlan, Partitioning};
use datafusion_distributed::DistributedLeafExec;

use super::exchange::ExchangeReadExec;
use super::stages::{Input, Stage, StageGraph, Way};
use crate::operators::determined::gives_build_rows;
use crate::operators::hash_join::is_spread;
use crate::operators::map_batches::MapBatchesExec;
use crate::operators::stored::StoredExec;

/// What another run of a stage makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Class {
    /// The same parts, with their rows in the same order.
    Determined,
    /// The same rows in each part, or in all parts together where each reader reads all of them, perhaps in another order.
    /// What is left of rows that nobody needs, by the keys of others, may differ.
    Unordered,
    /// Other rows, and why.
    Undetermined(String),
}

impl Class {
    /// Whether a part of one run can stand beside one of another run.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        !matches!(self, Self::Undetermined(_))
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Determined => f.write_str("determined"),
            Self::Unordered => f.write_str("unordered"),
            Self::Undetermined(why) => write!(f, "undetermined ({why})"),
        }
    }
}

/// Aggregates whose result depends on the order of rows, unless they are told one.
const ORDERED: [&str; 5] = ["array_agg", "first_value", "last_value", "nth_value", "string_agg"];

/// Operators that only pass on, choose or change rows one by one, so that order in is order out.
const IN_ORDER: [&str; 9] = [
    "CompactExec",
    "CooperativeExec",
    "DataSourceExec",
    "EmptyExec",
    "FilterExec",
    "MapBatchesExec",
    "PlaceholderRowExec",
    "ProjectionExec",
    "WriteFilesExec",
];

/// The class of each stage of a graph.
#[must_use]
pub fn classes(graph: &StageGraph) -> Vec<Class> {
    let mut classes = Vec::with_capacity(graph.stages.len());
    for stage in &graph.stages {
        let class = class_of(stage, Before(&classes));
        classes.push(class);
    }
    classes
}

/// The stages before one, by which is known in which order it is given their rows.
#[derive(Clone, Copy)]
struct Before<'a>(&'a [Class]);

fn class_of(stage: &Stage, before: Before<'_>) -> Class {
    let keeps_parts = stage.keeps_parts();
    let mut class = Class::Determined;
    // No visit of ours fails.
    let _ = stage.plan.apply(|node| {
        // In other parts each time, where it matters.
        let why = if keeps_parts { dealt(node) } else { None };
        if let Some(why) = why.or_else(|| chosen(node, before)) {
            class = Class::Undetermined(why);
            return Ok(TreeNodeRecursion::Stop);
        }
        if class == Class::Determined && !before.keeps_order(node) {
            class = Class::Unordered;
        }
        Ok(TreeNodeRecursion::Continue)
    });
    class
}

/// Why the same rows of an operator are in other partitions each time.
fn dealt(node: &Arc<dyn ExecutionPlan>) -> Option<String> {
    if deals_as_they_come(node) {
        return Some("rows are dealt out as they come".to_string());
    }
    let join = node.downcast_ref::<HashJoinExec>().filter(|join| is_spread(join));
    let gives_last = join.is_some_and(|join| gives_build_rows(*join.join_type()));
    gives_last.then(|| "rows of a shared build side are given by whoever ends last".to_string())
}

/// Whether an operator puts rows into partitions by when they come.
pub(super) fn deals_as_they_come(node: &Arc<dyn ExecutionPlan>) -> bool {
    let partitioning = node.downcast_ref::<RepartitionExec>().map(RepartitionExec::partitioning);
    matches!(partitioning, Some(Partitioning::RoundRobinBatch(_)))
}

/// Why an operator's rows depend on chance or on the order of its input.
fn chosen(node: &Arc<dyn ExecutionPlan>, before: Before<'_>) -> Option<String> {
    if let Some(function) = volatile(node) {
        return Some(function);
    }
    if node.name().ends_with("LimitExec") {
        return Some("a limit takes the first rows that come".to_string());
    }
    if let Some(sort) = node.downcast_ref::<SortExec>() {
        return sort.fetch().map(|_| "of equal rows a sort with a limit takes the first that come".to_string());
    }
    if node.fetch().is_some() {
        return Some(format!("{} takes the first rows that come", node.name()));
    }
    if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        if aggregate.limit_options().is_some() {
            return Some("a limit takes the first groups that come".to_string());
        }
        let ordered = aggregate.aggr_expr().iter().find(|call| ORDERED.contains(&call.fun().name()));
        return ordered.map(|call| format!("{} depends on the order of rows", call.fun().name()));
    }
    if node.is::<WindowAggExec>() || node.is::<BoundedWindowAggExec>() || node.name() == "LeadingRowsExec" {
        return Some("windows number equal rows as they come".to_string());
    }
    node.downcast_ref::<MapBatchesExec>().and_then(|calls| differing(calls, before))
}

/// Why calls of a user's function may give other rows in another run.
fn differing(calls: &MapBatchesExec, before: Before<'_>) -> Option<String> {
    let name = calls.function().name();
    if !calls.options().deterministic {
        return Some(format!("{name} is not deterministic"));
    }
    let in_order = calls.children().into_iter().all(|input| before.comes_in_order(input));
    (!in_order).then(|| format!("{name} is given its batches as rows come"))
}

impl Before<'_> {
    /// Whether a plan's rows come in the same order each time.
    fn comes_in_order(self, plan: &Arc<dyn ExecutionPlan>) -> bool {
        self.keeps_order(plan) && plan.children().into_iter().all(|child| self.comes_in_order(child))
    }

    /// Whether an operator gives its rows in the order of its input, or, a leaf, in the same one each time.
    fn keeps_order(self, node: &Arc<dyn ExecutionPlan>) -> bool {
        if let Some(leaf) = node.downcast_ref::<DistributedLeafExec>() {
            return self.comes_in_order(leaf.original());
        }
        if let Some(read) = node.downcast_ref::<ExchangeReadExec>() {
            // What is read in the order of its tasks, or in none that matters.
            let Input { stage, way, .. } = *read.input();
            return way == Way::Keys || (way == Way::Coalesce && self.0.get(stage) == Some(&Class::Determined));
        }
        match node.downcast_ref::<StoredExec>() {
            Some(stored) => stored.is_in_order(),
            None => IN_ORDER.binary_search(&node.name()).is_ok(),
        }
    }
}

/// A function among a node's expressions that gives something else each time.
fn volatile(node: &Arc<dyn ExecutionPlan>) -> Option<String> {
    let mut found = None;
    let mut visit = |root: &Arc<dyn PhysicalExpr>| {
        root.apply(|expr| {
            let function = expr.downcast_ref::<ScalarFunctionExpr>();
            let function = function.filter(|function| function.fun().signature().volatility == Volatility::Volatile);
            match function {
                Some(function) => {
                    found = Some(format!("{}() differs each time", function.name()));
                    Ok(TreeNodeRecursion::Stop)
                }
                None => Ok(TreeNodeRecursion::Continue),
            }
        })
    };
    let _ = node.apply_expressions(&mut visit);
    found
}
