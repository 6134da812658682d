//! Leaves that are cut: which part of their rows each task has.
//!
//! datafusion-distributed knows into how many tasks files are cut, and deals their pieces out in turn: here each task has
//! a run of them, so that the tasks one after the other have the rows in the order of the files. What it does not know it
//! leaves in one task: rows in memory, on the cluster, or made as they are read. They travel with the plan, and each
//! task takes its run of them.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::memory::MemorySourceConfig;
use datafusion::datasource::physical_plan::{FileGroup, FileGroupPartitioner, FileScanConfig};
use datafusion::datasource::source::{DataSource, DataSourceExec};
use datafusion::datasource::{MemTable, provider_as_source, source_as_provider};
use datafusion::error::Result;
use datafusion::execution::SessionStateBuilder;
use datafusion::logical_expr::{Expr, Extension, LogicalPlan, TableProviderFilterPushDown, TableScan, TableType};
use datafusion::physical_plan::memory::LazyMemoryExec;
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion_distributed::{
    DesiredTaskCountEvent, DesiredTaskCountEventResponse, DistributedExt, DistributedLeafExec, ScaleUpLeafNodeEvent,
    ScaleUpLeafNodeEventResponse,
};
use sheaf_connectors::error::to_datafusion;

use crate::operators::map_batches::MapBatches;
use crate::operators::node::OperatorNode;
use crate::operators::range;
use crate::operators::range::RangeTable;
use crate::operators::stored::StoredExec;
use crate::verbs::materialize::Materialized;

/// Bytes of a whole number that is made.
const NUMBER_BYTES: usize = 8;
/// Bytes of a text, about.
const TEXT_BYTES: usize = 32;

/// Has such leaves cut too: into as many tasks as their bytes are worth, or, where functions of the user's are called
/// for their rows, as there are rows.
pub(super) fn with_leaves(builder: SessionStateBuilder, bytes_per_task: usize, calls: bool) -> SessionStateBuilder {
    let desired = move |event: DesiredTaskCountEvent<'_>| {
        let (rows, bytes) = size_of(event.plan)?;
        let tasks = if calls { rows } else { bytes.div_ceil(bytes_per_task.max(1)) };
        Some(Ok(DesiredTaskCountEventResponse::desired(tasks.max(1))))
    };
    let scaled = |event: ScaleUpLeafNodeEvent<'_>| {
        let partitions = event.plan.output_partitioning().partition_count();
        let own = match files_of(event.plan) {
            // It has all of them, in the partitions in which they are.
            Some(_) if event.task_count == 1 => Ok(vec![Arc::clone(event.plan)]),
            Some(scan) => Ok(runs_of_files(scan, event.task_count, partitions)),
            None => divided(event.plan, event.task_count, partitions)?,
        };
        let leaf = own.and_then(|own| DistributedLeafExec::try_new(Arc::clone(event.plan), own));
        Some(leaf.map(|leaf| ScaleUpLeafNodeEventResponse::new(Arc::new(leaf))))
    };
    builder.with_distributed_desired_task_count_handler(desired).with_distributed_scale_up_leaf_node_handler(scaled)
}

/// Whether a leaf is one of these.
pub(super) fn is_divisible(plan: &Arc<dyn ExecutionPlan>) -> bool {
    size_of(plan).is_some()
}

fn in_memory(plan: &Arc<dyn ExecutionPlan>) -> Option<&MemorySourceConfig> {
    let rows = plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<MemorySourceConfig>()?;
    // Rows in an order, or the first ones alone, are those of one task.
    let is_one = !rows.sort_information().is_empty() || rows.fetch().is_some() || rows.partitions().is_empty();
    (!is_one).then_some(rows)
}

/// Rows and bytes of such a leaf: as on every node, where the same rows lie in other buffers.
fn size_of(plan: &Arc<dyn ExecutionPlan>) -> Option<(usize, usize)> {
    if let Some(rows) = in_memory(plan) {
        let count: usize = rows.partitions().iter().flatten().map(RecordBatch::num_rows).sum();
        let schema = rows.original_schema();
        let row: usize = schema.fields().iter().map(|field| width_of(field.data_type())).sum();
        return Some((count, count.saturating_mul(row)));
    }
    if let Some(stored) = plan.downcast_ref::<StoredExec>() {
        let (rows, bytes) = stored.size(None);
        return Some((rows as usize, bytes as usize));
    }
    let count = range::count_of(plan.downcast_ref::<LazyMemoryExec>()?)?;
    Some((count, count.saturating_mul(NUMBER_BYTES)))
}

/// The bytes of a value, about.
fn width_of(kind: &DataType) -> usize {
    match kind {
        DataType::FixedSizeBinary(bytes) => *bytes as usize,
        DataType::FixedSizeList(item, length) => width_of(item.data_type()).saturating_mul(*length as usize),
        DataType::Struct(fields) => fields.iter().map(|field| width_of(field.data_type())).sum(),
        kind => kind.primitive_width().unwrap_or(TEXT_BYTES),
    }
}

/// What each of so many tasks has of a leaf, in so many partitions each: runs of its rows, one after the other.
fn divided(
    plan: &Arc<dyn ExecutionPlan>,
    tasks: usize,
    partitions: usize,
) -> Option<Result<Vec<Arc<dyn ExecutionPlan>>>> {
    let runs = tasks * partitions;
    if let Some(rows) = in_memory(plan) {
        let batches: Vec<_> = rows.partitions().iter().flatten().cloned().collect();
        let cut = runs_of(&batches, runs);
        let own = cut.chunks(partitions).map(|own| {
            let source = MemorySourceConfig::try_new(own, rows.original_schema(), rows.projection().clone())?;
            Ok(DataSourceExec::from_data_source(source.with_show_sizes(rows.show_sizes())) as Arc<dyn ExecutionPlan>)
        });
        return Some(own.collect());
    }
    if let Some(stored) = plan.downcast_ref::<StoredExec>() {
        let cut = stored.cut(runs);
        let own = cut.chunks(partitions).map(|own| Arc::new(stored.with_runs(own.to_vec())) as Arc<dyn ExecutionPlan>);
        return Some(Ok(own.collect()));
    }
    let own = range::runs_of(plan.downcast_ref::<LazyMemoryExec>()?, runs)?;
    let own = own.chunks(partitions).map(|own| range::made_of(own.to_vec(), &plan.schema()));
    Some(own.collect())
}

/// Files that are in partitions as the reader made them: others are dealt out by what they are said to have.
fn files_of(plan: &Arc<dyn ExecutionPlan>) -> Option<&FileScanConfig> {
    let scan = plan.downcast_ref::<DataSourceExec>()?.data_source().downcast_ref::<FileScanConfig>()?;
    scan.output_partitioning.is_none().then_some(scan)
}

/// What each of so many tasks reads of files, in so many partitions each: pieces of them, cut as by
/// datafusion-distributed.
fn runs_of_files(scan: &FileScanConfig, tasks: usize, partitions: usize) -> Vec<Arc<dyn ExecutionPlan>> {
    let cut = FileGroupPartitioner::new()
        .with_target_partitions(partitions * tasks)
        .with_repartition_file_min_size(0)
        .with_preserve_order_within_groups(!scan.output_ordering.is_empty())
        .repartition_file_groups(&scan.file_groups);
    let groups = cut.unwrap_or_else(|| scan.file_groups.clone());
    let (each, more) = (groups.len() / tasks, groups.len() % tasks);
    let mut rest = groups.into_iter();
    let own = (0..tasks).map(|task| {
        let mut own = scan.clone();
        own.file_groups = rest.by_ref().take(each + usize::from(task < more)).collect();
        // All have as many partitions.
        own.file_groups.resize(each + usize::from(more > 0), FileGroup::default());
        DataSourceExec::from_data_source(own) as Arc<dyn ExecutionPlan>
    });
    own.collect()
}

/// Batches in so many runs whose numbers of rows differ by one at the most.
pub(super) fn runs_of(batches: &[RecordBatch], runs: usize) -> Vec<Vec<RecordBatch>> {
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let mut cut = vec![Vec::new(); runs];
    let mut before = 0;
    for batch in batches {
        let mut at = 0;
        while at < batch.num_rows() {
            let run = ((before + at + 1) * runs).div_ceil(rows) - 1;
            let end = ((run + 1) * rows / runs).min(before + batch.num_rows()) - before;
            cut[run].push(batch.slice(at, end - at));
            at = end;
        }
        before += batch.num_rows();
    }
    cut
}

/// The plan with such tables in as many partitions as a task has, where functions of the user's are called: a few rows
/// are one partition otherwise.
pub(super) fn spread_tables(plan: &LogicalPlan, partitions: usize) -> Result<LogicalPlan> {
    if !has_functions(plan)? {
        return Ok(plan.clone());
    }
    let spread = |node: LogicalPlan| {
        let LogicalPlan::TableScan(scan) = node else { return Ok(Transformed::no(node)) };
        match source_as_provider(&scan.source) {
            Ok(table) if table.is::<MemTable>() || table.is::<Materialized>() || table.is::<RangeTable>() => {
                let source = provider_as_source(Arc::new(SpreadTable { table, partitions }));
                Ok(Transformed::yes(LogicalPlan::TableScan(TableScan { source, ..scan })))
            }
            _ => Ok(Transformed::no(LogicalPlan::TableScan(scan))),
        }
    };
    plan.clone().transform_up_with_subqueries(spread).map(|plan| plan.data)
}

fn has_functions(plan: &LogicalPlan) -> Result<bool> {
    plan.exists(|node| {
        let LogicalPlan::Extension(Extension { node }) = node else { return Ok(false) };
        Ok(OperatorNode::<MapBatches, 1>::parts(node.as_ref()).is_some())
    })
}

/// A table whose rows are read in so many partitions at the least.
#[derive(Debug)]
struct SpreadTable {
    table: Arc<dyn TableProvider>,
    partitions: usize,
}

#[async_trait]
impl TableProvider for SpreadTable {
    fn schema(&self) -> SchemaRef {
        self.table.schema()
    }

    fn table_type(&self) -> TableType {
        self.table.table_type()
    }

    fn statistics(&self) -> Option<Statistics> {
        self.table.statistics()
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        self.table.supports_filters_pushdown(filters)
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let plan = self.table.scan(state, projection, filters, limit).await?;
        if plan.output_partitioning().partition_count() >= self.partitions {
            return Ok(plan);
        }
        let Some(own) = divided(&plan, 1, self.partitions) else { return Ok(plan) };
        own?.pop().ok_or_else(|| to_datafusion(sheaf_core::Error::internal("a table has no partition")))
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{Field, Int64Type, Schema};

    use super::*;

    #[test]
    fn every_row_is_in_one_run_and_runs_are_as_long_as_each_other() {
        let schema = Arc::new(Schema::new(vec![Field::new("a", DataType::Int64, false)]));
        for lengths in [vec![], vec![1], vec![0, 3], vec![5, 0, 1, 7], vec![100, 1]] {
            let mut next = 0;
            let batches = lengths.iter().map(|length| {
                let column = Int64Array::from_iter_values(next..next + length);
                next += length;
                RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(column)]).unwrap()
            });
            let batches: Vec<_> = batches.collect();
            for runs in 1..=9 {
                let cut = runs_of(&batches, runs);
                assert_eq!(cut.len(), runs);
                let counts: Vec<usize> = cut.iter().map(|run| run.iter().map(RecordBatch::num_rows).sum()).collect();
                assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1, "{lengths:?} {counts:?}");
                let all = cut.iter().flatten().flat_map(|batch| batch.column(0).as_primitive::<Int64Type>().values());
                assert!(all.copied().eq(0..next), "{lengths:?} in {runs}");
            }
        }
    }
}
