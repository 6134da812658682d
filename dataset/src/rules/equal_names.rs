//! DataFusion's rule that hands filters down, kept from columns that share a name.
//!
//! In DataFusion 55 a filter goes down by the names of its columns. Where rows have one name twice (both sides of a
//! join have a `k`), a filter on the second `k` arrives at the first: `l RIGHT JOIN r … WHERE l.k IS NULL` asked `r`
//! for rows without `k`, and found none. While the rule runs, a guard stands on such rows, which lets pass what names
//! none of these columns. The same holds for a name that both sides of a semi join have.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::Schema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::common::{JoinType, plan_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{PhysicalExpr, PhysicalExprRef};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::filter_pushdown::{ChildFilterDescription, FilterDescription, FilterPushdownPhase};
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};

use crate::operators::as_its_input;

/// A rule that hands filters down, with guards on columns that share a name while it runs.
#[derive(Debug)]
pub(crate) struct GuardedPushdown(pub(crate) Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for GuardedPushdown {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let guarded = plan.transform_up(|node| {
            let semi = guarded_semi(&node)?;
            let (node, is_semi) = (semi.clone().unwrap_or(node), semi.is_some());
            let shared = shared_names(&node.schema());
            Ok(match shared.is_empty() {
                true => Transformed::new_transformed(node, is_semi),
                false => Transformed::yes(Arc::new(GuardExec { input: node, shared }) as _),
            })
        });
        let pushed = self.0.optimize(guarded.data()?, config)?;
        let bare = pushed.transform_up(|node| {
            Ok(match node.downcast_ref::<GuardExec>() {
                Some(guard) => Transformed::yes(Arc::clone(&guard.input)),
                None => Transformed::no(node),
            })
        });
        bare.data()
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// A semi join that needs one, with a guard on the side that it does not give. DataFusion 55 hands filters on a key that it gives to that
/// side too, to the column of the same name there, whether that is its key or not.
fn guarded_semi(node: &Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(join) = node.downcast_ref::<HashJoinExec>() else { return Ok(None) };
    let (given, other, at) = match join.join_type() {
        JoinType::LeftSemi => (join.left(), join.right(), 1),
        JoinType::RightSemi => (join.right(), join.left(), 0),
        _ => return Ok(None),
    };
    let name = |key: &PhysicalExprRef| key.downcast_ref::<Column>().map(|column| column.name().to_string());
    let keys: HashSet<String> = join
        .on()
        .iter()
        .filter_map(|(left, right)| name(left).filter(|own| Some(own) == name(right).as_ref()))
        .collect();
    let (given, schema) = (given.schema(), other.schema());
    let names = schema.fields().iter().map(|field| field.name());
    let shared: HashSet<String> =
        names.filter(|name| given.index_of(name).is_ok() && !keys.contains(*name)).cloned().collect();
    if shared.is_empty() {
        return Ok(None);
    }
    let mut inputs = vec![Arc::clone(join.left()), Arc::clone(join.right())];
    inputs[at] = Arc::new(GuardExec { input: Arc::clone(&inputs[at]), shared });
    replace_children_if_necessary(Arc::clone(node), inputs).map(Some)
}

/// The names that several columns have.
fn shared_names(schema: &Schema) -> HashSet<String> {
    let mut seen = HashSet::new();
    schema.fields().iter().map(|field| field.name()).filter(|name| !seen.insert(*name)).cloned().collect()
}

/// Lets no filter pass that names one of these columns.
#[derive(Debug)]
struct GuardExec {
    input: Arc<dyn ExecutionPlan>,
    shared: HashSet<String>,
}

impl DisplayAs for GuardExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GuardExec")
    }
}

impl ExecutionPlan for GuardExec {
    as_its_input!("GuardExec", input);

    crate::operators::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self { input, shared: self.shared.clone() })),
            _ => plan_err!("GuardExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        let schema = self.schema();
        let own = (0..schema.fields().len()).filter(|at| !self.shared.contains(schema.field(*at).name())).collect();
        let told = ChildFilterDescription::from_child_with_allowed_indices(&filters, own, &self.input)?;
        Ok(FilterDescription::new().with_child(told))
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::{DataType, Field};

    use super::*;

    #[test]
    fn names_that_several_columns_have_are_found() {
        let schema = |names: &[&str]| {
            Schema::new(names.iter().map(|name| Field::new(*name, DataType::Int64, true)).collect::<Vec<_>>())
        };
        assert!(shared_names(&schema(&["a", "b", "A"])).is_empty());
        assert_eq!(shared_names(&schema(&["a", "b", "a", "a"])), HashSet::from(["a".to_string()]));
    }
}
