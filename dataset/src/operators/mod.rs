//! The operators that Sheaf adds to DataFusion's: one file each, with what its logical node does, how it is planned and
//! how it runs. What all logical nodes have in common is in `node`.

use std::sync::Arc;

use datafusion::logical_expr::{Extension, LogicalPlan, UserDefinedLogicalNode};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::aggregates::AggregateExec;

/// The methods of a plan node that stands on one input and leaves its partitions and its order as they are.
macro_rules! as_its_input {
    ($name:literal, $input:ident) => {
        fn name(&self) -> &'static str {
            $name
        }

        fn properties(&self) -> &Arc<PlanProperties> {
            self.$input.properties()
        }

        fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
            vec![&self.$input]
        }

        fn maintains_input_order(&self) -> Vec<bool> {
            vec![true]
        }

        fn benefits_from_input_partitioning(&self) -> Vec<bool> {
            vec![false]
        }
    };
}
pub(crate) use as_its_input;

/// The visit to the expressions of a plan node that has none.
macro_rules! without_expressions {
    () => {
        fn apply_expressions(
            &self,
            _f: &mut dyn FnMut(
                &Arc<dyn datafusion::physical_expr::PhysicalExpr>,
            ) -> datafusion::error::Result<datafusion::common::tree_node::TreeNodeRecursion>,
        ) -> datafusion::error::Result<datafusion::common::tree_node::TreeNodeRecursion> {
            Ok(datafusion::common::tree_node::TreeNodeRecursion::Continue)
        }
    };
}
pub(crate) use without_expressions;

pub mod asof_join;
pub(crate) mod broadcast;
pub mod compact;
pub mod concat;
pub(crate) mod determined;
pub mod draw;
pub mod dynamic_filter;
pub(crate) mod elsewhere;
pub(crate) mod epochs;
pub(crate) mod equal_rows;
pub(crate) mod extent;
pub(crate) mod float_keys;
pub mod gather;
pub mod hash_join;
pub(crate) mod kept;
pub(crate) mod keys_filter;
pub(crate) mod later_partitions;
pub mod leading_rows;
pub mod map_batches;
pub mod map_groups;
pub mod mix;
pub(crate) mod node;
pub(crate) mod once;
pub mod overlap;
pub(crate) mod own_files;
pub mod partition;
pub(crate) mod persisted;
pub(crate) mod pruned;
#[cfg(test)]
pub(crate) mod random;
pub(crate) mod random_key;
pub mod range;
pub(crate) mod recorded;
#[cfg(test)]
pub(crate) mod refusing;
pub mod row_index;
pub mod sample;
pub mod skew;
pub(crate) mod stored;
pub(crate) mod whole_window;
pub(crate) mod write;
pub mod zip;

/// A plan of one of our nodes.
pub(crate) fn plan_of(node: impl UserDefinedLogicalNode + 'static) -> LogicalPlan {
    LogicalPlan::Extension(Extension { node: Arc::new(node) })
}

/// Tells the functions in a plan that nobody waits for the calls which run on the engine's own threads.
pub(crate) fn abandon(plan: &Arc<dyn ExecutionPlan>) {
    let batches = plan.downcast_ref::<map_batches::MapBatchesExec>().map(map_batches::MapBatchesExec::inline);
    let groups = plan.downcast_ref::<map_groups::MapGroupsExec>().map(map_groups::MapGroupsExec::inline);
    batches.into_iter().chain(groups).for_each(map_batches::Inline::abandon);
    let grouped = plan.downcast_ref::<AggregateExec>().into_iter().flat_map(AggregateExec::aggr_expr);
    let windowed = plan.downcast_ref::<whole_window::WholeWindowExec>();
    let windowed = windowed.into_iter().flat_map(whole_window::WholeWindowExec::aggregates);
    grouped.map(AsRef::as_ref).chain(windowed).for_each(crate::aggregates::user::abandon);
    plan.children().into_iter().for_each(abandon);
}
