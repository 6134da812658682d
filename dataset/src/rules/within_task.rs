//! The rules for what one task of a stage runs, after its plan was cut out of that of the query.
//!
//! A query for many tasks is planned without dynamic filters, for two operators of it may run in different tasks. Those
//! of one task can tell each other what they learn: what a task's join knows of its build side leaves out rows of that
//! task's scans.

use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::filter_pushdown::FilterPushdown;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::sorts::sort::SortExec;

use super::dynamic_filters::DynamicFilters;
use super::equal_names::GuardedPushdown;
use super::waiting_filters::WaitingFilters;
use super::whole_builds::WholeBuilds;
use crate::operators::hash_join::SpillingHashJoinExec;

/// A task's plan, with state of its own throughout: with dynamic filters, and with joins that others can run beside and
/// that go on when they outgrow the memory, where it is `repeatable` that they do.
///
/// # Errors
/// Those of the rules.
pub(crate) fn within_task(
    plan: Arc<dyn ExecutionPlan>,
    repeatable: impl Fn(&HashJoinExec) -> bool,
) -> Result<Arc<dyn ExecutionPlan>> {
    let options = ConfigOptions::default();
    // A join whose sides were cut off reads them from other operators than were planned for it.
    let plan = WholeBuilds.optimize(plan, &options)?;
    let plan = reset_plan_states(plan.transform_up(bare).data()?)?;
    let plan = DynamicFilters.optimize(plan.transform_up(without_idle_filter).data()?, &options)?;
    let plan = GuardedPushdown(Arc::new(FilterPushdown::new_post_optimization())).optimize(plan, &options)?;
    let plan = WaitingFilters.optimize(plan, &options)?;
    plan.transform_up(|node| joined(node, &repeatable)).data()
}

/// A hash join without the operator that lets it go on: rules know the first alone.
fn bare(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let join = node.downcast_ref::<SpillingHashJoinExec>().and_then(|join| join.children().first().copied().cloned());
    Ok(join.map_or_else(|| Transformed::no(node), Transformed::yes))
}

/// A sort without the filter that only one with a limit ever changes.
fn without_idle_filter(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    Ok(match node.downcast_ref::<SortExec>().filter(|sort| sort.fetch().is_none()) {
        Some(sort) => Transformed::yes(Arc::new(sort.with_fetch(None)) as Arc<dyn ExecutionPlan>),
        None => Transformed::no(node),
    })
}

/// A join that lets others run between two batches. DataFusion's yield where a source gives a batch: one that a join makes
/// millions of rows of could not be stopped for as long as that takes.
fn joined(
    node: Arc<dyn ExecutionPlan>,
    repeatable: &impl Fn(&HashJoinExec) -> bool,
) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let is_join = node.children().len() == 2 && node.name().ends_with("JoinExec");
    if !is_join && node.name() != "UnnestExec" {
        return Ok(Transformed::no(node));
    }
    let node = match node.downcast_ref::<HashJoinExec>().filter(|join| repeatable(join)) {
        Some(_) => SpillingHashJoinExec::try_new(&node)?.map_or(node, |join| Arc::new(join) as _),
        None => node,
    };
    Ok(Transformed::yes(Arc::new(CooperativeExec::new(node)) as Arc<dyn ExecutionPlan>))
}
