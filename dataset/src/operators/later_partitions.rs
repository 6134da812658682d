//! `LaterPartitions`: a plan without its first partitions, for whoever has read their rows before.

use std::fmt;
use std::sync::Arc;

use datafusion::common::plan_err;
use datafusion::common::stats::Precision;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use datafusion::physical_plan::statistics::{StatisticsArgs, StatisticsContext};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, PlanProperties};

/// The operator: the root of a plan whose first partitions are not run.
#[derive(Debug)]
pub(crate) struct LaterPartitionsExec {
    input: Arc<dyn ExecutionPlan>,
    first: usize,
    properties: Arc<PlanProperties>,
}

impl LaterPartitionsExec {
    /// The plan from the partition on that has the row at this position, and how many rows come before that partition.
    ///
    /// Only partitions are left out whose number of rows is known exactly before they run: files with counts in their
    /// footers, rows in memory, ranges. Behind a filter, a join or a user function nothing is known, and all is run.
    pub(crate) fn skip(plan: Arc<dyn ExecutionPlan>, position: u64) -> Result<(Arc<dyn ExecutionPlan>, u64)> {
        let partitions = plan.output_partitioning().partition_count();
        let (mut first, mut skipped) = (0, 0);
        // The last one is never left out: a plan has at least one partition.
        while first + 1 < partitions
            && let Some(rows) = exact_rows(&plan, first)?
            && skipped + rows <= position
        {
            skipped += rows;
            first += 1;
        }
        let plan = if first == 0 { plan } else { Arc::new(Self::new(plan, first)) };
        Ok((plan, skipped))
    }

    fn new(input: Arc<dyn ExecutionPlan>, first: usize) -> Self {
        let partitions = input.output_partitioning().partition_count() - first;
        let known = input.properties();
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(partitions),
            known.emission_type,
            known.boundedness,
        );
        Self { input, first, properties: Arc::new(properties) }
    }
}

fn exact_rows(plan: &Arc<dyn ExecutionPlan>, partition: usize) -> Result<Option<u64>> {
    let asked = StatisticsArgs::new().with_partition(Some(partition));
    let statistics = StatisticsContext::new().compute(plan.as_ref(), &asked)?;
    Ok(match statistics.num_rows {
        Precision::Exact(rows) => Some(rows as u64),
        _ => None,
    })
}

impl DisplayAs for LaterPartitionsExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LaterPartitionsExec: first={}", self.first)
    }
}

impl ExecutionPlan for LaterPartitionsExec {
    fn name(&self) -> &'static str {
        "LaterPartitionsExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::new(input, self.first))),
            _ => plan_err!("LaterPartitionsExec has one input"),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.input.execute(self.first + partition, context)
    }
}
