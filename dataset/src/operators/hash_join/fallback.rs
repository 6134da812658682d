//! The plan that takes a hash join's place: both inputs sorted on their keys, on disk where need be, and merged.
//!
//! It makes the same rows under the same promises: the partitioning and the order of rows that the hash join's
//! parents were planned for.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::DataType;
use datafusion::common::JoinType;
use datafusion::error::Result;
use datafusion::physical_expr::{LexOrdering, PhysicalExprRef, PhysicalSortExpr};
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};

use super::heavy::has_heavy_key;
use super::input::{HeldInput, ReplayExec};
use super::key::merge_key;
use super::sides::{Sides, columns};
use crate::operators::compact::CompactExec;

/// Whether a sort-merge join can do what this hash join does.
pub(crate) fn can_replace(join: &HashJoinExec) -> bool {
    // Whether `NOT IN` gives any row depends on nulls anywhere in the other side, which no merge sees in time.
    if join.null_aware || join.mode == PartitionMode::Auto {
        return false;
    }
    if join.properties().boundedness.is_unbounded() {
        return false;
    }
    // Rows that are in two orders at once cannot be sorted back.
    if join.properties().equivalence_properties().oeq_class().len() > 1 {
        return false;
    }
    // Rows of a partition by ranges could be sent back to where they belong only with the bounds at hand.
    if is_spread(join) && matches!(join.properties().output_partitioning(), Partitioning::Range(_)) {
        return false;
    }
    let (left, right) = (join.left().schema(), join.right().schema());
    join.on().iter().all(|(on_left, on_right)| {
        on_left.data_type(&left).is_ok_and(|key| can_sort(&key))
            && on_right.data_type(&right).is_ok_and(|key| can_sort(&key))
    })
}

/// Whether the join has one whole build side for several partitions of the probe side. The plan that takes its place
/// gives its rows in other ones of these.
pub(crate) fn is_spread(join: &HashJoinExec) -> bool {
    join.mode == PartitionMode::CollectLeft && join.right().output_partitioning().partition_count() > 1
}

fn can_sort(key: &DataType) -> bool {
    match key {
        DataType::Null | DataType::RunEndEncoded(_, _) => false,
        DataType::Dictionary(_, value) => !value.is_floating() && can_sort(value),
        key => !key.is_nested(),
    }
}

/// The plan, with the partitions of `join`.
pub(super) fn plan(
    join: &HashJoinExec,
    build: &Arc<HeldInput>,
    probe: &Arc<HeldInput>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut plan = merge(join, build, probe)?;
    if let Some(projection) = &join.projection {
        plan = Arc::new(ProjectionExec::try_new(columns(&plan, projection), plan)?);
    }
    if let (true, Partitioning::Hash(_, _)) = (is_spread(join), join.properties().output_partitioning()) {
        plan = Arc::new(RepartitionExec::try_new(plan, join.properties().output_partitioning().clone())?);
    }
    if let Some(ordering) = join.properties().output_ordering() {
        plan = Arc::new(SortExec::new(ordering.clone(), plan).with_preserve_partitioning(true));
    }
    if let Some(fetch) = join.fetch() {
        plan = Arc::new(LocalLimitExec::new(plan, fetch));
    }
    Ok(plan)
}

/// The join itself, with the hash join's columns.
fn merge(join: &HashJoinExec, build: &Arc<HeldInput>, probe: &Arc<HeldInput>) -> Result<Arc<dyn ExecutionPlan>> {
    let (build_schema, probe_schema) = (join.left().schema(), join.right().schema());
    let mut on = Vec::with_capacity(join.on().len());
    for (left, right) in join.on() {
        on.push((merge_key(left, &build_schema)?, merge_key(right, &probe_schema)?));
    }
    let left = input(join, build, on.iter().map(|(left, _)| left))?;
    let right = input(join, probe, on.iter().map(|(_, right)| right))?;
    let sides = Sides { left, right, on, filter: join.filter().cloned(), nulls: join.null_equality() };
    let how = *join.join_type();
    if !matches!(how, JoinType::Inner | JoinType::Full | JoinType::Left | JoinType::Right) {
        return sides.merge(how);
    }
    // A merge keeps the rows of one key of one side at hand: rather those of the build side, which is the smaller and
    // has fewer rows of one key, unless one is seen to have many.
    let keys: Vec<_> = join.on().iter().map(|(left, _)| Arc::clone(left)).collect();
    if has_heavy_key(&build.read(), &keys)? { sides.merge_keeping_right(how) } else { sides.merge_keeping_left(how) }
}

/// One side, from its first row, in partitions by key and sorted by key.
fn input<'a>(
    join: &HashJoinExec,
    held: &Arc<HeldInput>,
    keys: impl Iterator<Item = &'a PhysicalExprRef> + Clone,
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut plan: Arc<dyn ExecutionPlan> = Arc::new(ReplayExec::new(Arc::clone(held)));
    if is_spread(join) {
        let partitions = join.right().output_partitioning().partition_count();
        plan =
            Arc::new(RepartitionExec::try_new(plan, Partitioning::Hash(keys.clone().cloned().collect(), partitions))?);
    }
    let order = keys.map(|key| PhysicalSortExpr::new(Arc::clone(key), SortOptions::default()));
    Ok(match LexOrdering::new(order) {
        Some(order) => {
            let sort = SortExec::new(order, CompactExec::around(plan)).with_preserve_partitioning(true);
            CompactExec::around(Arc::new(sort))
        }
        None => plan,
    })
}
