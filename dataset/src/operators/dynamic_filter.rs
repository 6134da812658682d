//! `DynamicFilterExec`: drops the rows of a scan that the operators above it can no longer use.
//!
//! Joins, sorts with a limit and aggregates learn while they run which rows still matter (the keys of a build side,
//! the worst of the best rows) and tell their inputs by dynamic filters. DataFusion's scans use these for files and
//! row groups. This node stands on a scan and uses them for rows, whatever the scan reads: a row that the last of
//! five joins would drop then costs none of them, nor an aggregate between. A filter that keeps most rows rests
//! (`adaptive`), so that a useless one costs next to nothing.
//!
//! The idea is that of Zhu et al., «Looking Ahead Makes Query Plans Robust», VLDB 2017, with the filters that
//! DataFusion makes: exact lookups in the build side where the paper has Bloom filters.

mod adaptive;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use arrow::array::BooleanArray;
use arrow::compute::BatchCoalescer;
use arrow::record_batch::RecordBatch;
use datafusion::common::config::ConfigOptions;
use datafusion::common::plan_err;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::execution_plan::CardinalityEffect;
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterDescription, FilterPushdownPhase, FilterPushdownPropagation, PushedDown,
};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, Count, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet, RecordOutput,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt, stream};

use adaptive::Adaptive;

/// The metric that counts the rows which a dynamic filter dropped right above their scan.
pub const ROWS_PRUNED: &str = "rows_pruned";

/// Drops rows by the dynamic filters of the operators above.
#[derive(Debug)]
pub struct DynamicFilterExec {
    input: Arc<dyn ExecutionPlan>,
    filters: Vec<Arc<dyn PhysicalExpr>>,
    metrics: ExecutionPlanMetricsSet,
}

impl DynamicFilterExec {
    /// Takes dynamic filters for `input`, a scan, from DataFusion's filter push-down; without any it goes again.
    pub fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        Self::with(input, Vec::new())
    }

    fn with(input: Arc<dyn ExecutionPlan>, filters: Vec<Arc<dyn PhysicalExpr>>) -> Self {
        Self { input, filters, metrics: ExecutionPlanMetricsSet::new() }
    }
}

fn is_dynamic(filter: &Arc<dyn PhysicalExpr>) -> bool {
    filter.downcast_ref::<DynamicFilterPhysicalExpr>().is_some()
}

impl DisplayAs for DynamicFilterExec {
    /// The columns that are looked at; the filters themselves are those that EXPLAIN ANALYZE shows at the scan.
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: BTreeSet<String> =
            self.filters.iter().flat_map(collect_columns).map(|column| column.to_string()).collect();
        let columns: Vec<String> = columns.into_iter().collect();
        write!(f, "DynamicFilterExec: columns=[{}]", columns.join(", "))
    }
}

impl ExecutionPlan for DynamicFilterExec {
    super::as_its_input!("DynamicFilterExec", input);

    fn apply_expressions(
        &self,
        f: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        let mut next = TreeNodeRecursion::Continue;
        for filter in &self.filters {
            next = next.visit_sibling(|| f(filter))?;
        }
        Ok(next)
    }

    fn with_new_children(self: Arc<Self>, mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self::with(input, self.filters.clone()))),
            _ => plan_err!("DynamicFilterExec has one input"),
        }
    }

    fn gather_filters_for_pushdown(
        &self,
        _phase: FilterPushdownPhase,
        parent_filters: Vec<Arc<dyn PhysicalExpr>>,
        _config: &ConfigOptions,
    ) -> Result<FilterDescription> {
        FilterDescription::from_children(parent_filters, &self.children())
    }

    /// Keeps the filters that the scan does not apply to each row itself.
    fn handle_child_pushdown_result(
        &self,
        _phase: FilterPushdownPhase,
        result: ChildPushdownResult,
        _config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let left = result.parent_filters.iter().filter(|filter| matches!(filter.all(), PushedDown::No));
        let mine = left.map(|filter| &filter.filter).filter(|filter| is_dynamic(filter)).cloned();
        let filters: Vec<_> = self.filters.iter().cloned().chain(mine).collect();
        let node: Arc<dyn ExecutionPlan> = match filters.is_empty() {
            true => Arc::clone(&self.input),
            false => Arc::new(Self::with(Arc::clone(&self.input), filters)),
        };
        Ok(FilterPushdownPropagation::if_all(result).with_updated_node(node))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = Rows {
            filters: Adaptive::new(&self.filters),
            kept: BatchCoalescer::new(self.schema(), context.session_config().batch_size()),
            pruned: MetricBuilder::new(&self.metrics).counter(ROWS_PRUNED, partition),
            baseline: BaselineMetrics::new(&self.metrics, partition),
        };
        let input = self.input.execute(partition, context)?;
        let output = stream::unfold((input, Some(rows)), |(mut input, mut rows)| async move {
            let item = next(&mut input, &mut rows).await?;
            Some((item, (input, rows)))
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), output)))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn cardinality_effect(&self) -> CardinalityEffect {
        CardinalityEffect::LowerEqual
    }
}

/// The rows of one partition on their way from the scan.
struct Rows {
    filters: Adaptive,
    /// What is left of batches that lost rows, gathered to batches of the usual size.
    kept: BatchCoalescer,
    pruned: Count,
    baseline: BaselineMetrics,
}

/// The next batch; `rows` goes with the end of `input`.
async fn next(input: &mut SendableRecordBatchStream, rows: &mut Option<Rows>) -> Option<Result<RecordBatch>> {
    loop {
        let state = rows.as_mut()?;
        if let Some(batch) = state.kept.next_completed_batch() {
            return Some(Ok(batch.record_output(&state.baseline)));
        }
        let pushed = match input.next().await {
            Some(Ok(batch)) => state.push(batch),
            Some(Err(error)) => Err(error),
            None => {
                let finished = state.kept.finish_buffered_batch();
                let last = state.kept.next_completed_batch().map(|batch| batch.record_output(&state.baseline));
                *rows = None;
                return finished.map_err(Into::into).map(|()| last).transpose();
            }
        };
        if let Err(error) = pushed {
            *rows = None;
            return Some(Err(error));
        }
    }
}

impl Rows {
    fn push(&mut self, batch: RecordBatch) -> Result<()> {
        let compute = self.baseline.elapsed_compute().clone();
        let _timer = compute.timer();
        let before = batch.num_rows();
        let (batch, mask) = self.filters.apply(batch)?;
        let after = mask.as_ref().map_or(batch.num_rows(), BooleanArray::true_count);
        self.pruned.add(before - after);
        match mask {
            _ if after == 0 => {}
            Some(mask) => self.kept.push_batch_with_filter(batch, &mask)?,
            // A batch that comes whole goes whole, behind what was gathered before it.
            None if before == after => {
                self.kept.finish_buffered_batch()?;
                self.kept.set_biggest_coalesce_batch_size(Some(0));
                self.kept.push_batch(batch)?;
                self.kept.set_biggest_coalesce_batch_size(None);
            }
            None => self.kept.push_batch(batch)?,
        }
        Ok(())
    }
}
