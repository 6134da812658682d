//! DataFusion's rule that puts exchanges and sorts into a plan, kept from the partitions that the user chose.
//!
//! By itself it spreads over all threads what has fewer partitions than there are threads, and hashes anew what is hashed
//! into fewer: then one file would become several, and known partitioning would save nothing. So it runs piece by piece.
//! What is below all chosen partitions is spread as ever, unless the order of its rows counts there. Above them the rule
//! has settings under which partitions that will do stay as they are, and a join whose two sides are partitioned alike by
//! its keys joins partition by partition, however small a side is.

use std::fmt;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::plan_err;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::replace_children_if_necessary;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::union::UnionExec;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties, Statistics,
    StatisticsArgs, StatisticsContext,
};

use crate::operators::concat::ConcatExec;
use crate::operators::partition::{counts_rows, makes_chosen};

/// The rule that enforces distribution and order, kept from chosen partitions.
#[derive(Debug)]
pub(crate) struct ChosenPartitions(pub(crate) Arc<dyn PhysicalOptimizerRule + Send + Sync>);

impl PhysicalOptimizerRule for ChosenPartitions {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let mut is_above_chosen = false;
        let mut pieces = Vec::with_capacity(plan.children().len());
        for child in plan.children() {
            let piece = Arc::clone(child).transform_down(|node| {
                if !makes_chosen(&node) {
                    return Ok(Transformed::no(node));
                }
                is_above_chosen = true;
                let sealed = Arc::new(SealExec { input: self.optimize(node, config)? });
                Ok(Transformed::new(sealed, true, TreeNodeRecursion::Jump))
            });
            pieces.push(piece.data()?);
        }
        let mut settings = config.clone();
        // A concat stands on its inputs' own partitions, also where nobody chose them.
        if is_above_chosen || counts_rows(&plan) || plan.is::<ConcatExec>() {
            settings.optimizer.enable_round_robin_repartition = false;
        }
        settings.optimizer.prefer_existing_union |= plan.exists(|node| Ok(is_union_of_ranges(node)))?;
        if !is_above_chosen {
            return self.0.optimize(plan, &settings);
        }
        // What the setting says of partitions of files holds for all that are known: from one on, they stay though they
        // be fewer than the threads.
        settings.optimizer.preserve_file_partitions = 1;
        let plan = replace_children_if_necessary(plan, pieces)?.transform_up(joined_alike).data()?;
        let plan = self.0.optimize(plan, &settings)?;
        let opened = plan.transform_up(|node| {
            Ok(match node.downcast_ref::<SealExec>() {
                Some(seal) => Transformed::yes(Arc::clone(&seal.input)),
                None => Transformed::no(node),
            })
        });
        opened.data()
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// Whether this is a union of datasets with an index. Of those with the same ranges DataFusion would read a partition of
/// each at a time, whichever is ready, and the rows of one dataset would no longer follow those of another.
fn is_union_of_ranges(node: &Arc<dyn ExecutionPlan>) -> bool {
    let is_range = |input: &&Arc<dyn ExecutionPlan>| matches!(input.output_partitioning(), Partitioning::Range(_));
    node.is::<UnionExec>() && node.children().iter().all(is_range)
}

/// A join of two sides that are partitioned alike by its keys needs neither side whole.
fn joined_alike(node: Arc<dyn ExecutionPlan>) -> Result<Transformed<Arc<dyn ExecutionPlan>>> {
    let Some(join) = node.downcast_ref::<HashJoinExec>() else { return Ok(Transformed::no(node)) };
    let partitions = join.left().output_partitioning().partition_count();
    if join.mode != PartitionMode::CollectLeft || join.null_aware || partitions == 1 {
        return Ok(Transformed::no(node));
    }
    let partitioned = join.builder().with_partition_mode(PartitionMode::Partitioned).build()?;
    let sides = [partitioned.left().as_ref(), partitioned.right().as_ref()];
    let requirements = partitioned.input_distribution_requirements();
    Ok(match requirements.unsatisfied_co_partitioned_children(node.name(), &sides)?.is_empty() {
        true => Transformed::yes(Arc::new(partitioned) as _),
        false => Transformed::no(node),
    })
}

/// Stands for a piece of the plan that is done, while the rule runs over what is above.
#[derive(Debug)]
struct SealExec {
    input: Arc<dyn ExecutionPlan>,
}

impl DisplayAs for SealExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealExec")
    }
}

impl ExecutionPlan for SealExec {
    fn name(&self) -> &'static str {
        "SealExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    crate::operators::without_expressions!();

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => plan_err!("a piece of a plan that is done has no input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(partition, context)
    }

    fn statistics_from_inputs(&self, _: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        StatisticsContext::new().compute(self.input.as_ref(), args)
    }
}
