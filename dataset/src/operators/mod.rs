//! The operators that Sheaf adds to DataFusion's: one file each, logical node, planner and execution together.

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

pub mod compact;
pub mod dynamic_filter;
pub(crate) mod float_keys;
pub mod gather;
pub mod hash_join;
pub mod map_batches;
pub(crate) mod once;
#[cfg(test)]
mod random;
pub mod range;
pub mod sample;
pub(crate) mod write;
