//! The plan that takes a hash join's place: both inputs sorted on their keys, on disk where need be, and merged.
//!
//! It makes the same rows under the same promises: the partitioning and the order of rows that the hash join's
//! parents were planned for.

use std::sync::Arc;

use arrow::compute::SortOptions;
use arrow::datatypes::{DataType, Schema};
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{JoinSide, JoinType};
use datafusion::error::Result;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalExprRef, PhysicalSortExpr};
use datafusion::physical_plan::joins::utils::JoinFilter;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode, SortMergeJoinExec};
use datafusion::physical_plan::limit::LocalLimitExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::sorts::sort::SortExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};

use super::input::{HeldInput, ReplayExec};
use super::key::merge_key;
use crate::operators::compact::CompactExec;

/// Whether a sort-merge join can do what this hash join does.
pub(super) fn can_replace(join: &HashJoinExec) -> bool {
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

/// Whether the join has one whole build side for several partitions of the probe side.
fn is_spread(join: &HashJoinExec) -> bool {
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
    let (left_schema, right_schema) = (join.left().schema(), join.right().schema());
    let mut on = Vec::with_capacity(join.on().len());
    for (left, right) in join.on() {
        on.push((merge_key(left, &left_schema)?, merge_key(right, &right_schema)?));
    }
    let left = input(join, build, on.iter().map(|(left, _)| left))?;
    let right = input(join, probe, on.iter().map(|(_, right)| right))?;
    let (filter, nulls, how) = (join.filter(), join.null_equality(), *join.join_type());
    let order = vec![SortOptions::default(); on.len()];
    // A merge keeps the rows of one key of its right side at hand: rather those of the build side, which is the
    // smaller and has fewer rows of one key. (The other join types have the side that they must keep.)
    if !matches!(how, JoinType::Inner | JoinType::Full) {
        let filter = filter.map(merge_filter).transpose()?;
        return Ok(Arc::new(SortMergeJoinExec::try_new(left, right, on, filter, how, order, nulls)?));
    }
    let on = on.into_iter().map(|(left, right)| (right, left)).collect();
    let filter = filter.map(|filter| merge_filter(&filter.swap())).transpose()?;
    let merge: Arc<dyn ExecutionPlan> =
        Arc::new(SortMergeJoinExec::try_new(right, left, on, filter, how, order, nulls)?);
    let (left, right) = (left_schema.fields().len(), right_schema.fields().len());
    let back: Vec<usize> = (right..right + left).chain(0..right).collect();
    Ok(Arc::new(ProjectionExec::try_new(columns(&merge, &back), merge)?))
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

/// The filter as a merge evaluates it: on the left side's columns and then the right side's, whatever the order in
/// which it names them, and on the rows without a match too, which have nulls in the other side's columns.
fn merge_filter(filter: &JoinFilter) -> Result<JoinFilter> {
    let sides = filter.column_indices();
    let mut order: Vec<usize> = (0..sides.len()).collect();
    order.sort_by_key(|&index| sides[index].side != JoinSide::Left);
    let schema = filter.schema();
    let fields: Vec<_> = order.iter().map(|&index| schema.field(index).clone().with_nullable(true)).collect();
    let expression = Arc::clone(filter.expression()).transform_up(|expr| {
        let Some(column) = expr.downcast_ref::<Column>() else { return Ok(Transformed::no(expr)) };
        let place = order.iter().position(|&index| index == column.index()).unwrap_or(column.index());
        Ok(Transformed::yes(Arc::new(Column::new(column.name(), place)) as PhysicalExprRef))
    })?;
    let sides = order.iter().map(|&index| sides[index].clone()).collect();
    let schema = Schema::new_with_metadata(fields, schema.metadata().clone());
    Ok(JoinFilter::new(expression.data, sides, Arc::new(schema)))
}

fn columns(plan: &Arc<dyn ExecutionPlan>, projection: &[usize]) -> Vec<(PhysicalExprRef, String)> {
    let schema = plan.schema();
    let column = |index: &usize| {
        let name = schema.field(*index).name();
        (Arc::new(Column::new(name, *index)) as PhysicalExprRef, name.clone())
    };
    projection.iter().map(column).collect()
}
