//! `StoredTable`: rows in objects on a cluster's nodes, which the tasks of other queries read where they are.
//!
//! What `persist()` keeps is the output of the last stage of its query, and larger tables in memory become objects when
//! a query first needs them elsewhere. An object that is lost with its node is made again from what its query read, as
//! the runtime does with all results.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::stats::Precision;
use datafusion::common::{Statistics, plan_err};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, Partitioning};
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, SchedulingType};
use datafusion::physical_plan::metrics::{BaselineMetrics, ExecutionPlanMetricsSet, MetricsSet};
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::statistics::StatisticsArgs;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::future::BoxFuture;
use futures::stream::{BoxStream, StreamExt};
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::to_datafusion;
use sheaf_core::Error;
use sheaf_core::ids::ObjectId;

/// An object in parts, of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StoredObject {
    pub(crate) id: ObjectId,
    /// The rows and bytes of each part.
    pub(crate) parts: Vec<(u64, u64)>,
}

/// A part: of which of the objects, and which part of it.
pub(crate) type PartOf = (usize, u32);

/// Reads such objects.
pub(crate) trait StoredReader: Send + Sync + fmt::Debug {
    /// The rows of these parts, one part after the other.
    fn stored(&self, parts: Vec<(ObjectId, u32)>) -> BoxStream<'static, Result<RecordBatch>>;
}

/// What a task reads them by, as an extension of its session's settings.
#[derive(Debug, Clone)]
pub(crate) struct TaskStored(pub(crate) Arc<dyn StoredReader>);

/// A table that is on its way.
pub(crate) type Persisting = BoxFuture<'static, sheaf_core::Result<Arc<dyn TableProvider>>>;

/// How a session keeps the rows of a plan where they are made, unless they are made here: an extension of its settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PersistThere(pub(crate) fn(&Arc<dyn ExecutionPlan>) -> Option<Persisting>);

/// The rows of the plan that is made are to be persisted: an extension of its settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ForPersist;

/// The table. In the process that made it, it keeps its objects and can read them; elsewhere only tasks do.
pub(crate) struct StoredTable {
    schema: SchemaRef,
    objects: Arc<Vec<StoredObject>>,
    own: Option<Own>,
}

/// What the process has of such rows that they belong to.
#[derive(Clone)]
pub(crate) struct Own {
    /// Reads them there, where that is worth it.
    pub(crate) reader: Option<Arc<dyn StoredReader>>,
    /// Whether rows that are made again come in the same order.
    pub(crate) is_in_order: bool,
    /// The references to the objects, and whatever it takes to make them again.
    pub(crate) _keeps: Arc<dyn Any + Send + Sync>,
}

impl StoredTable {
    /// Rows of these objects, as a task knows them that was given them.
    pub(crate) fn new(schema: SchemaRef, objects: Vec<StoredObject>) -> Self {
        Self { schema, objects: Arc::new(objects), own: None }
    }

    /// The same in the process that they belong to.
    pub(crate) fn with(self, own: Own) -> Self {
        Self { own: Some(own), ..self }
    }

    pub(crate) fn objects(&self) -> &[StoredObject] {
        &self.objects
    }

    /// Whether this process reads them itself.
    pub(crate) fn is_read_here(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.reader.is_some())
    }
}

impl fmt::Debug for StoredTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredTable").field("objects", &self.objects.len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl TableProvider for StoredTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        _filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (schema, objects) = (Arc::clone(&self.schema), Arc::clone(&self.objects));
        let all = StoredExec::new(schema, objects, Vec::new(), self.own.clone());
        let runs = all.cut(state.config().target_partitions());
        let all: Arc<dyn ExecutionPlan> = Arc::new(all.with_runs(runs));
        let Some(columns) = projection else { return Ok(all) };
        let columns = ProjectionExprs::from_indices(columns, &self.schema);
        Ok(Arc::new(ProjectionExec::try_new(columns.iter().cloned(), all)?))
    }
}

/// The operator: each partition is a run of parts, one after the other.
#[derive(Clone)]
pub(crate) struct StoredExec {
    schema: SchemaRef,
    objects: Arc<Vec<StoredObject>>,
    runs: Vec<Vec<PartOf>>,
    own: Option<Own>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
}

impl StoredExec {
    fn new(schema: SchemaRef, objects: Arc<Vec<StoredObject>>, runs: Vec<Vec<PartOf>>, own: Option<Own>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(Arc::clone(&schema)),
            Partitioning::UnknownPartitioning(runs.len().max(1)),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        let metrics = ExecutionPlanMetricsSet::new();
        Self { schema, objects, runs, own, properties: Arc::new(properties), metrics }
    }

    /// The same rows in these partitions, or some of them.
    pub(crate) fn with_runs(&self, runs: Vec<Vec<PartOf>>) -> Self {
        Self::new(Arc::clone(&self.schema), Arc::clone(&self.objects), runs, self.own.clone())
    }

    /// All parts that have rows in so many runs, one after the other, of about as many bytes each.
    pub(crate) fn cut(&self, runs: usize) -> Vec<Vec<PartOf>> {
        let parts = self.objects.iter().enumerate().flat_map(|(object, stored)| {
            let sizes = stored.parts.iter().enumerate().filter(|(_, (rows, _))| *rows > 0);
            sizes.map(move |(part, (_, bytes))| ((object, part as u32), (*bytes).max(1)))
        });
        let parts: Vec<_> = parts.collect();
        let all: u64 = parts.iter().map(|(_, bytes)| bytes).sum();
        let (mut cut, mut before) = (vec![Vec::new(); runs.max(1)], 0);
        let last = cut.len() - 1;
        for (part, bytes) in parts {
            // Where its middle lies.
            let run = (u128::from(before) * 2 + u128::from(bytes)) * cut.len() as u128 / (u128::from(all) * 2);
            cut[(run as usize).min(last)].push(part);
            before += bytes;
        }
        cut
    }

    /// Whether the rows come in the same order each time, also when they are made again.
    pub(crate) fn is_in_order(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.is_in_order)
    }

    /// The objects that are read, each once.
    pub(crate) fn reads(&self) -> impl Iterator<Item = ObjectId> {
        let mut read: Vec<usize> = self.runs.iter().flatten().map(|(object, _)| *object).collect();
        read.sort_unstable();
        read.dedup();
        read.into_iter().filter_map(|object| self.objects.get(object)).map(|object| object.id)
    }

    /// Rows and bytes of all partitions, or of one.
    pub(crate) fn size(&self, partition: Option<usize>) -> (u64, u64) {
        let runs = self.runs.iter().enumerate().filter(|(number, _)| partition.is_none_or(|only| only == *number));
        let parts = runs
            .flat_map(|(_, run)| run)
            .filter_map(|(object, part)| self.objects.get(*object).and_then(|object| object.parts.get(*part as usize)));
        parts.fold((0, 0), |(rows, bytes), (more_rows, more)| (rows + more_rows, bytes + more))
    }
}

impl fmt::Debug for StoredExec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoredExec").field("runs", &self.runs).finish_non_exhaustive()
    }
}

impl DisplayAs for StoredExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rows, bytes) = self.size(None);
        write!(f, "StoredExec: partitions={}, rows={rows}, bytes={bytes}", self.runs.len())
    }
}

impl ExecutionPlan for StoredExec {
    fn name(&self) -> &'static str {
        "StoredExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    super::without_expressions!();

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        if children.is_empty() { Ok(self) } else { plan_err!("StoredExec has no input") }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let run = self.runs.get(partition).cloned().unwrap_or_default();
        let parts = run.into_iter().filter_map(|(object, part)| Some((self.objects.get(object)?.id, part)));
        let parts: Vec<(ObjectId, u32)> = parts.collect();
        let of_task = context.session_config().get_extension::<TaskStored>();
        let reader = of_task.map(|of_task| Arc::clone(&of_task.0)).or_else(|| self.own.as_ref()?.reader.clone());
        let outside = || to_datafusion(Error::internal("rows of a cluster are read outside of its tasks"));
        let rows = reader.ok_or_else(outside)?.stored(parts);
        let baseline = BaselineMetrics::new(&self.metrics, partition);
        let rows = rows.inspect(move |batch| {
            if let Ok(batch) = batch {
                baseline.record_output(batch.num_rows());
            }
        });
        Ok(Box::pin(cooperative(RecordBatchStreamAdapter::new(self.schema(), rows))))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn statistics_from_inputs(&self, _inputs: &[Arc<Statistics>], args: &StatisticsArgs) -> Result<Arc<Statistics>> {
        let (rows, bytes) = self.size(args.partition());
        let mut known = Statistics::new_unknown(&self.schema());
        known.num_rows = Precision::Exact(rows as usize);
        known.total_byte_size = Precision::Inexact(bytes as usize);
        Ok(Arc::new(known))
    }
}

#[cfg(test)]
mod tests {
    use arrow::datatypes::Schema;
    use sheaf_core::ids::{NodeId, TaskId};

    use super::*;

    fn stored(sizes: &[&[(u64, u64)]]) -> StoredExec {
        let object = |(number, parts): (usize, &&[(u64, u64)])| {
            let task = TaskId { owner: NodeId(1), number: number as u64 };
            StoredObject { id: task.result(0), parts: parts.to_vec() }
        };
        let objects = sizes.iter().enumerate().map(object).collect();
        StoredExec::new(Arc::new(Schema::empty()), Arc::new(objects), Vec::new(), None)
    }

    #[test]
    fn every_part_with_rows_is_in_one_run_in_its_order() {
        let sizes: [&[&[(u64, u64)]]; 4] =
            [&[], &[&[(0, 10)]], &[&[(1, 10), (0, 0), (5, 1)], &[(2, 1_000)]], &[&[(1, 1); 9], &[], &[(3, 0)]]];
        for sizes in sizes {
            let stored = stored(sizes);
            let all: Vec<PartOf> = stored.cut(1).concat();
            let with_rows = sizes.iter().flat_map(|parts| parts.iter()).filter(|(rows, _)| *rows > 0).count();
            assert!(all.len() == with_rows && all.is_sorted());
            for runs in 1..=7 {
                let cut = stored.cut(runs);
                assert_eq!((cut.len(), cut.concat()), (runs, all.clone()));
                let rows: u64 = sizes.iter().flat_map(|parts| parts.iter()).map(|(rows, _)| rows).sum();
                assert_eq!(stored.with_runs(cut).size(None).0, rows);
            }
        }
        let even = stored(&[&[(1, 4); 8]]).cut(4);
        assert!(even.iter().all(|run| run.len() == 2), "{even:?}");
    }
}
