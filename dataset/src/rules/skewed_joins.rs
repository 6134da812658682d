//! The rule that deals out heavy keys: see `operators/skew`.
//!
//! It runs behind DataFusion's rules, which have planned exchanges by hash by then, and before `spill_joins`, whose
//! node pairs the two exchanges. It leaves alone a join whose partitions, or order of rows, the operators above use.

use std::sync::Arc;

use datafusion::common::JoinType;
use datafusion::common::config::ConfigOptions;
use datafusion::error::Result;
use datafusion::physical_expr::Distribution;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::execution_plan::EmissionType;
use datafusion::physical_plan::joins::{HashJoinExec, PartitionMode};
use datafusion::physical_plan::repartition::RepartitionExec;
use datafusion::physical_plan::union::InterleaveExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties, Partitioning};

use super::joins_below::JoinsBelow;
use crate::operators::hash_join::can_fall_back;
use crate::operators::skew::{Side, SkewedExchangeExec};

/// On two partitions the one with a key that all rows have has twice the rows of the even case, and no more.
const LEAST_PARTITIONS: usize = 3;

/// Joins that give each row of the probe side as they find it, and none of the build side alone: a row of the build
/// side may then be in several partitions.
const OF_PROBE_ROWS: [JoinType; 5] =
    [JoinType::Inner, JoinType::Right, JoinType::RightSemi, JoinType::RightAnti, JoinType::RightMark];

/// Puts exchanges that know heavy keys below hash joins.
#[derive(Debug)]
pub(crate) struct SkewedJoins;

impl PhysicalOptimizerRule for SkewedJoins {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, config: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        // Which keys are heavy is what operators tell each other while they run, as dynamic filters are: where each
        // task must do alone what it does among all, as in jobs, they tell nothing.
        match config.optimizer.enable_dynamic_filter_pushdown {
            true => self.walk(&plan, false),
            false => Ok(plan),
        }
    }

    fn name(&self) -> &'static str {
        "skewed_joins"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

impl JoinsBelow for SkewedJoins {
    /// Whether a node, or one above it, counts on which rows of an input are in one partition.
    fn says(&self, plan: &Arc<dyn ExecutionPlan>, input: usize, used: bool) -> bool {
        if plan.is::<RepartitionExec>() {
            return false;
        }
        let requirements = plan.input_distribution_requirements();
        let required = match requirements.child_distribution(input) {
            None | Some(Distribution::UnspecifiedDistribution | Distribution::SinglePartition) => false,
            Some(_) => true,
        };
        // Of one partition nobody can count on more than that it is one.
        let is_one = plan.output_partitioning().partition_count() == 1;
        required || plan.is::<InterleaveExec>() || (used && !is_one)
    }

    fn changed(&self, join: &HashJoinExec, used: bool) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        if used { Ok(None) } else { exchanged(join) }
    }
}

/// The join with such exchanges, where that will do.
fn exchanged(join: &HashJoinExec) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let is_for_all = join.mode != PartitionMode::Partitioned || !OF_PROBE_ROWS.contains(join.join_type());
    if is_for_all || join.properties().output_ordering().is_some() || !can_fall_back(join) {
        return Ok(None);
    }
    let (Some(build), Some(probe)) = (exchange(join.left()), exchange(join.right())) else { return Ok(None) };
    // What gives no row before it has read all would lose the filter that the build side has for it: aggregates, whose
    // keys are not skewed, and sorts.
    let is_late = probe.input().pipeline_behavior() == EmissionType::Final;
    if is_late || probe.partitioning().partition_count() < LEAST_PARTITIONS {
        return Ok(None);
    }
    let sides = [(build, Side::Build), (probe, Side::Probe)].into_iter().map(|(exchange, side)| {
        let Partitioning::Hash(keys, partitions) = exchange.partitioning() else { return Ok(None) };
        let input = Arc::clone(exchange.input());
        let exchange = SkewedExchangeExec::new(input, keys.clone(), *partitions, side)?;
        Ok(Some(Arc::new(exchange) as Arc<dyn ExecutionPlan>))
    });
    let Some(sides) = sides.collect::<Result<Option<Vec<_>>>>()? else { return Ok(None) };
    Ok(Some(Arc::new(join.builder().with_new_children(sides)?.build()?)))
}

fn exchange(side: &Arc<dyn ExecutionPlan>) -> Option<&RepartitionExec> {
    side.downcast_ref::<RepartitionExec>().filter(|exchange| !exchange.preserve_order())
}
